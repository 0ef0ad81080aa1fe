"""The sweep in MLflow and Optuna: repeatable, prolonged, stopped, and killed with -9."""

import io
import shutil
from collections import Counter
from pathlib import Path

import mlflow
import optuna
import pandas as pd
import pytest
import yaml
from mlflow.entities import Run
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from pyspark.sql import SparkSession

from retail_clusters.errors import InputError, NoUsableClusteringError
from retail_clusters.experiment_file import load_experiment
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.search import study as studies
from retail_clusters.search.sweep import STORAGE, sweep
from retail_clusters.settings import CHALLENGER
from tests import examples, processes

PAIRS = 12
COLUMNS = ["number", "k", "seed", "validation_silhouette", "train_cost", "largest_cluster_share", "usable"]


@pytest.fixture(scope="module")
def place(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tracking store and the files of a shop, for all tests of this file."""
    folder = tmp_path_factory.mktemp("sweeps")
    shutil.copy(empty_store, folder / "mlflow.db")
    examples.write_files(folder / "in")
    return folder


@pytest.fixture
def shop(place: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    store = f"sqlite:///{place / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    mlflow.set_tracking_uri(store)
    tracking.connect(experiment="sweeps")
    return place / "in"


def settings(folder: Path, name: str = "settings", **changes: object) -> Path:
    """Write an experiment file: K from 3 to 6 with three seeds."""
    small = {"k_min": 3, "k_max": 6, "seeds": 3}
    file = folder / f"{name}.yaml"
    tree = {"sweep": small | dict(changes.pop("sweep", {})), "stability": {"draws": 2}} | changes  # type: ignore[call-overload]
    file.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return file


def swept(spark: SparkSession, shop: Path, study: str, **changes: object) -> None:
    chosen = load_experiment(settings(shop.parent, **changes))
    sweep(spark, data=str(shop), experiment=chosen, study=study, storage=None)


def parents(study: str) -> list[Run]:
    """Return the runs that worked on a study, oldest first."""
    found: list[Run] = mlflow.search_runs(
        search_all_experiments=True,
        output_format="list",
        filter_string=f"tags.study = '{study}'",
        order_by=["attributes.start_time ASC"],
    )
    return found


def table_of(run: Run) -> pd.DataFrame:
    text = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/trials.csv")
    return pd.read_csv(io.StringIO(text), float_precision="round_trip")[COLUMNS]


def finished(study: str) -> int:
    """Count the trials that a study holds by now."""
    if not Path(STORAGE).exists():
        return 0
    try:
        opened = optuna.load_study(study_name=study, storage=JournalStorage(JournalFileBackend(STORAGE)))
    except KeyError:
        return 0
    return len(studies.finished(opened))


def latest_version() -> str | None:
    return ModelRegistry("retail-clusters").latest_version()


def test_sweep_killed_and_resumed_on_more_cores_ends_like_one_that_ran_through(spark, shop, capsys):
    swept(spark, shop, "one")
    (one,) = parents("one")
    assert f"sweep: all {PAIRS} trials are done" in capsys.readouterr().out
    before = latest_version()

    command = ["sweep", "--data", shop, "--experiment", settings(shop.parent), "--study", "killed"]
    environment = {"SPARK_MASTER": "local[1]", "MLFLOW_EXPERIMENT_NAME": "sweeps"}
    processes.kill_when(processes.start(*command, **environment), lambda: finished("killed") >= 1)
    assert latest_version() == before
    swept(spark, shop, "killed")

    first, killed = parents("killed")
    assert killed.data.tags["continues"] == first.info.run_id
    pd.testing.assert_frame_equal(table_of(killed), table_of(one))
    children = tracking.children(killed.info.run_id)
    assert Counter(run.data.tags["trial"] for run in children) == Counter(map(str, range(PAIRS)))
    assert {run.info.status for run in [killed, *children]} == {"FINISHED"}
    for name in ("best_k", "best_seed"):
        assert killed.data.params[name] == one.data.params[name]
    assert killed.data.tags["model_digest"] == one.data.tags["model_digest"]
    version = ModelRegistry("retail-clusters").version_named(alias=CHALLENGER)
    assert version == killed.data.tags["model_version"]
    assert killed.data.metrics["trials_completed"] == PAIRS

    swept(spark, shop, "killed")

    assert f"version {version} holds this model already, so none is added" in capsys.readouterr().out
    assert latest_version() == version
    again = parents("killed")[-1]
    assert again.data.tags["model_version"] == version
    assert again.data.metrics["test_silhouette"] == killed.data.metrics["test_silhouette"]


def test_sweep_without_a_usable_clustering_registers_nothing_and_can_be_prolonged(spark, shop):
    before = latest_version()
    for trials in (1, 2):
        small = {"k_max": 3, "seeds": 2, "trials": trials}
        told = rf"none of {trials} trials is; the nearest miss is K=3"
        with pytest.raises(NoUsableClusteringError, match=told) as none:
            swept(spark, shop, "none", sweep=small, guardrails={"max_cluster_share": 0.1})
    assert none.value.exit_code == 1
    assert latest_version() == before
    first, second = parents("none")
    assert second.data.tags["continues"] == first.info.run_id
    assert {first.info.status, second.info.status} == {"FAILED"}
    assert second.data.metrics["trials_infeasible"] == 2
    assert len(tracking.children(second.info.run_id)) == 2
    with pytest.raises(InputError, match=r"guardrails.max_cluster_share was 0.1, is 0.8"):
        swept(spark, shop, "none", sweep={"k_max": 3, "seeds": 2})


@pytest.mark.soak  # the suite has it of one training, in features/test_rows.py
def test_sweep_over_rows_that_stay_in_spark_finds_the_centres_of_rows_in_memory(spark, shop):
    one = {"sweep": {"k_max": 3, "seeds": 1}, "lloyd": {"max_iterations": 1}}
    swept(spark, shop, "memory", **one)
    swept(spark, shop, "spark", **one, training={"in_memory_rows": 50})
    (memory,), (in_spark,) = parents("memory"), parents("spark")
    assert in_spark.data.tags["model_digest"] == memory.data.tags["model_digest"]
    pd.testing.assert_frame_equal(table_of(in_spark), table_of(memory))
    with pytest.raises(InputError, match=r"in_memory_rows was fewer than the rows, is enough for all rows"):
        swept(spark, shop, "spark", **one)
    swept(spark, shop, "spark", **one, training={"in_memory_rows": 51})
