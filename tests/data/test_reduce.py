import random
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.data import invoices, reduce
from retail_clusters.settings import Columns, Split
from tests import examples

LINES = [
    "1,A,CUP,6,2011-06-30 23:59:59,2.55,17850.0,UK",
    "2,A,CUP,6,2011-06-23 08:00:00,2.55,,UK",
    "C3,A,CUP,-6,2011-06-23 08:00:00,2.55,17850.0,UK",
    '4,B,"MUG, ""BIG""",,2011-07-01 00:00:00,,17850.0,UK',
    "5,B,MUG,1,2011-10-01 00:00:00,3.0,17850.0,UK",
    "6,B,MUG,one,2011-10-01 00:00:00,3.0,17850.0,UK",
]


def reduced(spark: SparkSession, lines: list[str], *, partitions: int = 1) -> DataFrame:
    rows = spark.createDataFrame([(line, "f") for line in lines], "line string, source_file string")
    return reduce.reduce_lines(invoices.parse(rows.repartition(partitions)), split=Split())


def test_lines_are_split_by_date_and_weighted(spark):
    made = reduced(spark, LINES)
    contents = reduce.summarize(made)
    assert contents.lines == {"train": 3, "validation": 1, "test": 1, "quarantine": 1}
    assert contents.rows == {"train": 2, "validation": 1, "test": 1, "quarantine": 1}
    rows = made.select(schema.SPLIT, *schema.WEIGHTED_ROW.names).collect()
    assert sorted(map(tuple, rows), key=str) == sorted(
        [
            ("train", 2.55, 6, "Thursday", 2, 0),
            ("train", 2.55, -6, "Thursday", 1, 1),
            ("validation", 0.0, 0, "Friday", 1, 0),
            ("test", 3.0, 1, "Saturday", 1, 0),
            ("quarantine", None, None, None, 1, 0),
        ],
        key=str,
    )


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.randoms(use_true_random=False), partitions=st.integers(1, 4))
def test_digest_does_not_depend_on_order_or_partitions(spark, order: random.Random, partitions):
    shuffled = order.sample(LINES, len(LINES))
    digest = reduce.summarize(reduced(spark, shuffled, partitions=partitions)).digest
    assert digest == reduce.summarize(reduced(spark, LINES)).digest


@pytest.mark.parametrize(
    "changed",
    [
        [*LINES[:-1], LINES[-1].replace("MUG", "MUH")],
        [*LINES, LINES[0]],
        LINES[1:],
        [LINES[0].replace("UK", "U K"), *LINES[1:]],
        [LINES[0] + " ", *LINES[1:]],
    ],
    ids=["a byte of a quarantined line", "a line twice", "a line less", "a blank more", "a blank at the end"],
)
def test_digest_changes_with_any_content(spark, changed):
    assert reduce.summarize(reduced(spark, changed)).digest != reduce.summarize(reduced(spark, LINES)).digest


def test_digest_sees_a_pair_of_lines_that_both_came_twice(spark):
    twice = reduce.summarize(reduced(spark, [*LINES, LINES[0], LINES[1]])).digest
    assert twice != reduce.summarize(reduced(spark, [*LINES, LINES[0], LINES[0]])).digest


def test_the_digest_of_more_lines_than_64_bits_add_up_is_a_digest(spark):
    """Ten billion lines: their hashes, added up in halves, would not fit a long."""
    made = reduced(spark, LINES)
    many = made.withColumn("_low_1", F.lit(2**62)).withColumn("_high_2", F.lit(2**62))
    assert len(reduce.summarize(many).digest) == 32


def test_another_form_of_the_date_is_another_content(spark):
    made = reduced(spark, LINES)
    digests = {
        reduce.summarize(made, columns=Columns(date_format=form)).digest
        for form in ("yyyy-MM-dd HH:mm:ss", "dd/MM/yyyy HH:mm", "MM/dd/yyyy HH:mm")
    }
    assert len(digests) == 3


def test_rows_of_several_splits_are_merged(spark):
    (row,) = reduce.weighted_rows(
        reduced(spark, [LINES[4], LINES[4].replace("2011-10-01", "2011-09-17")]),
        [schema.VALIDATION, schema.TEST],
    ).collect()
    assert (row.weight, row.days) == (2, [])


def test_a_training_row_knows_its_days_in_utc(spark):
    found = reduced(spark, [*LINES, LINES[1].replace("08:00:00", "23:59:59")]).collect()
    (row,) = (row for row in found if row.split == schema.TRAIN and row.Quantity == 6)
    day_numbers = [(date(2011, 6, day) - date(1970, 1, 1)).days for day in (23, 30)]
    assert [(day.day, day.lines) for day in row.days] == [(day_numbers[0], 2), (day_numbers[1], 1)]
    for row in found:
        assert sum(day.lines for day in row.days) == (row.weight if row.split == schema.TRAIN else 0)


def test_canonical_layout_follows_from_the_rows_alone(spark):
    rows = [examples.whole((float(i % 7), i, "Monday", 1, 0)) for i in range(60)]
    frames = [
        spark.createDataFrame(rows, schema.WEIGHTED_ROW).repartition(3),
        spark.createDataFrame(rows[::-1], schema.WEIGHTED_ROW).repartition(5),
    ]
    laid_out = [reduce.canonical(frame, count=60, rows_per_partition=20) for frame in frames]
    assert laid_out[0].rdd.glom().collect() == laid_out[1].rdd.glom().collect()
    assert laid_out[0].rdd.getNumPartitions() == 3
