import math

import numpy as np
import pytest
from pyspark.ml.feature import StandardScaler, StringIndexer, VectorAssembler
from pyspark.sql import DataFrame, SparkSession

from retail_clusters import schema
from retail_clusters.features import stages
from retail_clusters.features.rows import WeightedRows
from retail_clusters.search.spark_solver import expanded_lines
from retail_clusters.settings import Features
from tests import examples

#: In the order of their key.
ROWS = (
    (-11062.06, 1, "Friday", 1, 0),
    (0.0, 0, "Sunday", 2, 0),
    (1.0, -6, "Monday", 1, 1),
    (2.55, 6, "Thursday", 3, 0),
    (38970.0, 80995, "Monday", 1, 0),
)


def vectors(spark: SparkSession, how: Features, rows: WeightedRows | None = None) -> np.ndarray:
    rows = rows or examples.weighted(*ROWS)
    pipeline = stages.fit_features(rows, features=how, spark=spark)
    return stages.vectors([rows], pipeline=pipeline, spark=spark)[0]


def lines_of(spark: SparkSession, rows: WeightedRows) -> DataFrame:
    """Return a row for each line."""
    return spark.createDataFrame(
        [row for row in rows.table.to_pylist() for _ in range(row[schema.WEIGHT])], schema.WEIGHTED_ROW
    )


def test_vector_is_price_quantity_and_a_slot_for_each_day_in_the_order_of_a_string_indexer(spark):
    rows = examples.weighted(*ROWS)
    pipeline = stages.fit_features(rows, features=Features(), spark=spark)
    indexer = StringIndexer(inputCol=schema.DAY_OF_WEEK, outputCol="i").fit(lines_of(spark, rows))
    assert pipeline.stages[0].labels == indexer.labels == ["Thursday", "Monday", "Sunday", "Friday"]
    assert vectors(spark, Features()).tolist()[3] == [2.55, 6, 1, 0, 0, 0]


def test_error_mode_drops_the_rarest_day_as_the_notebook_does(spark):
    found = vectors(spark, Features(unseen_days="error"))
    assert found[3].tolist() == [2.55, 6, 1, 0, 0]
    assert found[0].tolist() == [-11062.06, 1, 0, 0, 0]


def test_log_scaling_keeps_the_sign(spark):
    found = vectors(spark, Features(scaling="log"))
    assert found[2, 1] == pytest.approx(-math.log1p(6), abs=1e-15)
    assert found[4, 0] == pytest.approx(math.log1p(38970), abs=1e-12)
    assert found[1, :2].tolist() == [0, 0]


def test_standard_scaling_is_that_of_the_lines(spark):
    rows = examples.weighted(*ROWS)
    assembler = VectorAssembler(inputCols=["UnitPrice", "Quantity"], outputCol="raw")
    raw = assembler.transform(lines_of(spark, rows))
    scaler = StandardScaler(withMean=True, inputCol="raw", outputCol="scaled")
    expected = [row.scaled.toArray() for row in scaler.fit(raw).transform(raw).select("scaled").collect()]
    found = vectors(spark, Features(scaling="standard"))[:, :2]
    assert np.repeat(found, rows.weights.astype(int), axis=0) == pytest.approx(np.array(expected), abs=1e-9)
    one_price = examples.weighted((2.0, 1, "Monday", 2, 0), (2.0, 3, "Monday", 2, 0))
    assert vectors(spark, Features(scaling="standard"), one_price)[:, 0].tolist() == [0, 0]


def test_vectors_of_parts_and_of_single_lines_come_in_canonical_order(spark):
    rows = examples.weighted(*ROWS)
    parts = [rows, examples.weighted(ROWS[1]), examples.weighted(*ROWS[2:4])]
    pipeline = stages.fit_features(rows, features=Features(), spark=spark)
    whole, one, two = stages.vectors(parts, pipeline=pipeline, spark=spark)
    assert [one.tolist(), two.tolist()] == [whole[1:2].tolist(), whole[2:4].tolist()]
    lines = expanded_lines(rows, pipeline=pipeline, spark=spark)
    assert lines.rdd.getNumPartitions() == 1
    expected = np.repeat(whole, rows.weights.astype(int), axis=0)
    assert [row.features.toArray().tolist() for row in lines.collect()] == expected.tolist()
