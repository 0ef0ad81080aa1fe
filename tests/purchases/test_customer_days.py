from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from retail_clusters.purchases import customer_days

Row = tuple[float | None, int, str, int]


def march(day: int, hour: int = 0) -> datetime:
    return datetime(2011, 3, day, hour, tzinfo=UTC)


def table(*rows: Row) -> pa.Table:
    """Frame (customer, day of March 2011, total, lines) as customer-days."""
    made = [
        {
            "CustomerID": customer,
            "start": march(day),
            "total_cost": Decimal(total),
            "lines": lines,
            "cancellations": 0,
        }
        for customer, day, total, lines in rows
    ]
    return pa.Table.from_pylist(made, schema=customer_days.SHAPE)


def test_add_up_sums_the_same_customer_and_day_exactly_and_keeps_missing_customers_apart():
    parts = [table((1.0, 1, "0.1", 1), (None, 1, "7", 1)), table((1.0, 1, "0.200001", 2), (1.0, 2, "-3", 1))]

    found = customer_days.add_up(parts)

    assert found.equals(table((1.0, 1, "0.300001", 3), (None, 1, "7", 1), (1.0, 2, "-3", 1)))


@given(st.lists(st.tuples(st.sampled_from([None, 1.0, 2.0]), st.integers(1, 3), st.integers(-9, 9))))
def test_add_up_does_not_depend_on_how_lines_are_cut_into_batches(sales: list[tuple[float | None, int, int]]):
    rows: list[Row] = [(customer, day, str(total), 1) for customer, day, total in sales]

    once = customer_days.add_up([table(*rows)])
    batches = customer_days.add_up(table(row) for row in reversed(rows))

    assert batches.equals(once)
    assert customer_days.count_lines(once) == len(rows)


def test_split_closes_a_day_once_it_has_ended():
    days = table((1.0, 1, "1", 1), (1.0, 2, "1", 1))

    for closed_before, count in ((march(2) - timedelta(microseconds=1), 0), (march(2), 1), (march(3), 2)):
        closed, left = customer_days.split(days, closed_before=closed_before)
        assert (closed.num_rows, left.num_rows) == (count, 2 - count)


def test_last_closed_is_the_midnight_before_in_utc():
    plus_two = march(5, 1).astimezone(datetime.now().astimezone().tzinfo)

    assert customer_days.last_closed(plus_two) == march(5)
    assert customer_days.last_closed(march(5)) == march(5)


def test_with_windows_gives_each_day_its_start_and_end():
    (row,) = customer_days.with_windows(table((1.0, 1, "1", 1))).to_pylist()

    assert row["window"] == {"start": march(1), "end": march(2)}
    assert customer_days.with_windows(table()).num_rows == 0
