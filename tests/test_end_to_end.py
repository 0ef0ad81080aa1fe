"""The main job as a user runs it: `mlflow run` on the bundled sample, in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run

from retail_clusters.registry import tracking
from tests.conftest import PROJECT, SAMPLE

COMMAND = ["--env-manager", "local", "--experiment-name", "default", "-P", "trials=8"]
STEPS = ["prepare", "sweep", "register", "promote", "score"]


@pytest.fixture
def checkout(workplace: Path) -> Path:
    for name in ("MLproject", "conda.yaml", "requirements.txt", "src", "experiments"):
        (workplace / name).symlink_to(PROJECT / name)
    (workplace / "data").mkdir()
    (workplace / "data" / "sample").symlink_to(PROJECT / "data" / "sample")
    return workplace


def runs_named(name: str) -> list[Run]:
    found: list[Run] = mlflow.search_runs(
        search_all_experiments=True,
        output_format="list",
        filter_string=f"attributes.run_name = '{name}'",
    )
    return found


@pytest.mark.soak  # .ci/run does the same with `make run`
def test_main_ends_with_a_champion_and_every_line_scored_once(spark, checkout):
    binaries = Path(sys.executable).parent
    done = subprocess.run(
        [binaries / "mlflow", "run", ".", *COMMAND],
        cwd=checkout,
        env=os.environ | {"SPARK_MASTER": "local[2]", "PATH": f"{binaries}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "WARN" not in done.stdout + done.stderr

    (parent,) = runs_named("main")
    children = {run.info.run_name.split()[0]: run for run in tracking.children(parent.info.run_id)}
    assert sorted(children) == sorted(STEPS)
    assert {run.info.status for run in [parent, *children.values()]} == {"FINISHED"}
    assert {name: run.data.tags["kind"] for name, run in children.items()} == {step: step for step in STEPS}
    trials = tracking.children(children["sweep"].info.run_id)
    assert [run.data.tags["kind"] for run in [parent, *trials]] == ["main", *["trial"] * 8]

    champion = mlflow.MlflowClient().get_model_version_by_alias("retail-clusters", "champion")
    assert champion.tags["usable"] == "true"
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) - 1 for file in SAMPLE.iterdir())
    scored = spark.read.parquet(str(checkout / "output" / parent.info.run_id / "scored"))
    assert scored.count() == lines
    assert {"prediction", "model_version", "batch_id"} <= set(scored.columns)
