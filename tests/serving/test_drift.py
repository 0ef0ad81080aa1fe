import json
from dataclasses import asdict, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_clusters.serving import drift
from retail_clusters.serving.drift import Counts
from retail_clusters.training.baseline import Baseline

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
    return pa.table([*columns[:3], dates], names=list(drift.WATCHED))


def test_baseline_survives_json() -> None:
    assert Baseline.from_json(BASELINE.to_json()) == BASELINE


def test_renumbered_baseline_moves_the_shares_of_clusters_only() -> None:
    moved = BASELINE.renumbered({0: 3, 1: 0})
    assert moved.clusters == (0.25, 0.0, 0.0, 0.75)
    assert moved.price == BASELINE.price


def test_count_sorts_lines_into_the_bins_of_the_baseline() -> None:
    table = scored((0, 1.0, 6, "2010-12-02"), (1, 1.5, 7, "2011-01-01 23:59:59"), (9, -3.0, 1, "1969-12-31"))
    counts = drift.count(table, against=BASELINE)
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


def test_lines_distributed_as_in_training_do_not_drift() -> None:
    counts = Counts(
        clusters=(75, 25, 0), price=(50, 25, 25), quantity=(50, 50), weekday=(25, 25, 0, 25, 25, 0, 0)
    )
    moved = drift.measure(counts, against=BASELINE)
    assert moved.psi == pytest.approx(0, abs=1e-12)


def test_what_moved_furthest_beyond_the_usual_is_named() -> None:
    counts = Counts(
        clusters=(75, 25, 0), price=(50, 25, 25), quantity=(99, 1), weekday=(25, 25, 0, 25, 25, 0, 0)
    )
    moved = drift.measure(counts, against=BASELINE)
    assert moved.furthest(BASELINE, warning=0.25) == "quantity"
    assert moved.furthest(replace(BASELINE, usual=(0.0, 0.0, 9.0, 0.0)), warning=0.25) is None
    assert moved.furthest(BASELINE, warning=9.0) is None
    assert moved.psi == pytest.approx((0.99 - 0.5) * np.log(0.99 / 0.5) + (0.01 - 0.5) * np.log(0.01 / 0.5))


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


def day(weekday: int) -> Counts:
    """Return one line of a day: 0 for Monday."""
    of_week = tuple(int(each == weekday) for each in range(7))
    return Counts(clusters=(1, 0, 0), price=(1, 0, 0), quantity=(1, 0), weekday=of_week, days=(weekday,))


def test_a_missing_number_counts_as_the_zero_that_a_model_takes_it_for() -> None:
    table = pa.table(
        {
            "prediction": [0],
            "UnitPrice": pa.array([None], pa.float64()),
            "Quantity": pa.array([None], pa.int32()),
            "InvoiceDate": pa.array([datetime(2010, 12, 1)], pa.timestamp("us")),
        }
    )
    counts = drift.count(table, against=BASELINE)
    assert (counts.price, counts.quantity) == ((1, 0, 0), (1, 0))


def test_the_window_reaches_back_until_there_are_enough_lines_and_a_whole_week() -> None:
    week = [day(each) for each in (4, 3, 1, 0)]
    whole = week[0] + week[1] + week[2] + week[3]
    assert drift.latest([*week, *week], lines=1, against=BASELINE) == whole
    assert drift.latest([*week, *week], lines=5, against=BASELINE) == whole + week[0]
    assert drift.latest([], lines=3, against=BASELINE) is None


def test_weekdays_have_no_verdict_before_a_week_is_whole() -> None:
    some = day(0) + day(1)
    moved = drift.measure(some, against=BASELINE)
    assert moved.weekday is None
    assert set(moved.indices) == {"clusters", "price", "quantity"}
    assert drift.measure(some + day(3) + day(4), against=BASELINE).weekday == pytest.approx(0)


def test_a_weekday_that_never_comes_is_news_after_three_weeks() -> None:
    counts = replace(day(0), days=tuple(range(21)))
    assert drift.measure(counts, against=BASELINE).furthest(BASELINE, warning=0.25) == "weekday"
