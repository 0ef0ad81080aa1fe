"""What a whole main job leaves, in a form that two ways of running it can be held to.

command = main_job(place)
assert outcome(place, output=…) == outcome(other, output=…)
"""

import hashlib
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pyarrow.dataset as ds
from mlflow.entities import Run

from tests.conftest import PROJECT, SAMPLE

#: A search that is long enough to be in the middle of it, and finds a usable clustering of the sample.
SEARCH = {"sweep.seeds": "4"}
TRIALS = 59 * 4
#: Batches enough to be in the middle of them.
SETTINGS = SEARCH | {"scoring.max_files_per_trigger": "5"}
STEPS = ["prepare", "promote", "register", "score", "sweep"]


@dataclass(frozen=True)
class Outcome:
    """What must be the same wherever a job runs: lines, model, scores, each to the bit."""

    data_digest: str
    model_digest: str
    best: tuple[str, str, float]
    trials: tuple[tuple[str, str, float], ...]
    scored_lines: int
    labels: str


def words(*more: str, **settings: str) -> list[str]:
    """Return the words of the job, after the name of the program."""
    chosen = "; ".join(f"{name}={value}" for name, value in (SETTINGS | settings).items())
    return ["main", "--set", chosen, *more]


def checkout(place: Path) -> Path:
    """Make a folder in which the project's commands can be typed."""
    place.mkdir()
    for name in ("MLproject", "conda.yaml", "requirements.txt", "src", "experiments"):
        (place / name).symlink_to(PROJECT / name)
    (place / "data").mkdir()
    (place / "data" / "sample").mkdir()
    shutil.copytree(SAMPLE, place / "data" / "sample" / "by-day")
    return place


def environment(place: Path, **changes: str) -> dict[str, str]:
    """Return the environment of a command typed in `place`, without the tests' own MLflow and Spark."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLFLOW_", "PYSPARK_", "SPARK_MASTER"))
    }
    binaries = Path(sys.executable).parent
    return (
        own
        | {"PATH": f"{binaries}:{os.environ['PATH']}", "PYTHONPATH": f"{PROJECT / 'src'}:{PROJECT}"}
        | {"MLFLOW_TRACKING_URI": f"sqlite:///{place / 'mlflow.db'}"}
        | changes
    )


def outcome(place: Path, *, scored: Path | None = None, store: str | None = None) -> Outcome:
    """Read what the one job of a folder has left: runs that have all ended well, each step once.

    Its lines are in `scored`, else where its run says; its runs in `store`, else in the folder's own file.
    """
    use(store or f"sqlite:///{place / 'mlflow.db'}")
    runs = all_runs()
    assert {run.info.status for run in runs} == {"FINISHED"}
    (parent,) = [run for run in runs if run.info.run_name == "main"]
    steps = {run.info.run_name.split()[0]: run for run in children(runs, parent)}
    assert sorted(steps) == STEPS
    version = mlflow.MlflowClient().get_model_version_by_alias("retail-clusters", "champion")
    sweep = steps["sweep"]
    trials = sorted(map(_trial, children(runs, sweep)))
    assert len(trials) == TRIALS
    output = scored or place / str(steps["score"].data.params["output"])
    lines = scored_lines(output)
    counted = sum(point.value for point in points(steps["score"], "rows_scored"))
    assert counted == len(lines)
    return Outcome(
        data_digest=parent.data.tags["data_digest"],
        model_digest=version.tags["model_digest"],
        best=(
            sweep.data.params["best_k"],
            sweep.data.params["best_seed"],
            sweep.data.metrics["best_validation_silhouette"],
        ),
        trials=tuple(trials),
        scored_lines=len(lines),
        labels=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    )


def all_runs() -> list[Run]:
    found: list[Run] = mlflow.search_runs(search_all_experiments=True, output_format="list")
    return found


def newest_run(place: Path, name: str) -> Run:
    """Return the newest run of a name in the store of a folder."""
    use(f"sqlite:///{place / 'mlflow.db'}")
    return next(run for run in all_runs() if run.info.run_name == name)


def use(store: str) -> None:
    """Let MLflow, in here, read a store."""
    mlflow.set_tracking_uri(store)
    mlflow.set_registry_uri(store)


def children(runs: list[Run], parent: Run) -> list[Run]:
    return [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]


def points(run: Run, name: str) -> list[mlflow.entities.Metric]:
    found: list[mlflow.entities.Metric] = mlflow.MlflowClient().get_metric_history(run.info.run_id, name)
    assert len({point.step for point in found}) == len(found)
    return found


def scored_lines(output: Path) -> list[str]:
    """Return every scored line with its cluster, as text and sorted: without Spark."""
    table = ds.dataset(output / "scored", format="parquet", partitioning="hive").to_table()
    rows = table.drop_columns(["batch_id", "source_file", "model_version"]).to_pylist()
    return sorted(repr(tuple(row.values())) for row in rows)


def _trial(run: Run) -> tuple[str, str, float]:
    return run.data.params["k"], run.data.params["seed"], run.data.metrics["validation_silhouette"]
