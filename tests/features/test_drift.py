import json
from dataclasses import asdict, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from retail_clusters.features.baseline import Baseline
from retail_clusters.features.binned import Counts

from retail_clusters.features import binned, drift

BASELINE = Baseline(
    clusters=(0.75, 0.25),
    price_edges=(1.0, 2.0),
    price=(0.5, 0.25, 0.25),
    quantity_edges=(6.0,),
    quantity=(0.5, 0.5),
    weekday=(0.25, 0.25, 0.0, 0.25, 0.25, 0.0, 0.0),
)
SHARES = st.lists(st.integers(0, 1000), min_size=2, max_size=12).filter(any)


def scored(*rows: tuple[int, float, int, str]) -> pa.Table:
    columns = list(zip(*rows, strict=True))
    dates = pa.array([datetime.fromisoformat(day) for day in columns[3]], pa.timestamp("us"))
    return pa.table([*columns[:3], dates], names=list(binned.WATCHED))


def test_baseline_survives_json() -> None:
    assert Baseline.from_json(BASELINE.to_json()) == BASELINE


def test_renumbered_baseline_moves_the_shares_of_clusters_only() -> None:
    moved = BASELINE.renumbered({0: 3, 1: 0})
    assert moved.clusters == (0.25, 0.0, 0.0, 0.75)
    assert moved.price == BASELINE.price


def test_count_sorts_lines_into_the_bins_of_the_baseline() -> None:
    table = scored((0, 1.0, 6, "2010-12-02"), (1, 1.5, 7, "2011-01-01 23:59:59"), (9, -3.0, 1, "1969-12-31"))
    counts = binned.count(table, against=BASELINE)
    assert counts == Counts(
        clusters=(1, 1, 1),
        price=(2, 1, 0),
        quantity=(2, 1),
        weekday=(0, 0, 1, 1, 0, 1, 0),
        days=(-1, 14945, 14975),
    )
    assert Counts.from_json(json.loads(json.dumps(asdict(counts)))) == counts
    assert counts.lines == 3
    assert counts.on_unseen_days(BASELINE) == 2


#: The first Monday of 1970.
MONDAY = 4


def day(number: int, *, lines: int = 500, quantity: tuple[int, int] = (1, 1), price: int = 0) -> Counts:
    """Return lines of a day, counted from a Monday: all but its weekday is as in training."""
    quarter = lines // 4
    of_week = tuple(lines * (each == number % 7) for each in range(7))
    few, many = (lines * part // sum(quantity) for part in quantity)
    prices = (2 * quarter, quarter, quarter) if not price else (0, 0, lines)
    return Counts(
        clusters=(3 * quarter, quarter, 0),
        price=prices,
        quantity=(few, many),
        weekday=of_week,
        days=(MONDAY + number,),
    )


#: Monday, Tuesday, Thursday and Friday of four weeks: the weekdays of `BASELINE`.
MONTH = [day(7 * week + weekday) for week in range(4) for weekday in (0, 1, 3, 4)]


def test_lines_distributed_as_in_training_do_not_drift() -> None:
    moved = drift.measure(MONTH[::-1], against=BASELINE)
    assert moved is not None
    assert moved.psi == pytest.approx(0, abs=1e-12)
    assert moved.warning(BASELINE, above=0.25) is None


def test_a_warning_names_what_moved_furthest_its_bound_and_its_bin() -> None:
    moved = drift.measure([day(number, quantity=(99, 1)) for number in (4, 3, 1)], against=BASELINE)
    assert moved is not None
    expected = (0.99 - 0.5) * np.log(0.99 / 0.5) + (0.01 - 0.5) * np.log(0.01 / 0.5)
    assert moved.psi == pytest.approx(expected)
    assert moved.warning(BASELINE, above=0.25) == (
        f"PSI of quantity is {expected:.2f} over the latest 3 days, above 0.25; most of it: "
        "quantity above 6, 50.0% of the training lines and 1.0% of these"
    )
    own = moved.warning(replace(BASELINE, usual=(0.0, 0.0, 2.0, 0.0)), above=0.25)
    assert own is not None
    assert "above 2.00, which training days reach themselves" in own


def test_no_warning_below_what_training_days_reach_themselves() -> None:
    moved = drift.measure([day(number, quantity=(99, 1)) for number in (4, 3, 1)], against=BASELINE)
    assert moved is not None
    assert moved.warning(replace(BASELINE, usual=(0.0, 0.0, 9.0, 0.0)), above=0.25) is None
    assert moved.warning(BASELINE, above=9.0) is None


@given(SHARES)
def test_psi_of_equal_shares_is_zero(shares: list[int]) -> None:
    assert drift.psi(shares, [3 * share for share in shares]) == pytest.approx(0, abs=1e-9)


@given(SHARES, st.randoms())
def test_psi_is_symmetric_finite_and_not_negative(shares: list[int], random: "np.random.Generator") -> None:
    other = list(shares)
    random.shuffle(other)
    one, two = drift.psi(shares, other), drift.psi(other, shares)
    assert one == pytest.approx(two)
    assert 0 <= one < 100


def test_a_missing_number_counts_as_the_zero_that_a_model_takes_it_for() -> None:
    table = pa.table(
        {
            "prediction": [0],
            "UnitPrice": pa.array([None], pa.float64()),
            "Quantity": pa.array([None], pa.int32()),
            "InvoiceDate": pa.array([datetime(2010, 12, 1)], pa.timestamp("us")),
        }
    )
    counts = binned.count(table, against=BASELINE)
    assert (counts.price, counts.quantity) == ((1, 0, 0), (1, 0))


def test_a_window_reaches_back_until_it_has_its_days_and_its_lines() -> None:
    newest_first = MONTH[::-1]
    assert drift.latest(newest_first, days=3, lines=1) == sum(newest_first[1:3], newest_first[0])
    assert drift.latest(newest_first, days=1, lines=1501) == sum(newest_first[1:4], newest_first[0])
    assert drift.latest(newest_first[:2], days=3, lines=1) is None
    assert drift.latest(newest_first[:3], days=3, lines=1501) is None
    assert drift.latest([], days=1, lines=1) is None


REGULAR = replace(BASELINE, coverage=1.0)


def latest_days(arrived: list[Counts]) -> list[int] | None:
    """Return the days that prices are measured over, counted from the first Monday."""
    moved = drift.measure(arrived[::-1], against=REGULAR)
    return [number - MONDAY for number in moved.windows["price"].counts.days] if moved else None


def test_days_in_order_are_measured_over_the_latest_three_however_far_apart() -> None:
    assert latest_days([*MONTH[:6], day(70), day(350), day(700)]) == [70, 350, 700]


def test_days_in_another_order_are_added_up_until_they_are_twice_as_many_and_few_are_missing() -> None:
    one, two, three, four, five, six, seven = MONTH[:7]
    assert latest_days([one, three, two, four, five]) is None
    assert latest_days([one, three, two, four, five, six]) == [0, 1, 3, 4, 7, 8]
    assert latest_days([day(70), one, three, two, four, five, six, seven]) == [1, 3, 4, 7, 8, 10]
    assert latest_days([day(70), one, three, two, four, seven, MONTH[10]]) is None


def test_three_days_that_come_in_order_by_chance_are_not_taken_for_the_latest() -> None:
    arrived = [MONTH[place] for place in (4, 1, 2, 0, 3, 5)]
    assert latest_days(arrived) == [0, 1, 3, 4, 7, 8]


def test_after_a_week_in_order_an_earlier_day_out_of_it_is_forgotten() -> None:
    mondays = [day(7 * week) for week in range(1, 8)]
    assert latest_days([MONTH[1], MONTH[0], *mondays[:5]]) is None
    assert latest_days([MONTH[1], MONTH[0], *mondays]) == [35, 42, 49]


def test_days_of_one_batch_are_in_order_where_few_between_them_are_missing() -> None:
    whole, gaps = sum(MONTH[1:3], MONTH[0]), day(0) + day(11) + day(21)
    assert latest_days([whole]) == [0, 1, 3]
    assert latest_days([whole, sum(MONTH[4:6], MONTH[3])]) == [4, 7, 8]
    assert latest_days([whole, MONTH[1] + MONTH[3], MONTH[4]]) is None
    assert latest_days([gaps]) is None
    assert latest_days([sum(MONTH[1:8], MONTH[0])]) == [0, 1, 3, 4, 7, 8, 10, 11]


def test_a_batch_without_a_line_changes_no_window() -> None:
    nothing = binned.empty_counts(BASELINE)
    assert latest_days([nothing]) is None
    assert latest_days([*MONTH[:2], nothing, *MONTH[2:4], nothing]) == [1, 3, 4]


def test_coverage_knows_on_which_weekdays_lines_come() -> None:
    assert sum(MONTH[1:], MONTH[0]).coverage(BASELINE) == 1
    assert sum(MONTH[2:8], MONTH[0]).coverage(BASELINE) == 7 / 8
    assert (day(0) + day(1) + day(2)).coverage(BASELINE) == 1
    assert day(2).coverage(BASELINE) == 1
    assert drift.bounded(BASELINE, by=[*MONTH[:8], *MONTH[12:]]).coverage == 12 / 16
    assert drift.bounded(BASELINE, by=[]).coverage == 0


def test_a_baseline_of_an_earlier_form_is_read() -> None:
    held = json.loads(BASELINE.to_json())
    del held["coverage"]
    assert Baseline.from_json(json.dumps(held | {"density": [0.5, 0.5]})) == BASELINE


def test_what_goes_by_the_week_has_no_figure_before_three_weeks_have_come() -> None:
    """Defect 13: one day knows one weekday, and would drift in every stream's first week."""
    assert drift.measure(MONTH[1::-1], against=BASELINE) is None
    early = drift.measure(MONTH[10::-1], against=BASELINE)
    assert early is not None
    assert set(early.indices) == {"price", "quantity"}
    later = drift.measure(MONTH[11::-1], against=BASELINE)
    assert later is not None
    assert set(later.indices) == {"clusters", "price", "quantity", "weekday"}


def test_a_weekday_that_never_comes_is_news() -> None:
    mondays = [day(7 * week) for week in range(12)]
    moved = drift.measure(mondays[::-1], against=BASELINE)
    assert moved is not None
    assert "PSI of weekday" in (moved.warning(BASELINE, above=0.25) or "")


def test_prices_that_rise_are_told_within_three_days_and_named() -> None:
    risen = [day(number, price=1) for number in (31, 29, 28)]
    told = []
    for days in range(1, 4):
        moved = drift.measure([*risen[3 - days :], *MONTH[::-1]], against=BASELINE)
        assert moved is not None
        told.append(moved.warning(BASELINE, above=0.25))
    assert "PSI of price" in (told[-1] or "")
    assert "price up to 1, 50.0% of the training lines and 0% of these" in (told[-1] or "")


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=30))
def test_a_stream_of_the_training_days_never_warns(quantities: list[tuple[int, int]]) -> None:
    """Defect 13: bounds are what windows of successive training days reach."""
    days = [day(number, quantity=quantity) for number, quantity in enumerate(quantities)]
    bounded = drift.bounded(BASELINE, by=days)
    for end in range(len(days)):
        moved = drift.measure(days[end::-1], against=bounded)
        assert moved is None or moved.warning(bounded, above=1e-9) is None


def test_days_too_few_for_a_window_bound_nothing() -> None:
    assert drift.bounded(BASELINE, by=MONTH[:2]).usual == (0, 0, 0, 0)
    assert drift.bounded(BASELINE, by=[]).usual == (0, 0, 0, 0)
