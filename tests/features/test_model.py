"""Registered models: from raw lines to numbers of clusters, saved, loaded and put together again."""

from datetime import date, datetime
from pathlib import Path

import numpy as np
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession

from retail_clusters import schema
from retail_clusters.features import earlier, model, pipeline
from retail_clusters.features.model import ScoringModel
from retail_clusters.features.pipeline import FeatureSpace, Fitted
from retail_clusters.question import Feature, Question, Unit
from tests import examples, shop

DAYS = ("Monday", "Friday", "Sunday")
CUSTOMERS = Question(
    unit=Unit(by=("CustomerID",), days=30),
    clean={"no_customer": "CustomerID IS NULL", "cancelled": "InvoiceNo LIKE 'C%'"},
    features={
        "recency": Feature(sql="datediff(as_of, max(InvoiceDate))"),
        "spend": Feature(sql="sum(cost)", fill=None),
    },
)


def made(
    spark: SparkSession, *, days: tuple[str, ...] = DAYS, scale: str = "none", unseen: str = "keep"
) -> ScoringModel:
    """Make a model of two clusters; the first day has most lines."""
    rows = examples.weighted(*((1.0 + n, 2 * n, day, 9 - n) for n, day in enumerate(days)))
    space = pipeline.fit_space(
        rows, Question(features=examples.lines(scale=scale, unseen=unseen)), spark=spark
    )
    return ScoringModel.of(space, examples.centres([(1.0, 2.0), (50.0, 60.0)], range(len(space.names) - 2)))


def customers() -> ScoringModel:
    """Make a model of customers of two clusters: recency 1 and spend 10, recency 20 and spend 0."""
    space = FeatureSpace(CUSTOMERS, {"recency": Fitted(), "spend": Fitted()})
    return ScoringModel.of(space, np.array([[1.0, 10.0], [20.0, 0.0]])).numbered((5, 2))


def bought(spark: SparkSession) -> DataFrame:
    """Return lines of four customers: lately, long ago, only cancelled, without a price; and of none."""
    return spark.createDataFrame(
        [
            ("1", "A", None, 4, datetime(2011, 6, 30, 8), 2.5, "lately", "UK"),
            ("2", "A", None, 1, datetime(2011, 6, 11, 8), 0.1, "once", "UK"),
            ("3", "A", None, 1, datetime(2011, 5, 1, 8), 9.0, "lately", "UK"),
            ("C4", "A", None, -1, datetime(2011, 6, 11, 8), 0.1, "cancelled", "UK"),
            ("5", "A", None, 1, datetime(2011, 6, 11, 8), None, "free", "UK"),
            ("6", "A", None, 1, datetime(2011, 6, 11, 8), 1.0, None, "UK"),
        ],
        schema.INVOICE_LINE,
    )


def saved(spark: SparkSession, one: ScoringModel, place: Path) -> PipelineModel:
    one.pipeline(spark=spark).write().save(str(place))
    return PipelineModel.load(str(place))


def predictions(scorer: PipelineModel, lines: DataFrame) -> list[int | None]:
    return [row.prediction for row in scorer.transform(lines).select(schema.PREDICTION).collect()]


def test_numbered_model_keeps_its_clusters_through_save_and_load(spark, tmp_path):
    before = made(spark)
    numbers = (7, 3)
    loaded = saved(spark, before.numbered(numbers), tmp_path / "model")
    lines = shop.raw_lines(spark)
    old = predictions(before.pipeline(spark=spark), lines)
    assert predictions(loaded, lines) == [numbers[number] for number in old]


def test_lines_stay_as_they_came_with_any_column_and_get_one_more(spark):
    raw = spark.sql(
        "SELECT 'x' AS price, n AS Quantity, day AS InvoiceDate, cost AS UnitPrice, 7 AS `a b` FROM VALUES "
        "(6, '2011-06-27', 2.55D), (null, '2011-06-26', null) AS t(n, day, cost)"
    )
    scored = made(spark).pipeline(spark=spark).transform(raw)
    assert scored.columns == [*raw.columns, schema.PREDICTION]
    assert scored.drop(schema.PREDICTION).collect() == raw.collect()


def test_line_that_a_rule_leaves_out_has_no_prediction_and_stays_in_its_place(spark):
    one = made(spark)
    question = one.space.question.model_copy(update={"clean": {"cancelled": "Quantity < 0"}})
    scorer = ScoringModel.of(FeatureSpace(question, one.space.fitted), one.centres).pipeline(spark=spark)
    raw = spark.sql(
        "SELECT n AS Quantity, '2011-06-27' AS InvoiceDate, 1D AS UnitPrice FROM VALUES (1), (-1), (2) AS t(n)"
    )
    assert [found is None for found in predictions(scorer, raw)] == [False, True, False]


def test_category_that_a_model_refuses_has_no_prediction(spark):
    scorer = made(spark, unseen="error").pipeline(spark=spark)
    raw = spark.sql(
        "SELECT 1 AS Quantity, day AS InvoiceDate, 1D AS UnitPrice FROM VALUES ('2011-06-27'), ('2011-06-28') AS t(day)"
    )
    assert predictions(scorer, raw) == [0, None]  # a Monday, a Tuesday


def test_model_of_a_unit_gives_key_and_number_as_of_the_last_day(spark, tmp_path):
    loaded = saved(spark, customers(), tmp_path / "model")
    found = {row.CustomerID: row.prediction for row in loaded.transform(bought(spark)).collect()}
    assert found == {"lately": 5, "once": 2, "free": None}


def test_end_of_the_window_can_be_another_day(spark):
    scorer = customers().pipeline(spark=spark, as_of=date(2011, 6, 12))
    found = {row.CustomerID: row.prediction for row in scorer.transform(bought(spark)).collect()}
    assert found == {"once": 5, "free": None}


def test_same_clusters_are_the_same_whatever_the_order_of_categories_and_numbers(spark):
    one, other = made(spark), made(spark, days=("Sunday", "Monday", "Friday"))
    aligned = ScoringModel(other.space, one.centres[::-1][:, one.space.order_in(other.space)], (4, 9))
    assert aligned.same_clusters_as(one)
    assert not other.same_clusters_as(one)
    assert not made(spark, scale="log").same_clusters_as(one)


def test_centres_are_seen_in_another_space_of_the_same_question_as_means_of_their_records(spark):
    rows = examples.weighted((1.0, 1, "Monday", 1), (3.0, 5, "Friday", 3))
    one, other = made(spark), made(spark, days=("Monday", "Friday"))
    seen = one.centres_seen_by(other, rows, np.array([0, 0]), spark=spark)
    assert seen[0].tolist() == [2.5, 4.0, 0.25, 0.75]
    assert (seen[1] > 1e99).all()


def test_centres_come_back_from_the_model_to_the_bit(spark):
    centres = np.array([[0.1 + 0.2, -7.5], [5e-324, 80_995.000000000015], [1e300, 1 / 3]])
    found = model.kmeans_model(centres, spark=spark).clusterCenters()
    assert np.array(found).tobytes() == centres.tobytes()


def test_model_of_the_first_version_scores_as_one_of_today(spark, tmp_path):
    today = made(spark)
    examples.first_version(spark, today.centres, days=DAYS).write().save(str(tmp_path / "model"))
    old = PipelineModel.load(str(tmp_path / "model"))
    lines = shop.raw_lines(spark)
    found = [row.prediction for row in earlier.score(lines, old).collect()]
    assert found == predictions(today.pipeline(spark=spark), lines)
    assert all(earlier.foreign(stage) is None for stage in old.stages)


def test_labels_digest_is_that_of_the_numbers_whatever_their_type():
    small = np.array([1, 0, 2], dtype=np.int32)
    assert model.labels_digest(small) == model.labels_digest(np.array([1, 0, 2]))
    assert model.labels_digest(small) != model.labels_digest(np.array([1, 2, 0]))


def test_table_of_centres_gives_their_bits_back(spark):
    one = made(spark)
    table = model.centres_table(one)
    assert table.columns.tolist() == ["cluster", *one.space.names]
    assert model.centres_digest(table.drop(columns="cluster").to_numpy()) == model.centres_digest(one.centres)
