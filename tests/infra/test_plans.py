"""A contract with Spark's private classes: a query's operators hold over another frame of the same shape."""

import pytest
from pyspark.ml.feature import SQLTransformer
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType
from pyspark.testing import assertDataFrameEqual

from retail_clusters.infra.plans import Template, empty

SHAPE = StructType().add("name", "string").add("number", "integer")


def query(frame: DataFrame) -> DataFrame:
    doubled = SQLTransformer(statement="SELECT *, number * 2 AS doubled FROM __THIS__").transform(frame)
    return doubled.where("number > 1").select(F.upper("name").alias("name"), "doubled")


def test_a_template_gives_what_its_query_gives_over_any_frame(spark: SparkSession) -> None:
    template = Template(empty(spark, SHAPE), query)
    for rows in ([("a", 1), ("b", 2)], [("c", 3)], []):
        frame = spark.createDataFrame(rows, SHAPE)
        assertDataFrameEqual(template.over(frame), query(frame))


def test_a_template_over_a_template_can_be_observed_between(spark: SparkSession) -> None:
    first = Template(empty(spark, SHAPE), query)
    second = Template(first.result, lambda frame: frame.withColumn("half", F.col("doubled") / 2))
    seen = Observation()
    made = first.over(spark.createDataFrame([("a", 1), ("b", 2), ("c", 3)], SHAPE))
    rows = second.over(made.observe(seen, F.count(F.lit(1)).alias("rows"))).collect()
    assert [tuple(row) for row in rows] == [("B", 4, 2.0), ("C", 6, 3.0)]
    assert seen.get == {"rows": 2}


def test_columns_of_a_templates_result_keep_their_numbers(spark: SparkSession) -> None:
    """So that one template's operators can stand on another's as they are."""
    template = Template(empty(spark, SHAPE), query)
    numbers = template.result._jdf.queryExecution().analyzed().outputSet()
    for rows in ([("a", 1)], [("c", 3)]):
        made = template.over(spark.createDataFrame(rows, SHAPE))
        assert made._jdf.queryExecution().analyzed().outputSet().equals(numbers)
    assert template.result.collect() == []


def test_a_query_of_two_inputs_is_refused(spark: SparkSession) -> None:
    with pytest.raises(ValueError, match="must have one input, but got Join"):
        Template(
            empty(spark, SHAPE), lambda frame: frame.crossJoin(frame.select(F.col("name").alias("other")))
        )
