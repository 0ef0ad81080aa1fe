"""The sweep as a process: repeatable at any parallelism, and after kill -9 at any moment."""

import os
import sqlite3
import subprocess
from collections import Counter
from pathlib import Path

import mlflow
import optuna
import pandas as pd
import pytest
import yaml
from pyspark.sql import SparkSession

from retail_clusters.errors import InputError, NoUsableClusteringError
from retail_clusters.experiment_file import load_experiment
from retail_clusters.infra import tracking
from retail_clusters.training.sweep import sweep
from tests import processes
from tests.conftest import PROJECT, SAMPLE

TRIALS = 24
LAST_TRIALS_COLUMNS = ["number", "k", "seed", "silhouette", "train_cost", "largest_cluster_share", "usable"]


def experiment(folder: Path, *, threads: int = 2, **sweep: object) -> Path:
    file = folder / f"sweep-{threads}.yaml"
    chosen = {"k_max": 40, "trials": TRIALS, "threads": threads, "batch_size": 6} | sweep
    file.write_text(yaml.safe_dump({"sweep": chosen}), encoding="utf-8")
    return file


def arguments(settings: Path, study: str) -> list[str | Path]:
    return ["sweep", "--data", SAMPLE, "--experiment", settings, "--study", study]


def parents(study: str) -> list[mlflow.entities.Run]:
    found: list[mlflow.entities.Run] = mlflow.search_runs(
        search_all_experiments=True, output_format="list", filter_string=f"tags.study = '{study}'"
    )
    return found


def table(study: str) -> pd.DataFrame:
    (parent,) = parents(study)
    text = mlflow.artifacts.load_text(f"runs:/{parent.info.run_id}/trials.csv")
    return pd.read_csv(pd.io.common.StringIO(text), float_precision="round_trip")[LAST_TRIALS_COLUMNS]


def children(study: str) -> list[mlflow.entities.Run]:
    (parent,) = parents(study)
    found: list[mlflow.entities.Run] = mlflow.search_runs(
        search_all_experiments=True,
        output_format="list",
        filter_string=f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'",
    )
    return found


def finished_trials(study: str) -> int:
    try:
        opened = optuna.load_study(study_name=study, storage="sqlite:///optuna.db")
    except (KeyError, optuna.exceptions.StorageInternalError, sqlite3.Error):
        return 0
    return len(opened.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE]))


def kill_when(process: "subprocess.Popen[str]", reached: int, study: str) -> None:
    while process.poll() is None and finished_trials(study) < reached:
        os.sched_yield()
    if process.poll() is None:
        processes.kill(process)


@pytest.fixture
def unbroken(spark, workplace) -> pd.DataFrame:
    """In one thread, in the session of the tests, which has two cores."""
    swept(spark, experiment(workplace, threads=1), "one")
    return table("one")


def kill_and_resume(settings: Path, moments: tuple[int, ...]) -> None:
    """In processes with one core."""
    for moment in moments:
        kill_when(processes.start(*arguments(settings, "killed"), SPARK_MASTER="local[1]"), moment, "killed")
    done = processes.run(*arguments(settings, "killed"), SPARK_MASTER="local[1]")
    assert done.returncode == 0, done.stderr


def assert_same_sweep(unbroken: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(table("killed"), unbroken)
    numbers = Counter(run.data.tags["trial"] for run in children("killed"))
    assert numbers == Counter(map(str, range(TRIALS)))
    assert {run.info.status for run in children("killed")} == {"FINISHED"}
    (one,), (killed,) = parents("one"), parents("killed")
    for name in ("best_k", "best_seed"):
        assert one.data.params[name] == killed.data.params[name]
    assert one.data.tags["model_digest"] == killed.data.tags["model_digest"]


def test_sweep_killed_and_resumed_in_four_threads_on_one_core_is_the_unbroken_one_in_one_thread_on_two(
    workplace, unbroken
):
    kill_and_resume(experiment(workplace, threads=4), (8,))
    assert_same_sweep(unbroken)


@pytest.mark.soak
def test_sweep_killed_at_five_moments_ends_like_an_unbroken_one(workplace, unbroken):
    kill_and_resume(experiment(workplace), (0, 3, 8, 14, 21))
    assert_same_sweep(unbroken)


@pytest.mark.soak
def test_sweep_in_four_threads_on_one_core_is_that_in_one_thread_on_two_cores(workplace, unbroken):
    done = processes.run(*arguments(experiment(workplace, threads=4), "four"), SPARK_MASTER="local[1]")
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(table("four"), unbroken)


def swept(spark: SparkSession, settings: Path, study: str) -> None:
    chosen = load_experiment(settings)
    tracking.connect(experiment="sweep")
    sweep(spark, data=str(SAMPLE), experiment=chosen, study=study, storage=None)


def test_sweep_without_a_usable_clustering_registers_nothing(spark, workplace):
    settings = experiment(workplace, k_max=4, seeds=1, trials=3)
    with pytest.raises(NoUsableClusteringError, match=r"the nearest miss is K=\d") as none:
        swept(spark, settings, "none")
    assert none.value.exit_code == 1
    assert mlflow.MlflowClient().search_registered_models() == []


def test_small_space_stops_early_and_other_settings_are_refused(spark, workplace, capsys):
    swept(spark, experiment(workplace, k_min=30, k_max=35, seeds=2, trials=40), "small")
    assert "12 trials, the space is exhausted: all 12 pairs" in capsys.readouterr().out
    assert len(children("small")) == 12
    with pytest.raises(InputError, match=r"features.scaling was none, is log"):
        swept(spark, PROJECT / "experiments" / "log_features.yaml", "small")
