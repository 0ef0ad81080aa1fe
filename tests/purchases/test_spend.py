import math
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.testing import assertDataFrameEqual

from retail_clusters import schema
from retail_clusters.data import invoices
from retail_clusters.purchases import spend as purchases

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


def days(spark: SparkSession, *rows: tuple[float | None, int, str, int]) -> DataFrame:
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
        ("1", 6, NOON, 2.55, 17850.0),
        ("2", 2, NOON + timedelta(hours=3), 0.001, 17850.0),
        ("C3", -1, NOON, 2.55, 17850.0),
        ("4", 1, NOON + timedelta(days=1), 9.99, 17850.0),
        ("5", 3, NOON, 0.1, None),
        ("C6", -3, NOON, 0.2, None),
        ("7", 1, NOON, 0.0, 0.0),
    )

    assert plain(purchases.spend(given)) == {
        (17850.0, day, Decimal("12.752000"), 3, 1),
        (17850.0, day + timedelta(days=1), Decimal("9.990000"), 1, 0),
        (None, day, Decimal("-0.300000"), 2, 1),
        (0.0, day, Decimal(0), 1, 0),
    }


def test_spend_counts_a_line_without_price_quantity_or_invoice_and_charges_nothing(spark: SparkSession):
    given = lines(spark, (None, None, NOON, 2.5, 1.0), ("2", 4, NOON, None, 1.0), ("3", 2, NOON, 2.5, 1.0))

    assert plain(purchases.spend(given)) == {(1.0, datetime(2011, 3, 29), Decimal(5), 3, 0)}
    assert plain(purchases.spend(given.limit(2))) == {(1.0, datetime(2011, 3, 29), Decimal(0), 2, 0)}


@pytest.mark.parametrize("day", [date(2011, 3, 27), date(2011, 10, 30), date(2011, 12, 31)])
def test_spend_takes_days_in_utc_whole_on_the_days_the_clocks_change_too(spark: SparkSession, day: date):
    midnight = datetime(day.year, day.month, day.day)
    hours = [("1", 1, midnight + timedelta(hours=hour), 1.0, 1.0) for hour in range(24)]
    around = [("2", 1, midnight + timedelta(seconds=at), 100.0, 1.0) for at in (-1, 86_400)]

    found = plain(purchases.spend(lines(spark, *hours, *around)))

    assert (1.0, midnight, Decimal(24), 24, 0) in found
    assert len(found) == 3


def test_spend_is_exact_where_doubles_are_not(spark: SparkSession):
    draw = random.Random(7)
    prices = [f"{draw.randrange(10**10)}.{draw.randrange(10 ** draw.randint(1, 5)):05d}" for _ in range(400)]
    quantities = [draw.randint(-80_995, 80_995) for _ in prices]
    rows = [
        (str(at), q, NOON, float(p), 1.0) for at, (p, q) in enumerate(zip(prices, quantities, strict=True))
    ]
    rows += [("x", 10**9, NOON, 0.1, 2.0), ("y", -(10**9), NOON, 0.3, 2.0), ("z", 10**9, NOON, 0.2, 2.0)]

    totals = {row[0]: row[2] for row in plain(purchases.spend(lines(spark, *rows)))}

    assert totals[1.0] == sum(Decimal(p) * q for p, q in zip(prices, quantities, strict=True))
    assert totals[2.0] == 0


def test_spend_does_not_overflow_at_the_ends_of_its_range(spark: SparkSession):
    largest, price = 2**31 - 1, math.nextafter(invoices.PRICE_LIMIT, 0)
    given = lines(spark, *[("1", largest, NOON, price, 1.0)] * 1000, ("2", -largest - 1, NOON, -price, 2.0))

    totals = {row[0]: row[2] for row in plain(purchases.spend(given))}

    with localcontext(prec=60):
        assert totals[1.0] == Decimal(repr(price)) * largest * 1000
        assert totals[2.0] == Decimal(repr(price)) * (largest + 1)


def test_spend_rounds_a_price_to_a_millionth(spark: SparkSession):
    given = lines(spark, ("1", 3, NOON, 0.30000000000000004, 1.0), ("2", 1, NOON, 0.0000005, 2.0))

    assert {row[0]: row[2] for row in plain(purchases.spend(given))} == {
        1.0: Decimal("0.9"),
        2.0: Decimal("0.000001"),
    }


def test_late_keeps_good_lines_whose_whole_day_is_closed(spark: SparkSession):
    day = datetime(2011, 3, 29)
    when = [day - timedelta(seconds=1), day, day + timedelta(hours=12), day - timedelta(days=5)]
    rows = [(str(at), 1, moment, 1.0, 1.0) for at, moment in enumerate(when)]
    parsed = lines(spark, *rows).withColumn("reason", F.when(F.col("InvoiceNo") == "3", "broken"))

    def late(closed_before: datetime) -> list[str]:
        found = purchases.late(parsed, closed_before=closed_before.replace(tzinfo=UTC))
        return [row.InvoiceNo for row in found.orderBy("InvoiceNo").collect()]

    assert late(day - timedelta(milliseconds=1)) == []
    assert late(day) == ["0"]
    assert late(day + timedelta(hours=23)) == ["0"]
    assert late(day + timedelta(days=1)) == ["0", "1", "2"]


def test_summed_counts_lines_and_finds_the_newest_good_one(spark: SparkSession):
    given = lines(spark, ("1", 1, NOON, 2.0, 1.0), ("2", 1, NOON + timedelta(days=9), 2.0, 1.0))
    parsed = given.withColumn("reason", F.when(F.col("InvoiceNo") == "2", "broken"))

    result, observed = purchases.summed(parsed)

    assert plain(result) == {(1.0, datetime(2011, 3, 29), Decimal(2), 1, 0)}
    assert observed.get == {
        "lines": 2,
        "quarantined": 1,
        "newest": int(NOON.replace(tzinfo=UTC).timestamp()) * 1_000_000,
    }


def test_merge_adds_up_parts_of_the_same_customer_day(spark: SparkSession):
    merged = purchases.merge(
        days(spark, (1.0, 1, "2.5", 3), (None, 1, "1", 1)), days(spark, (1.0, 1, "-0.5", 1))
    )

    assertDataFrameEqual(merged, days(spark, (1.0, 1, "2", 4), (None, 1, "1", 1)))
    assert merged.schema["total_cost"].dataType == purchases.TOTAL


def test_parity_is_whole_for_equal_results_in_any_order(spark: SparkSession):
    left = days(spark, (1.0, 1, "2.5", 3), (None, 1, "1", 1))
    right = days(spark, (None, 1, "1", 1), (1.0, 1, "2.5", 3))

    assert purchases.parity(left, right) == purchases.Parity(customer_days=2, differing=0, examples=[])


def test_parity_finds_a_changed_missing_extra_or_doubled_row(spark: SparkSession):
    batch = [(1.0, 1, "2.5", 3), (2.0, 1, "2.5", 3), (3.0, 1, "1", 1), (4.0, 1, "1", 1), (None, 1, "1", 1)]
    stream = [(1.0, 1, "2.500001", 3), (2.0, 1, "2.5", 4), (4.0, 1, "1", 1), (4.0, 1, "1", 1)]
    stream += [(0.0, 1, "0", 1), (None, 1, "1", 1)]

    found = purchases.parity(days(spark, *stream), days(spark, *batch))

    assert [(row.CustomerID, row.side) for row in found.examples] == [
        (0.0, "stream"),
        (1.0, "batch"),
        (1.0, "stream"),
        (2.0, "batch"),
        (2.0, "stream"),
        (3.0, "batch"),
        (4.0, "stream"),
    ]
    assert (found.customer_days, found.differing) == (6, 5)


def test_largest_and_top_customers_order_by_total_and_per_day_by_day(spark: SparkSession):
    result = days(spark, (1.0, 1, "5", 1), (2.0, 1, "7", 2), (1.0, 2, "4", 3), (None, 2, "7", 1))

    assert [(row[0], row[2]) for row in purchases.largest(result, 3)] == [(None, 7), (2.0, 7), (1.0, 5)]
    assert [tuple(row) for row in purchases.top_customers(result, 2)] == [(1.0, 9, 2), (None, 7, 1)]
    assert [tuple(row) for row in purchases.per_day(result)] == [
        (date(2011, 3, 1), 12, 3),
        (date(2011, 3, 2), 11, 4),
    ]
