import math
import random
import re
from datetime import date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.data import invoices
from retail_clusters.purchases import spend as purchases
from tests.conftest import PROJECT

NOON = datetime(2011, 3, 29, 12)


def lines(spark: SparkSession, *rows: tuple[Any, ...]) -> DataFrame:
    """Frame (InvoiceNo, Quantity, InvoiceDate, UnitPrice, CustomerID) as invoice lines."""
    full = [
        (no, "85123A", "X", quantity, when, price, customer, "UK")
        for no, quantity, when, price, customer in rows
    ]
    return spark.createDataFrame(full, schema.INVOICE_LINE)


def plain(result: DataFrame) -> set[tuple[Any, ...]]:
    """Reduce rows to (customer, day, total, lines, cancellations)."""
    return {
        (row[0], row.window.start, row.total_cost, row.lines, row.cancellations) for row in result.collect()
    }


def days(spark: SparkSession, *rows: tuple[str | None, int, str, int]) -> DataFrame:
    """Frame (customer, day of March 2011, total, lines) as a result."""
    shape = purchases.spend(spark.createDataFrame([], schema.INVOICE_LINE)).schema
    made = [
        (
            customer,
            (datetime(2011, 3, day), datetime(2011, 3, day) + timedelta(days=1)),
            Decimal(total),
            count,
            0,
        )
        for customer, day, total, count in rows
    ]
    return spark.createDataFrame(made, shape)


def test_spend_sums_each_customer_and_day_and_keeps_missing_customers_apart(spark: SparkSession):
    day = datetime(2011, 3, 29)
    given = lines(
        spark,
        ("1", 6, NOON, 2.55, "17850"),
        ("2", 2, NOON + timedelta(hours=3), 0.001, "17850"),
        ("C3", -1, NOON, 2.55, "17850"),
        ("4", 1, NOON + timedelta(days=1), 9.99, "17850"),
        ("5", 3, NOON, 0.1, None),
        ("C6", -3, NOON, 0.2, None),
        ("7", 1, NOON, 0.0, "0"),
    )

    assert plain(purchases.spend(given)) == {
        ("17850", day, Decimal("12.752000"), 3, 1),
        ("17850", day + timedelta(days=1), Decimal("9.990000"), 1, 0),
        (None, day, Decimal("-0.300000"), 2, 1),
        ("0", day, Decimal(0), 1, 0),
    }


def test_spend_counts_a_line_without_price_quantity_or_invoice_and_charges_nothing(spark: SparkSession):
    given = lines(spark, (None, None, NOON, 2.5, "1"), ("2", 4, NOON, None, "1"), ("3", 2, NOON, 2.5, "1"))

    assert plain(purchases.spend(given)) == {("1", datetime(2011, 3, 29), Decimal(5), 3, 0)}
    assert plain(purchases.spend(given.limit(2))) == {("1", datetime(2011, 3, 29), Decimal(0), 2, 0)}


@pytest.mark.parametrize("day", [date(2011, 3, 27), date(2011, 10, 30), date(2011, 12, 31)])
def test_spend_takes_days_in_utc_whole_on_the_days_the_clocks_change_too(spark: SparkSession, day: date):
    midnight = datetime(day.year, day.month, day.day)
    hours = [("1", 1, midnight + timedelta(hours=hour), 1.0, "1") for hour in range(24)]
    around = [("2", 1, midnight + timedelta(seconds=at), 100.0, "1") for at in (-1, 86_400)]

    found = plain(purchases.spend(lines(spark, *hours, *around)))

    assert ("1", midnight, Decimal(24), 24, 0) in found
    assert len(found) == 3


def test_spend_is_exact_where_doubles_are_not(spark: SparkSession):
    draw = random.Random(7)
    prices = [f"{draw.randrange(10**10)}.{draw.randrange(10 ** draw.randint(1, 5)):05d}" for _ in range(400)]
    quantities = [draw.randint(-80_995, 80_995) for _ in prices]
    rows = [
        (str(at), q, NOON, float(p), "1") for at, (p, q) in enumerate(zip(prices, quantities, strict=True))
    ]
    rows += [("x", 10**9, NOON, 0.1, "2"), ("y", -(10**9), NOON, 0.3, "2"), ("z", 10**9, NOON, 0.2, "2")]

    totals = {row[0]: row[2] for row in plain(purchases.spend(lines(spark, *rows)))}

    assert totals["1"] == sum(Decimal(p) * q for p, q in zip(prices, quantities, strict=True))
    assert totals["2"] == 0


def test_spend_does_not_overflow_at_the_ends_of_its_range(spark: SparkSession):
    largest, price = 2**31 - 1, math.nextafter(invoices.PRICE_LIMIT, 0)
    given = lines(spark, *[("1", largest, NOON, price, "1")] * 1000, ("2", -largest - 1, NOON, -price, "2"))

    totals = {row[0]: row[2] for row in plain(purchases.spend(given))}

    with localcontext(prec=60):
        assert totals["1"] == Decimal(repr(price)) * largest * 1000
        assert totals["2"] == Decimal(repr(price)) * (largest + 1)


def test_spend_rounds_a_price_to_a_millionth(spark: SparkSession):
    given = lines(spark, ("1", 3, NOON, 0.30000000000000004, "1"), ("2", 1, NOON, 0.0000005, "2"))

    assert {row[0]: row[2] for row in plain(purchases.spend(given))} == {
        "1": Decimal("0.9"),
        "2": Decimal("0.000001"),
    }


def test_the_group_by_of_the_docs_gives_the_same_spend(spark: SparkSession):
    text = (PROJECT / "docs" / "scoring.md").read_text(encoding="utf-8")
    over_lines, of_a_batch, over_sums = re.findall(r'= """\n(.*?)"""', text, re.DOTALL)
    given = lines(
        spark, ("1", 6, NOON, 0.1, "1"), ("2", -2, NOON, 0.3, None), ("3", 1, NOON, 0.2, 1.0)
    ).withColumn("batch_id", F.col("InvoiceNo").cast("int"))

    expected = {
        (row.CustomerID, row.window.start.date(), row.total_cost) for row in purchases.spend(given).collect()
    }

    sums = spark.sql(of_a_batch, lines=given)
    added = spark.sql(over_sums.replace("parquet.`spend`", "{sums}"), sums=sums)
    for found in (spark.sql(over_lines, lines=given), added):
        assert {(row.CustomerID, row.day, row.total_cost) for row in found.collect()} == expected


def test_summed_counts_lines_while_it_sums_up_the_good_ones(spark: SparkSession):
    given = lines(spark, ("1", 1, NOON, 2.0, "1"), ("2", 1, NOON + timedelta(days=9), 2.0, "1"))

    result, observed = purchases.summed(
        given.withColumn("reason", F.when(F.col("InvoiceNo") == "2", "broken"))
    )

    assert plain(result) == {("1", datetime(2011, 3, 29), Decimal(2), 1, 0)}
    assert observed.get == {"lines": 2, "quarantined": 1}


def test_parity_is_whole_for_equal_results_in_any_order(spark: SparkSession):
    left = days(spark, ("1", 1, "2.5", 3), (None, 1, "1", 1))
    right = days(spark, (None, 1, "1", 1), ("1", 1, "2.5", 3))

    assert purchases.parity(left, right) == purchases.Parity(differing=0, examples=[])


def test_parity_finds_a_changed_missing_extra_or_doubled_row(spark: SparkSession):
    batch = [("1", 1, "2.5", 3), ("2", 1, "2.5", 3), ("3", 1, "1", 1), ("4", 1, "1", 1), (None, 1, "1", 1)]
    stream = [("1", 1, "2.500001", 3), ("2", 1, "2.5", 4), ("4", 1, "1", 1), ("4", 1, "1", 1)]
    stream += [("0", 1, "0", 1), (None, 1, "1", 1)]

    found = purchases.parity(days(spark, *stream), days(spark, *batch))

    assert [(row.CustomerID, row.side) for row in found.examples] == [
        ("0", "stream"),
        ("1", "batch"),
        ("1", "stream"),
        ("2", "batch"),
        ("2", "stream"),
        ("3", "batch"),
        ("4", "stream"),
    ]
    assert found.differing == 5


def test_largest_orders_by_total_and_tells_the_day(spark: SparkSession):
    result = days(spark, ("1", 1, "5", 1), ("2", 1, "7", 2), ("1", 2, "4", 3), (None, 2, "7", 1))

    assert [tuple(row)[:3] for row in purchases.largest(result, 3)] == [
        (None, date(2011, 3, 2), 7),
        ("2", date(2011, 3, 1), 7),
        ("1", date(2011, 3, 1), 5),
    ]
