"""Lines made records: in which part, in which group, what is left out, and what describes them."""

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from retail_clusters import schema
from retail_clusters.features import records
from retail_clusters.features.records import Windows
from retail_clusters.question import Description, Feature, Question, Unit
from retail_clusters.settings import Split

WINDOWS = Windows(Split(train_until=date(2011, 7, 1), validate_until=date(2011, 10, 1)), date(2011, 12, 9))
CLEAN = {"no_customer": "CustomerID IS NULL", "cancelled": "InvoiceNo LIKE 'C%'"}


def line(
    invoice: str, day: str, customer: str | None = "17850", *, quantity: int = 1, price: float | None = 1.5
):
    return (invoice, "A", None, quantity, datetime.fromisoformat(f"{day} 10:00:00"), price, customer, "UK")


def found(spark: SparkSession, question: Question, *lines) -> list[dict]:
    frame = spark.createDataFrame(list(lines), schema.INVOICE_LINE)
    rows = records.cells(frame, question, WINDOWS).collect()
    return sorted((row.asDict() for row in rows), key=lambda row: tuple(map(str, row.values())))


def test_lines_are_counted_by_part_day_features_and_the_rule_that_leaves_them_out(spark):
    question = Question(clean=CLEAN, features={"price": Feature(sql="UnitPrice")}, describe={})
    rows = found(
        spark, question,
        line("1", "2011-06-30"), line("2", "2011-06-30"), line("3", "2011-07-01"), line("4", "2011-10-01"),
        line("5", "2011-06-30", None), line("C6", "2011-06-30", None), line("C7", "2011-06-30"),
        line("8", "2011-06-30", price=None),
    )  # fmt: skip
    said = {(row["_split"], row["_left_out"], row["price"]): row["_records"] for row in rows}
    assert said == {
        ("train", None, 1.5): 2, ("validation", None, 1.5): 1, ("test", None, 1.5): 1,
        ("train", "no_customer", None): 2, ("train", "cancelled", None): 1, ("train", "price", None): 1,
    }  # fmt: skip
    assert {row["_cell"] for row in rows if row["_split"] == "train"} == {
        (date(2011, 6, 30) - date(1970, 1, 1)).days
    }


def test_an_invoice_belongs_to_the_part_of_its_first_line_and_no_later_line_counts(spark):
    question = Question(unit=Unit(by=("InvoiceNo",)), features={"units": Feature(sql="sum(Quantity)")})
    rows = found(
        spark, question,
        line("1", "2011-06-30", quantity=5), line("1", "2011-07-01", quantity=7), line("2", "2011-07-02", quantity=3),
        line("3", "2011-09-30", quantity=1), line("3", "2011-09-30", quantity=1), line("3", "2011-12-01", quantity=9),
    )  # fmt: skip
    assert sorted((row["_split"], row["units"]) for row in rows) == [
        ("train", 5.0), ("validation", 2.0), ("validation", 3.0),
    ]  # fmt: skip


def test_a_customer_is_seen_through_the_window_before_each_cut(spark):
    question = Question(
        unit=Unit(by=("CustomerID",), days=180, holdout=0.3),
        clean=CLEAN,
        features={
            "recency": Feature(sql="datediff(as_of, max(InvoiceDate))"),
            "spend": Feature(sql="sum(cost)"),
        },
    )
    lines = [
        line(str(number), day, f"customer {number}", quantity=number)
        for number in range(1, 41)
        for day in ("2011-01-01", "2011-01-02", "2011-06-30", "2011-07-01", "2011-12-09")
    ]
    rows = found(spark, question, *lines, line("C1", "2011-06-30", "customer 1", quantity=-9))
    train, held_out, later = ([row for row in rows if row["_split"] == part] for part in schema.SPLITS)
    assert len(train) + len(held_out) == len(later) == 40
    assert 4 <= len(held_out) <= 20
    assert {row["recency"] for row in train + held_out} == {1.0}
    assert sorted(row["spend"] for row in train + held_out) == [
        n * 1.5 * 2 for n in range(1, 41)
    ]  # of 2 days
    assert sorted(row["spend"] for row in later) == [n * 1.5 * 3 for n in range(1, 41)]  # of 3 days
    frame = spark.createDataFrame(lines, schema.INVOICE_LINE)
    assert dict(records.left_out_lines(frame, question, WINDOWS)) == {"no_customer": 0, "cancelled": 0}
    # of a window that ends on 9 December one line a customer is in the one that ends on 1 July, too
    assert records.shared_with_training(frame, question, WINDOWS) == (len(train), len(train))


def test_what_describes_records_is_summed_exactly_or_counted_as_a_text(spark):
    question = Question(
        features={"price": Feature(sql="UnitPrice")},
        describe={
            "spend": Description(sql="cost"),
            "cancelled": Description(sql="InvoiceNo LIKE 'C%'"),
            "country": Description(sql="Country"),
        },
    )
    rows = found(spark, question, line("1", "2011-06-30", quantity=3), line("C2", "2011-06-30", quantity=-1))
    (row,) = rows
    assert (row["_sum_spend"], row["_sum_cancelled"], row["_count_cancelled"]) == (3.0, 1.0, 2)
    assert (row["country"], row["_records"]) == ("UK", 2)


@pytest.mark.parametrize(
    ("days", "last"),
    [
        ({"2011-12-08": 900, "2011-12-09": 700}, date(2011, 12, 9)),
        ({"2011-12-08": 900, "2011-12-09": 700, "2111-12-09": 1}, date(2011, 12, 9)),
        ({"2011-12-08": 900, "2011-12-09": 700, "2012-12-09": 1, "2111-12-09": 2}, date(2011, 12, 9)),
        ({"2011-12-08": 900, "2011-12-09": 1}, date(2011, 12, 9)),
        ({"2011-12-08": 900, "2012-03-01": 800}, date(2012, 3, 1)),
        ({"2011-12-08": 1}, date(2011, 12, 8)),
        ({"2011-12-09": 900, "2011-12-08": 900, "2012-02-01": 1, "2012-02-05": 1}, date(2011, 12, 9)),
        ({"2011-12-08": 900} | {f"{year}-01-01": 1 for year in range(2013, 2030)}, date(2011, 12, 8)),
    ],
)
def test_a_wrong_date_in_the_future_is_not_the_last_day(days, last):
    assert records.last_day(days) == last


@given(st.dictionaries(st.dates(date(2010, 1, 1), date(2030, 1, 1)), st.integers(1, 9), min_size=1))
def test_the_last_day_is_a_day_of_the_data(days):
    assert records.last_day({day.isoformat(): lines for day, lines in days.items()}) in days
