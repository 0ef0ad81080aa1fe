"""Drift: bins of a baseline, the window of latest days, and the bound that training days reach themselves."""

import itertools
import json
from dataclasses import replace
from datetime import datetime
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.data import csv_files, invoices
from retail_clusters.features import drift
from retail_clusters.features.drift import Baseline, Bins, Counts, measure_baseline
from retail_clusters.features.model import scoring_pipeline
from retail_clusters.search.measure import measure
from retail_clusters.settings import Experiment, Scoring, Split
from tests import examples
from tests.conftest import SAMPLE

WARNING = Scoring().drift_warning
#: Lines come from Monday to Saturday.
WEEK = (1 / 6,) * 6 + (0.0, 0.0)
BASELINE = Baseline(
    {
        "clusters": Bins((0.75, 0.25, 0.0), names=("cluster 0", "cluster 1")),
        "price": Bins((0.5, 0.25, 0.25), edges=(1.0, 2.0)),
        "quantity": Bins((0.5, 0.5), edges=(6.0,)),
        "weekday": Bins(WEEK, names=schema.WEEKDAYS, usual=9.0),
    },
    density=6 / 7,
)
#: The first Monday of 1970.
MONDAY = 4
SHARES = st.lists(st.integers(0, 1000), min_size=2, max_size=12).filter(any)


def scored(*rows: tuple[int, float | None, int | None, str]) -> pa.Table:
    columns = [list(column) for column in zip(*rows, strict=True)]
    dates = pa.array([datetime.fromisoformat(day) for day in columns[3]], pa.timestamp("us"))
    return pa.table(
        [pa.array(columns[0]), pa.array(columns[1], pa.float64()), columns[2], dates], names=drift.WATCHED
    )


def day(number: int, *, lines: int = 600, few: float = 0.5, **others: int) -> Counts:
    """Return lines of a day, counted from a Monday, such a share of them with a quantity up to 6."""
    quarter, small = lines // 4, round(lines * few)
    bins = {
        "clusters": [3 * quarter, quarter, 0],
        "price": [2 * quarter, quarter, quarter],
        "quantity": [small, lines - small],
        "weekday": [lines * (each == number % 7) for each in range(8)],
    }
    days = {MONDAY + number: lines} | {MONDAY + int(key): value for key, value in others.items()}
    return Counts({name: np.array(value) for name, value in bins.items()}, days)


#: Monday to Saturday of four weeks.
MONTH = [day(7 * week + weekday) for week in range(4) for weekday in range(6)]


def latest_days(arrived: list[Counts]) -> list[int] | None:
    """Return the days that are measured, counted from the first Monday."""
    window = drift.measure(arrived[::-1], against=BASELINE).counts
    return [number - MONDAY for number in window.usual_days] if window else None


def test_a_line_is_counted_in_the_bin_of_each_thing_and_a_missing_number_as_0() -> None:
    table = scored(
        (0, 1.0, 6, "2010-12-02"), (1, 1.5, 7, "2011-01-01 23:59:59"), (9, None, None, "1969-12-31")
    )
    counts = drift.count(table, against=BASELINE)
    assert counts.to_json() == {
        "bins": {
            "clusters": [1, 1, 1],
            "price": [2, 1, 0],
            "quantity": [2, 1],
            "weekday": [0, 0, 1, 1, 0, 1, 0, 0],
        },
        "days": {-1: 1, 14945: 1, 14975: 1},
    }
    again = Counts.from_json(json.loads(json.dumps(counts.to_json())))
    assert again is not None
    assert again.to_json() == counts.to_json()
    assert counts.lines == 3
    assert (
        drift.count(scored((0, 1, 1, "1970-01-11")), against=BASELINE).unseen("weekday", baseline=BASELINE)
        == 1
    )


def test_a_baseline_outlives_its_model_to_the_bit_and_one_of_the_release_before_is_read() -> None:
    third = replace(BASELINE, density=1 / 3)
    assert Baseline.from_json(third.to_json()) == third
    earlier = {
        "clusters": [0.75, 0.25],
        "price_edges": [1.0, 2.0],
        "price": [0.5, 0.25, 0.25],
        "quantity_edges": [6.0],
        "quantity": [0.5, 0.5],
        "weekday": WEEK[:7],
        "usual": [0.1, 0.2, 0.3, 0.4],
        "coverage": 1.0,
    }
    read = Baseline.from_json(json.dumps(earlier))
    assert read.density == BASELINE.density
    usual = {"clusters": None, "price": 0.2, "quantity": 0.3, "weekday": None}
    assert read.bins == {name: replace(bins, usual=usual[name]) for name, bins in BASELINE.bins.items()}
    del earlier["usual"], earlier["coverage"]
    assert Baseline.from_json(json.dumps(earlier)).bins["price"].usual == 0


def test_shares_of_clusters_move_to_new_numbers_and_a_number_without_a_line_has_none() -> None:
    """Defect 11: the highest cluster without a line made a promotion fail."""
    rows = examples.weighted((1.0, 1, "Monday", 3, 0), (2.0, 1, "Monday", 1, 0))
    found = measure_baseline(rows, np.array([1, 0]), clusters=3)
    assert found.bins["clusters"].shares == (0.25, 0.75, 0.0, 0.0)
    moved = found.renumbered({0: 4, 1: 0, 2: 2})
    assert moved.bins["clusters"].shares == (0.75, 0.0, 0.0, 0.0, 0.25, 0.0)
    assert moved.bins["clusters"].names[4] == "cluster 4"
    assert moved.bins["price"] == found.bins["price"]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 9), st.integers(-3, 5), st.sampled_from(["Monday", "Sunday"]), st.integers(1, 9)
        ),
        min_size=1,
        max_size=20,
        unique_by=lambda row: row[:3],
    )
)
def test_shares_are_those_of_the_expanded_lines(rows: list[tuple[int, int, str, int]]) -> None:
    weighted = examples.weighted(*((price / 4, *others, 0) for price, *others in rows))
    labels = np.arange(len(weighted)) % 3
    found = measure_baseline(weighted, labels, clusters=5).bins
    counts = weighted.weights.astype(int)
    prices, days, clusters = (
        np.repeat(column, counts) for column in (weighted.prices, weighted.weekdays, labels)
    )
    assert found["clusters"].shares == pytest.approx(np.bincount(clusters, minlength=6) / len(prices))
    assert found["weekday"].shares == pytest.approx(np.bincount(days, minlength=8) / len(prices))
    assert set(found["price"].edges) <= set(prices)
    edges = [-np.inf, *found["price"].edges, np.inf]
    expected = [np.mean((low < prices) & (prices <= high)) for low, high in itertools.pairwise(edges)]
    assert found["price"].shares == pytest.approx(expected)


def test_edges_are_twentieths_of_the_lines_and_a_value_that_as_many_share_has_a_bin_of_its_own() -> None:
    even = examples.weighted(*((float(n), 1, "Monday", 1, 0) for n in range(1, 201)))
    assert measure_baseline(even, np.zeros(200, int), clusters=1).bins["price"].edges == tuple(
        range(10, 200, 10)
    )
    rows = examples.weighted(*((float(n), n, "Monday", 30 if n == 50 else 1, 0) for n in range(1, 101)))
    found = measure_baseline(rows, np.zeros(100, int), clusters=1).bins
    for bins in (found["price"], found["quantity"]):
        at = bins.edges.index(50)
        assert bins.edges[at - 1] == 49
        assert bins.shares[at] == pytest.approx(30 / 129)


@given(SHARES, st.randoms())
def test_psi_is_0_for_equal_shares_symmetric_finite_and_not_negative(
    shares: list[int], random: Random
) -> None:
    assert drift.psi(shares, [3 * share for share in shares]) == pytest.approx(0, abs=1e-9)
    other = random.sample(shares, len(shares))
    one, two = drift.psi(shares, other), drift.psi(other, shares)
    assert one == pytest.approx(two)
    assert 0 <= one < 100


def test_a_warning_names_what_moved_furthest_its_bound_and_its_bin() -> None:
    moved = drift.measure([day(number, few=0.99) for number in (4, 3, 2, 1)], against=BASELINE)
    expected = (0.99 - 0.5) * np.log(0.99 / 0.5) + (0.01 - 0.5) * np.log(0.01 / 0.5)
    assert moved.indices["quantity"] == pytest.approx(expected)
    assert moved.warning(BASELINE, above=0.25) == (
        f"PSI of quantity is {expected:.2f} over the latest 4 days, above 0.25; most of it: "
        "quantity above 6, 50.0% of the training lines and 1.0% of these"
    )
    assert moved.warning(BASELINE, above=9.0) is None
    assert moved.scaled(BASELINE, above=0.25)["weekday"] == pytest.approx(moved.indices["weekday"] * 0.25 / 9)

    def bounded(usual: float | None) -> str | None:
        quantity = replace(BASELINE.bins["quantity"], usual=usual)
        return moved.warning(replace(BASELINE, bins={**BASELINE.bins, "quantity": quantity}), above=0.25)

    assert "above 2.00, which training days reach themselves" in (bounded(2.0) or "")
    assert bounded(9.0) is bounded(None) is None
    same = drift.measure(MONTH[::-1], against=BASELINE)
    assert same.warning(BASELINE, above=0.25) is None


def test_days_in_order_are_measured_over_the_latest_four_of_a_thousand_lines_however_far_apart() -> None:
    assert latest_days([*MONTH[:6], day(70), day(350), day(700), day(1000)]) == [70, 350, 700, 1000]
    assert latest_days([day(number, lines=200) for number in range(6)]) == [1, 2, 3, 4, 5]
    assert latest_days([sum(MONTH[1:6], MONTH[0])]) == [0, 1, 2, 3, 4, 5]
    nothing = drift.empty_counts(BASELINE)
    assert latest_days([*MONTH[:4], nothing]) == [0, 1, 2, 3]


def test_days_in_another_order_are_added_up_until_they_lie_close_together() -> None:
    far, near = day(70), [MONTH[place] for place in (1, 0, 3, 2)]
    assert latest_days([far, *near]) == [0, 1, 2, 3]
    assert latest_days([*near, far]) is None
    assert latest_days([near[0], far, *near[1:]]) is None
    gaps = day(0) + day(11) + day(21) + day(40)
    assert latest_days([gaps]) is None
    assert latest_days([MONTH[1], MONTH[0], *(day(7 * week) for week in range(1, 8))]) == [28, 35, 42, 49]


def test_what_cannot_be_measured_says_why() -> None:
    def why(*arrived: Counts) -> str | None:
        return drift.measure(arrived[::-1], against=BASELINE).unmeasured

    assert why() == "lines of 0 of 4 days have come"
    assert why(*MONTH[:3]) == "lines of 3 of 4 days have come"
    assert why(*(day(number, lines=100) for number in range(6))) == "600 of 1,000 lines have come"
    assert why(day(70), *MONTH[:3]) == "days come in no order, and the latest 4 lie over 71"


def test_one_wrong_date_in_every_file_neither_stops_nor_hides_what_moved() -> None:
    """Defect 77: a line of 2111 counted as the latest day, and drift was measured late or never."""
    arrived = [day(number, few=0.99, **{"51500": 1}) for number in range(8)]
    moved = drift.measure(arrived[::-1], against=BASELINE)
    assert moved.counts is not None
    assert moved.counts.usual_days == [MONDAY + number for number in (4, 5, 6, 7)]
    assert (moved.warning(BASELINE, above=0.25) or "").startswith("PSI of quantity")


@given(st.lists(st.floats(0.1, 0.9), min_size=1, max_size=30))
def test_a_stream_of_the_training_days_never_warns(shares: list[float]) -> None:
    """Defect 13: bounds are what windows of successive training days reach."""
    days = [day(number, few=share) for number, share in enumerate(shares)]
    bounded = drift.bounded(BASELINE, by=days)
    for end in range(len(days)):
        assert drift.measure(days[end::-1], against=bounded).warning(bounded, above=1e-9) is None
    assert bounded.density == 1


@pytest.fixture(scope="module")
def stream(spark):
    """A model's bounds and training days of the sample: counted by rows, by lines, and with prices 30 % up."""
    sample = examples.context_of_files(spark, SAMPLE, experiment=Experiment())
    found = measure(sample, sample.fit(k=20, seed=1))
    rows = sample.weighted["train"]
    bounded = drift.calibrated(
        measure_baseline(rows, found.train_labels, clusters=20), rows=rows, labels=found.train_labels
    )
    pipeline = scoring_pipeline(sample.pipeline, found.evaluation.centres, spark=spark)
    lines = invoices.good(invoices.read(spark, csv_files.check_data(str(SAMPLE))[1])[0])
    training = lines.where(F.col(schema.INVOICE_DATE) < Split().train_until.isoformat())
    risen = training.withColumn(schema.UNIT_PRICE, F.round(F.col(schema.UNIT_PRICE) * 1.3, 2))
    plain, dear = (count_by_day(pipeline.transform(each), bounded) for each in (training, risen))
    return bounded, drift.count_days(rows, found.train_labels, against=bounded), plain, dear


def count_by_day(lines, baseline):
    """Count scored lines day by day, as the scorer counts a batch of a day."""
    table = lines.select(*drift.WATCHED, F.to_date(schema.INVOICE_DATE).alias("day")).toArrow()
    days = table["day"].unique().sort()
    return [drift.count(table.filter(pc.equal(table["day"], day)), against=baseline) for day in days]


def warnings(arrived, baseline):
    measured = (drift.measure(arrived[end::-1], against=baseline) for end in range(len(arrived)))
    return [moved.warning(baseline, above=WARNING) for moved in measured]


def test_days_counted_from_the_rows_are_days_counted_from_the_lines_and_add_up_to_the_baseline(stream):
    baseline, counted, plain, _ = stream
    assert [each.to_json() for each in counted] == [each.to_json() for each in plain]
    total = sum(plain[1:], plain[0])
    for name, bins in baseline.bins.items():
        assert (total.bins[name] / total.lines).tolist() == pytest.approx(bins.shares)


def test_training_days_in_turn_never_warn_and_in_any_order_hardly_ever(stream):
    baseline, _, plain, _ = stream
    assert not any(warnings(plain, baseline))
    for seed in range(5):
        order = Random(seed)
        assert sum(map(bool, warnings(order.sample(plain, len(plain)), baseline))) <= 1
        parts = [plain[first : first + 12] for first in range(0, len(plain), 12)]
        dozens = [each for part in parts for each in order.sample(part, len(part))]
        assert sum(map(bool, warnings(dozens, baseline))) <= 1


def test_prices_that_rise_by_30_percent_are_told_within_three_days_of_a_thousand_lines(stream):
    baseline, _, plain, dear = stream
    for start in range(drift.DAYS, len(plain)):
        ends = [
            end for end in range(start + 3, len(plain)) if sum(each.lines for each in dear[start:end]) >= 1000
        ]
        if ends:
            told = warnings([*plain[:start], *dear[start : ends[0]]], baseline)[start:]
            assert any(why and why.startswith("PSI of price") for why in told), plain[start].days
