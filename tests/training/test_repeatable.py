"""The same data, K and seed give the same bits, on any number of cores and from files in any layout."""

import gzip
import random
from pathlib import Path

import mlflow
import pytest
from pyspark.sql import SparkSession

from retail_clusters.infra import tracking
from retail_clusters.settings import Experiment
from retail_clusters.training.train import train
from retail_clusters.training.verify import verify
from tests import processes
from tests.conftest import PROJECT

DIGESTS = ("data_digest", "model_digest", "labels_digest")
FIGURES = ("validation_silhouette", "test_silhouette", "holdout_silhouette", "train_cost")


def trained_elsewhere(data: Path, **environment: str) -> dict[str, object]:
    experiment = PROJECT / "experiments" / "default.yaml"
    done = processes.run(
        *("train", "--data", data, "--experiment", experiment, "--k", "20", "--seed", "1"), **environment
    )
    assert done.returncode == 0, done.stderr
    return last_training()


def trained_here(spark: SparkSession, data: Path) -> dict[str, object]:
    tracking.connect(experiment="here")
    train(spark, data=str(data), experiment=Experiment(k=20, seed=1))
    return last_training()


def last_run() -> mlflow.entities.Run:
    return mlflow.search_runs(
        search_all_experiments=True, output_format="list", filter_string="attributes.run_name = 'train'"
    )[0]


def last_training() -> dict[str, object]:
    run = last_run()
    return {name: run.data.tags[name] for name in DIGESTS} | {
        name: run.data.metrics[name] for name in FIGURES
    }


def as_seven_files(files: list[Path], folder: Path) -> Path:
    """The same lines, in other files and another order."""
    folder.mkdir()
    header, *_ = files[0].read_text(encoding="utf-8").splitlines()
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()[1:]]
    random.Random(7).shuffle(lines)
    for part in range(7):
        text = "\n".join([header, *lines[part::7]])
        (folder / f"part-{part}.csv").write_text(text + "\n", encoding="utf-8")
    return folder


def as_gzip(files: list[Path], folder: Path) -> Path:
    folder.mkdir()
    for file in files:
        (folder / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), 1))
    return folder


@pytest.mark.real
def test_real_data_gives_the_same_bits_on_any_cores_and_in_any_layout(spark, real_data, workplace, tmp_path):
    files = sorted(real_data.glob("*.csv"))
    assert spark.sparkContext.master == "local[2]"
    one = trained_elsewhere(real_data, SPARK_MASTER="local[1]")
    verify(spark, run_id=last_run().info.run_id)
    two = trained_here(spark, as_seven_files(files, tmp_path / "seven"))
    four = trained_elsewhere(as_gzip(files, tmp_path / "gzip"), SPARK_MASTER="local[4]")
    assert one == two == four
