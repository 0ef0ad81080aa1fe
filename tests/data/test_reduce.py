import csv
import random
import re
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.data import invoices, reduce
from retail_clusters.data.csv_files import USUAL_LAYOUT, Layout
from retail_clusters.input_settings import Input
from retail_clusters.settings import Split
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


def digest(
    spark: SparkSession, lines: list[str], how: Input | None = None, layout: Layout = USUAL_LAYOUT
) -> str:
    rows = spark.createDataFrame([(line, "f") for line in lines], "line string, source_file string")
    parsed = invoices.parse(rows, how=how or Input(), layout=layout)
    return reduce.summarize(reduce.reduce_lines(parsed, split=Split())).digest


@pytest.mark.parametrize(
    "changed",
    [
        [*LINES[:-1], LINES[-1].replace("MUG", "MUH")],
        [*LINES, LINES[0]],
        LINES[1:],
        [LINES[0].replace("UK", "U K"), *LINES[1:]],
        [LINES[0].replace("UK", "UK "), *LINES[1:]],
        [LINES[1].replace("2,A,CUP", "2,,CUP"), *LINES[:1], *LINES[2:]],
        [LINES[1].replace("2,A,CUP", ",2,CUP"), *LINES[:1], *LINES[2:]],
    ],
    ids=["a sign of a quarantined line", "a line twice", "a line less", "a blank inside a text", "a blank after a text",
         "a value less", "a value in the next column"],
)  # fmt: skip
def test_digest_changes_with_what_a_line_says(spark, changed):
    assert digest(spark, changed) != digest(spark, LINES)


def test_digest_is_of_what_lines_say_however_they_are_written(spark):
    usual = digest(spark, LINES[:5])
    assert re.fullmatch("2:[0-9a-f]{32}", usual)
    quoted = [
        LINES[0].replace("UK", '"UK"').replace("17850.0", "17850").replace("2.55", "+2.550"),
        *LINES[1:5],
    ]
    assert digest(spark, quoted) == usual
    german = Input(separator=";", decimal=",", date_format="dd.MM.yy HH:mm:ss", quote="'", encoding="cp1252")
    fields = [next(csv.reader([line])) for line in LINES[:5]]
    for each in fields:
        each[4] = re.sub(r"20(\d\d)-(\d\d)-(\d\d)", r"\3.\2.\1", each[4])
        each[5:7] = [field.replace(".", ",") for field in each[5:7]]
    swapped = [";".join([*reversed(each), "x"]) for each in fields]
    layout = Layout(names=(*reversed(schema.COLUMNS), "Shop"))
    assert digest(spark, swapped, german, layout) == usual


def test_digests_of_releases_that_hash_other_things_are_not_compared():
    assert reduce.same_lines("2:aa", "2:aa") is True
    assert reduce.same_lines("2:aa", "2:bb") is False
    assert reduce.same_lines("aa", "bb") is False
    assert reduce.same_lines("aa", "2:aa") is None


def test_digest_sees_a_pair_of_lines_that_both_came_twice(spark):
    assert digest(spark, [*LINES, LINES[0], LINES[1]]) != digest(spark, [*LINES, LINES[0], LINES[0]])


def test_the_digest_of_more_lines_than_64_bits_add_up_is_a_digest(spark):
    """Ten billion lines: their hashes, added up in halves, would not fit a long."""
    made = reduced(spark, LINES)
    many = made.withColumn("_low_1", F.lit(2**62)).withColumn("_high_2", F.lit(2**62))
    assert len(reduce.summarize(many).digest) == 34


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
