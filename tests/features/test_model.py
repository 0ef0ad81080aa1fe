"""Registered models taken apart and put together again."""

from pathlib import Path

import numpy as np
import pytest
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession

from retail_clusters import schema
from retail_clusters.errors import RegistryError
from retail_clusters.features import model, stages
from retail_clusters.features.model import ParsedModel, parse
from retail_clusters.settings import Features
from tests import examples, shop

DAYS = ("Monday", "Friday", "Sunday")


def pipeline_of(
    spark: SparkSession, *, days: tuple[str, ...] = DAYS, how: Features | None = None
) -> PipelineModel:
    """Make a model of two clusters; the first day has most lines."""
    how = how or Features()
    rows = examples.weighted(*((1.0 + n, 2 * n, day, 9 - n, 0) for n, day in enumerate(days)))
    slots = len(days) - (how.unseen_days == "error")
    centres = examples.centres([(1.0, 2.0), (50.0, 60.0)], range(slots))
    fitted = stages.fit_features(rows, features=how, spark=spark)
    return model.scoring_pipeline(fitted, centres, spark=spark)


def made(spark: SparkSession, **changes: object) -> ParsedModel:
    return parse(pipeline_of(spark, **changes), version="1")  # type: ignore[arg-type]


def predictions(scorer: PipelineModel, lines: DataFrame) -> list[int]:
    return [row.prediction for row in scorer.transform(lines).select(schema.PREDICTION).collect()]


def test_space_is_the_same_whatever_the_order_of_its_weekdays(spark: SparkSession):
    one, other = made(spark), made(spark, days=("Sunday", "Monday", "Friday"))

    assert one.space.same_as(other.space)
    assert one.space.slots != other.space.slots
    expected = examples.centres([(1, 2), (50, 60)], (1, 2, 0))
    assert other.centres_in(one.space).tolist() == expected.tolist()


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
    loaded = PipelineModel.load(str(tmp_path / "model"))
    after = parse(loaded, version="2")

    assert after.numbers == tuple(sorted(numbers))
    assert after.in_trained_order(numbers).centres.tolist() == before.centres.tolist()
    assert after.in_trained_order(()) is after
    assert after.same_clusters_as(before)
    assert before.same_clusters_as(after)
    lines = shop.raw_lines(spark)
    old = predictions(before.renumbered((0, 1), spark=spark), lines)
    assert predictions(loaded, lines) == [numbers[number] for number in old]


def test_centres_come_back_from_the_model_to_the_bit(spark: SparkSession):
    centres = np.array([[0.1 + 0.2, -7.5], [5e-324, 80_995.000000000015], [1e300, 1 / 3]])
    found = model.kmeans_model(centres, spark=spark).clusterCenters()
    assert np.array(found).tobytes() == centres.tobytes()


def test_model_that_is_not_of_this_project_is_refused(spark: SparkSession):
    with pytest.raises(RegistryError, match="version 3 has the stages SQLTransformer"):
        parse(PipelineModel([stages.fill_stage()]), version="3")


@pytest.mark.parametrize("scaling", ["none", "standard", "log"])
def test_scoring_pipeline_takes_raw_lines_and_adds_only_the_prediction(spark, tmp_path, scaling):
    rows = examples.weighted(
        *[(2.55, 6, "Thursday", 3, 0), (1.0, -6, "Monday", 1, 1), (0.0, 0, "Sunday", 2, 0)],
        (38970.0, 80995, "Monday", 1, 0),
    )
    pipeline = stages.fit_features(rows, features=Features(scaling=scaling), spark=spark)
    (values,) = stages.vectors([rows], pipeline=pipeline, spark=spark)
    scorer = model.scoring_pipeline(pipeline, values, spark=spark)
    raw = spark.sql(
        "SELECT '1' AS InvoiceNo, 'A' AS StockCode, 'CUP' AS Description, n AS Quantity, "
        "to_timestamp(day) AS InvoiceDate, price AS UnitPrice, cast(null AS string) AS CustomerID, "
        "'UK' AS Country FROM VALUES (6, '2011-06-30', 2.55D), (null, '2011-06-26', null), "
        "(80995, '2011-06-27', 38970D), (6, '2011-07-02', 2.55D) AS t(n, day, price)"
    )
    scored = scorer.transform(raw)
    assert set(scored.columns) == {*schema.COLUMNS, schema.PREDICTION}
    assert [row.prediction for row in scored.collect()] == [2, 0, 3, 2]
    scorer.write().save(str(tmp_path / "model"))
    assert predictions(PipelineModel.load(str(tmp_path / "model")), raw) == [2, 0, 3, 2]


def test_model_of_the_first_version_is_parsed_and_scores_as_one_of_today(spark: SparkSession, tmp_path: Path):
    centres = made(spark).centres
    examples.first_version(spark, centres, days=DAYS).write().save(str(tmp_path / "model"))
    old = PipelineModel.load(str(tmp_path / "model"))

    parsed = parse(old, version="1")
    assert parsed.same_clusters_as(made(spark))
    assert parsed.numbers == (0, 1)
    model.check_model(spark, old, version="1")
    lines = shop.raw_lines(spark)
    assert predictions(old, lines) == predictions(pipeline_of(spark), lines)
    renumbered = parsed.renumbered((1, 4), spark=spark)
    assert parse(renumbered, version="2").numbers == (1, 4)


def test_labels_digest_is_that_of_the_numbers_whatever_their_type():
    assert model.labels_digest(np.array([1, 0, 2], dtype=np.int32)) == model.labels_digest(
        np.array([1, 0, 2])
    )
    assert model.labels_digest(np.array([1, 0, 2])) != model.labels_digest(np.array([1, 2, 0]))


def test_table_of_centres_gives_their_bits_back():
    centres = np.array([[0.1 + 0.2, 1 / 3, 1.0], [2.0, -7.5, 0.0]])
    table = model.centres_table(centres)
    assert table.columns.tolist() == ["cluster", "UnitPrice", "Quantity", "weekday_0"]
    assert model.centres_digest(table.drop(columns="cluster").to_numpy()) == model.centres_digest(centres)
