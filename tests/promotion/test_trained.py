"""From training to champion: numbers from the start, and promotion wherever the store is."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from retail_clusters.promotion.promote import promote
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.search.publish import Published
from retail_clusters.search.train import train, verify
from retail_clusters.settings import Experiment, Stability
from retail_clusters.settings import Promotion as Bounds
from tests import examples, shop

EXPERIMENT = Experiment(k=4, stability=Stability(draws=2), promotion=Bounds(margin=2))
pytestmark = pytest.mark.soak

registry = ModelRegistry(EXPERIMENT.model)


@dataclass(frozen=True)
class Trainer:
    """Trains on files of the working folder, of so many lines a day."""

    spark: SparkSession

    def train(self, *, seed: int, lines: int = 60, **training: int) -> Published:
        data = Path(f"in-{lines}")
        if not data.exists():
            examples.write_files(data, lines=lines)
        experiment = EXPERIMENT.model_copy(update={"seed": seed})
        settings = experiment.training.model_copy(update=training)
        experiment = experiment.model_copy(update={"training": settings})
        return train(self.spark, data=str(data), experiment=experiment)

    def promote(self, version: str) -> str | None:
        return promote(self.spark, EXPERIMENT, version=version, reason="a test").champion


@pytest.fixture
def trainer(spark: SparkSession, workplace: Path) -> Trainer:
    tracking.connect(experiment="trained")
    return Trainer(spark)


def predictions(spark: SparkSession, version: str) -> list[int]:
    model = registry.open_version(version=version).model
    return [row.prediction for row in model.transform(shop.raw_lines(spark)).collect()]


def test_retrained_clusters_have_the_champions_numbers_are_verified_and_promoted_as_one_version(
    trainer: Trainer, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
):
    first = trainer.train(seed=0)
    assert trainer.promote(first.version) == first.version
    second = trainer.train(seed=3, lines=80)
    tags = registry.read_version(version=second.version).tags
    assert tags["cluster_numbers"] != "0,1,2,3"
    assert predictions(trainer.spark, second.version) == predictions(trainer.spark, first.version)
    clusters = registry.read_version(version=second.version).description
    assert clusters.count("\n| ") > 4
    assert tags["evidence"] == "all rows"
    verified = verify(trainer.spark, version=second.version, model_name=EXPERIMENT.model)
    assert {"model_digest", "labels_digest", "centres"} <= verified.metrics.keys()
    assert verified.metrics["model_digest"] == verified.metrics["centres"] == tags["model_digest"]

    for folder in ("data", "in-60", "in-80"):
        shutil.rmtree(folder)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))

    assert trainer.promote(second.version) == second.version == registry.latest_version()
    assert predictions(trainer.spark, second.version) == predictions(trainer.spark, first.version)


def test_rows_that_stay_in_spark_are_carried_too(trainer: Trainer):
    version = trainer.train(seed=0, in_memory_rows=50).version

    assert trainer.promote(version) == version
