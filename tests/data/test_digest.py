import csv
import random
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from retail_clusters import schema
from retail_clusters.data import digest, invoices
from retail_clusters.data.csv_files import USUAL_LAYOUT, Layout
from retail_clusters.input_settings import Input

LINES = [
    "1,A,CUP,6,2011-06-30 23:59:59,2.55,17850.0,UK",
    "2,A,CUP,6,2011-06-23 08:00:00,2.55,,UK",
    "C3,A,CUP,-6,2011-06-23 08:00:00,2.55,17850.0,UK",
    '4,B,"MUG, ""BIG""",,2011-07-01 00:00:00,,17850.0,UK',
    "5,B,MUG,1,2011-10-01 00:00:00,3.0,17850.0,UK",
    "6,B,MUG,one,2011-10-01 00:00:00,3.0,17850.0,UK",
]


def parsed(
    spark: SparkSession, lines: list[str], how: Input | None = None, layout: Layout = USUAL_LAYOUT
) -> DataFrame:
    rows = spark.createDataFrame([(line, "f") for line in lines], "line string, source_file string")
    return invoices.parse(rows, how=how or Input(), layout=layout)


def digest_of(
    spark: SparkSession, lines: list[str], how: Input | None = None, layout: Layout = USUAL_LAYOUT
) -> str:
    return digest.summarize(parsed(spark, lines, how, layout)).digest


def test_good_lines_are_counted_by_day_in_utc_and_the_others_apart(spark):
    contents = digest.summarize(parsed(spark, LINES))
    assert list(contents.days.items()) == [
        ("2011-06-23", 2),
        ("2011-06-30", 1),
        ("2011-07-01", 1),
        ("2011-10-01", 1),
    ]
    assert contents.quarantined == 1


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.randoms(use_true_random=False), partitions=st.integers(1, 4))
def test_digest_does_not_depend_on_order_or_partitions(spark, order: random.Random, partitions):
    shuffled = order.sample(LINES, len(LINES))
    laid_out = parsed(spark, shuffled).repartition(partitions)
    assert digest.summarize(laid_out).digest == digest_of(spark, LINES)


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
    assert digest_of(spark, changed) != digest_of(spark, LINES)


def test_digest_is_of_what_lines_say_however_they_are_written(spark):
    usual = digest_of(spark, LINES[:5])
    assert re.fullmatch("2:[0-9a-f]{32}", usual)
    quoted = [
        LINES[0].replace("UK", '"UK"').replace("17850.0", "17850").replace("2.55", "+2.550"),
        *LINES[1:5],
    ]
    assert digest_of(spark, quoted) == usual
    german = Input(separator=";", decimal=",", date_format="dd.MM.yy HH:mm:ss", quote="'", encoding="cp1252")
    fields = [next(csv.reader([line])) for line in LINES[:5]]
    for each in fields:
        each[4] = re.sub(r"20(\d\d)-(\d\d)-(\d\d)", r"\3.\2.\1", each[4])
        each[5:7] = [field.replace(".", ",") for field in each[5:7]]
    swapped = [";".join([*reversed(each), "x"]) for each in fields]
    layout = Layout(names=(*reversed(schema.COLUMNS), "Shop"))
    assert digest_of(spark, swapped, german, layout) == usual


def test_digests_of_releases_that_hash_other_things_are_not_compared():
    assert digest.same_lines("2:aa", "2:aa") is True
    assert digest.same_lines("2:aa", "2:bb") is False
    assert digest.same_lines("aa", "bb") is False
    assert digest.same_lines("aa", "2:aa") is None


def test_digest_sees_a_pair_of_lines_that_both_came_twice(spark):
    assert digest_of(spark, [*LINES, LINES[0], LINES[1]]) != digest_of(spark, [*LINES, LINES[0], LINES[0]])
