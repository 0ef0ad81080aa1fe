"""Registered models taken apart and put together again."""

from pathlib import Path

import numpy as np
import pytest
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession

from retail_clusters.errors import RegistryError
from retail_clusters.settings import Features
from retail_clusters.training import features, lloyd
from retail_clusters.training.model import Anatomy, parse
from tests import shop

DAYS = ("Monday", "Friday", "Sunday")


def made(spark: SparkSession, *, days: tuple[str, ...] = DAYS, how: Features | None = None) -> Anatomy:
    """Take apart a model of two clusters; the first day has most lines."""
    rows = spark.createDataFrame(
        [(1.0 + n, 2 * n, day, 9 - n, 0) for n, day in enumerate(days)],
        "UnitPrice double, Quantity int, day_of_week string, weight long, cancellations long",
    )
    how = how or Features()
    slots = len(days) - (how.unseen_days == "error")
    centres = np.array([[1.0, 2.0, *range(slots)], [50.0, 60.0, *range(slots)]])
    pipeline = features.fit_features(rows, features=how)
    model = features.scoring_pipeline(pipeline, lloyd.kmeans_model(centres, spark=spark))
    return parse(model, version="1")


def test_space_is_the_same_whatever_the_order_of_its_weekdays(spark: SparkSession):
    one, other = made(spark), made(spark, days=("Sunday", "Monday", "Friday"))

    assert one.space.same_as(other.space)
    assert one.space.slots != other.space.slots
    assert other.centres_in(one.space).tolist() == [[1, 2, 1, 2, 0], [50, 60, 1, 2, 0]]


@pytest.mark.parametrize(
    ("days", "how"),
    [
        (DAYS, Features(scaling="log")),
        (DAYS, Features(scaling="standard")),
        (DAYS, Features(unseen_days="error")),
        (("Monday", "Friday"), Features()),
        (("Monday", "Friday", "Tuesday"), Features()),
    ],
)
def test_space_differs_with_scaling_unseen_days_and_weekdays(
    spark: SparkSession, days: tuple[str, ...], how: Features
):
    assert not made(spark).space.same_as(made(spark, days=days, how=how).space)


@pytest.mark.parametrize("numbers", [(1, 0), (7, 3)])
def test_renumbered_model_keeps_its_clusters_through_save_and_load(
    spark: SparkSession, tmp_path: Path, numbers: tuple[int, int]
):
    before = made(spark)

    before.renumbered(numbers, spark=spark).write().save(str(tmp_path / "model"))
    after = parse(PipelineModel.load(str(tmp_path / "model")), version="2")

    assert after.numbers == tuple(sorted(numbers))
    assert after.same_clusters_as(before)
    assert before.same_clusters_as(after)
    cheap, dear = (
        [row.prediction for row in model.transform(shop.raw_lines(spark)).collect()]
        for model in (before.renumbered((0, 1), spark=spark), before.renumbered(numbers, spark=spark))
    )
    assert [numbers[old] for old in cheap] == dear


def test_model_that_is_not_of_this_project_is_refused(spark: SparkSession):
    with pytest.raises(RegistryError, match="version 3 has the stages SQLTransformer"):
        parse(PipelineModel([features.fill_stage()]), version="3")
