import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.ml.feature import StandardScaler, StringIndexer, VectorAssembler
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.settings import Features
from retail_clusters.training import features
from retail_clusters.training.lloyd import kmeans_model

ROWS = [
    (2.55, 6, "Thursday", 3, 0),
    (1.0, -6, "Monday", 1, 1),
    (0.0, 0, "Sunday", 2, 0),
    (38970.0, 80995, "Monday", 1, 0),
]


def rows_of(spark: SparkSession, rows=ROWS) -> DataFrame:
    return spark.createDataFrame(rows, schema.WEIGHTED_ROW).coalesce(1)


def expanded(rows: DataFrame) -> DataFrame:
    return rows.withColumn("one", F.explode(F.sequence(F.lit(1), "weight")))


def vectors(spark: SparkSession, chosen: Features, rows=ROWS) -> np.ndarray:
    frame = rows_of(spark, rows)
    pipeline = features.fit_features(frame, features=chosen)
    return np.array([row["values"] for row in features.with_features(frame, pipeline).collect()])


def test_weekdays_are_ordered_as_a_string_indexer_fitted_on_the_lines_orders_them(spark):
    frame = rows_of(spark)
    pipeline = features.fit_features(frame, features=Features())
    spark_labels = StringIndexer(inputCol="day_of_week", outputCol="i").fit(expanded(frame)).labels
    assert pipeline.stages[0].labels == spark_labels == ["Thursday", "Monday", "Sunday"]


def test_unscaled_vector_is_price_quantity_and_a_slot_for_each_known_day(spark):
    assert vectors(spark, Features()).tolist()[0] == [2.55, 6, 1, 0, 0]


def test_error_mode_drops_the_rarest_day_as_the_notebook_does(spark):
    found = vectors(spark, Features(unseen_days="error"))
    assert found.shape[1] == 4
    assert found.tolist()[0] == [2.55, 6, 1, 0]


def test_log_scaling_keeps_the_sign(spark):
    found = vectors(spark, Features(scaling="log"))
    assert found[1, 1] == pytest.approx(-math.log1p(6), abs=1e-15)
    assert found[3, 0] == pytest.approx(math.log1p(38970), abs=1e-12)
    assert found[2, :2].tolist() == [0, 0]


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.integers(-999, 999).map(lambda cents: cents / 100), st.integers(-50, 50)),
        min_size=2,
        max_size=9,
        unique=True,
    ),
    weight=st.integers(1, 5),
)
def test_standard_scaling_is_that_of_the_lines(spark, rows, weight):
    weighted = [(price, quantity, "Monday", weight + i, 0) for i, (price, quantity) in enumerate(rows)]
    lines = expanded(rows_of(spark, weighted))
    raw = VectorAssembler(inputCols=["UnitPrice", "Quantity"], outputCol="raw").transform(lines)
    scaler = StandardScaler(withMean=True, inputCol="raw", outputCol="scaled")
    expected = scaler.fit(raw).transform(raw).select("scaled").distinct().collect()
    found = vectors(spark, Features(scaling="standard"), weighted)[:, :2]
    assert np.allclose(sorted(found.tolist()), sorted(row.scaled.tolist() for row in expected), atol=1e-9)


@pytest.mark.parametrize("scaling", ["none", "standard", "log"])
def test_scoring_pipeline_takes_raw_lines_and_adds_only_the_prediction(spark, tmp_path, scaling):
    frame = rows_of(spark)
    pipeline = features.fit_features(frame, features=Features(scaling=scaling))
    values = [row["values"] for row in features.with_features(frame, pipeline).collect()]
    model = features.scoring_pipeline(pipeline, kmeans_model(np.array(values), spark=spark))
    raw = spark.sql(
        "SELECT '1' AS InvoiceNo, 'A' AS StockCode, 'CUP' AS Description, n AS Quantity, "
        "to_timestamp(day) AS InvoiceDate, price AS UnitPrice, cast(null AS double) AS CustomerID, "
        "'UK' AS Country FROM VALUES (6, '2011-06-30', 2.55D), (null, '2011-06-26', null), "
        "(80995, '2011-06-27', 38970D), (6, '2011-07-02', 2.55D) AS t(n, day, price)"
    )
    scored = model.transform(raw)
    assert set(scored.columns) == {*schema.COLUMNS, schema.PREDICTION}
    assert [row.prediction for row in scored.collect()] == [0, 2, 3, 0]
    assert scored.where("CustomerID IS NULL OR Quantity IS NULL OR UnitPrice IS NULL").count() == 0
    model.write().save(str(tmp_path / "model"))
    again = type(model).load(str(tmp_path / "model")).transform(raw)
    assert again.collect() == scored.collect()
