"""Drift: bins of a baseline, the window of latest days, and the bound that training days reach themselves."""

import itertools
import json
from dataclasses import asdict, replace
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.data import csv_files, invoices
from retail_clusters.features import drift
from retail_clusters.features.drift import Baseline, Bins, Counts, measure_baseline
from retail_clusters.features.model import ScoringModel
from retail_clusters.features.rows import CELL, RECORDS, weighted_rows
from retail_clusters.question import Feature, Question
from retail_clusters.settings import Experiment, Scoring, Split
from tests import examples
from tests.conftest import SAMPLE

WARNING = Scoring().drift_warning
LINES = Question(features=examples.lines())
#: Lines come from Monday to Saturday.
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
BASELINE = Baseline(
    {
        "clusters": Bins(names=("0", "1"), shares=(0.75, 0.25, 0.0)),
        "price": Bins(edges=(1.0, 2.0), shares=(0.5, 0.25, 0.25)),
        "quantity": Bins(edges=(6.0,), shares=(0.5, 0.5)),
        "weekday": Bins(names=DAYS, shares=(*[1 / 6] * 6, 0.0), usual=9.0),
    }
)
#: The first Monday of 1970.
MONDAY = 4
SHARES = st.lists(st.integers(0, 1000), min_size=2, max_size=12).filter(any)


def day(number: int, *, lines: int = 600, few: float = 0.5, **others: int) -> Counts:
    """Return lines of a day, counted from a Monday, such a share of them with a quantity up to 6."""
    quarter, small = lines // 4, round(lines * few)
    bins = {
        "clusters": (3 * quarter, quarter, 0),
        "price": (2 * quarter, quarter, quarter),
        "quantity": (small, lines - small),
        "weekday": tuple(lines * (each == number % 7) for each in range(7)),
    }
    days = {MONDAY + number: lines} | {MONDAY + int(key): value for key, value in others.items()}
    return Counts(bins, days)


#: Monday to Saturday of four weeks.
MONTH = [day(7 * week + weekday) for week in range(4) for weekday in range(6)]


def measured(*arrived: Counts) -> drift.Drift:
    return drift.measure(arrived[::-1], against=BASELINE)


def latest_days(*arrived: Counts) -> list[int]:
    """Return the days that are measured, counted from the first Monday."""
    found = measured(*arrived)
    assert not found.unmeasured
    return [number - MONDAY for number in found.window.usual_days]


def test_a_line_is_counted_in_the_bin_of_each_thing_and_one_without_a_cluster_is_not(spark) -> None:
    scored = spark.sql(
        "SELECT *, price AS UnitPrice, n AS Quantity, timestamp(day) AS InvoiceDate, '1' AS InvoiceNo "
        "FROM VALUES (0, 1.0D, 6, '2010-12-02'), (1, 1.5D, 7, '2011-01-01 23:59:59'), (9, null, null, "
        "'1969-12-31'), (null, 1.0D, 6, '2010-12-02'), (0, 1.0D, 6, '2010-12-05') AS t(prediction, price, n, day)"
    )
    placed = drift.place_scored(scored, LINES, against=BASELINE)
    total = sum(drift.count(placed, against=BASELINE), drift.empty_counts(BASELINE))
    assert total.bins == {
        "clusters": (2, 1, 1),
        "price": (3, 1, 0),
        "quantity": (3, 1),
        "weekday": (0, 0, 1, 1, 0, 1, 1),
    }
    assert total.days == {-1: 1, 14945: 1, 14948: 1, 14975: 1}
    assert Counts.from_json(json.loads(json.dumps(asdict(total)))) == total


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=3))
def test_a_baseline_outlives_its_model_to_the_bit(numbers: list[float]) -> None:
    bins = Bins(edges=tuple(numbers), names=("it's", '"'), shares=(0.1, 0.2, 0.7), usual=abs(numbers[0]))
    assert Baseline.from_json(Baseline({"price": bins}).to_json()) == Baseline({"price": bins})


def test_shares_of_clusters_move_to_new_numbers_and_a_number_without_a_line_has_none() -> None:
    """Defect 11: the highest cluster without a line made a promotion fail."""
    rows = examples.weighted((1.0, 1, "Monday", 3), (2.0, 1, "Monday", 1))
    found = measure_baseline(rows, np.array([1, 0]), clusters=3, question=LINES)
    assert found.bins["clusters"].shares == (0.25, 0.75, 0.0, 0.0)
    moved = found.renumbered({0: 4, 1: 0, 2: 2})
    assert moved.bins["clusters"].shares == (0.75, 0.0, 0.0, 0.0, 0.25, 0.0)
    assert moved.bins["clusters"].name(4, of="clusters") == "cluster 4"
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
    weighted = examples.weighted(*((price / 4, *others) for price, *others in rows))
    labels = np.arange(len(weighted)) % 3
    found = measure_baseline(weighted, labels, clusters=5, question=LINES).bins
    counts = weighted.weights.astype(int)
    prices, days, clusters = (
        np.repeat(column, counts) for column in (weighted.numbers("price"), weighted.texts("weekday"), labels)
    )
    assert found["clusters"].shares == pytest.approx(np.bincount(clusters, minlength=6) / len(prices))
    shares = dict(zip(found["weekday"].names, found["weekday"].shares, strict=False))
    assert shares == pytest.approx({day: np.mean(days == day) for day in set(days)})
    assert found["weekday"].shares[-1] == 0
    assert set(found["price"].edges) <= set(prices)
    edges = [-np.inf, *found["price"].edges, np.inf]
    expected = [np.mean((low < prices) & (prices <= high)) for low, high in itertools.pairwise(edges)]
    assert found["price"].shares == pytest.approx(expected)


def test_edges_are_twentieths_of_the_lines_and_a_value_that_as_many_share_has_a_bin_of_its_own() -> None:
    def bins(*rows: examples.Row) -> dict[str, Bins]:
        labels = np.zeros(len(rows), int)
        return measure_baseline(examples.weighted(*rows), labels, clusters=1, question=LINES).bins

    even = bins(*((float(n), 1, "Monday", 1) for n in range(1, 201)))
    assert even["price"].edges == tuple(range(10, 200, 10))
    found = bins(*((float(n), n, "Monday", 30 if n == 50 else 1) for n in range(1, 101)))
    for each in (found["price"], found["quantity"]):
        at = each.edges.index(50)
        assert each.edges[at - 1] == 49
        assert each.shares[at] == pytest.approx(30 / 129)


def test_of_a_category_the_most_frequent_values_are_told_apart() -> None:
    question = Question(features={"item": Feature(sql="StockCode", encode="onehot")})
    names = [f"{n:03}" for n in range(150)]
    cells = pa.table({"item": names, CELL: [0] * 150, RECORDS: [2 if n == 149 else 1 for n in range(150)]})
    found = measure_baseline(
        weighted_rows(cells, ["item"]), np.zeros(150, int), clusters=1, question=question
    ).bins["item"]
    assert found.names == ("149", *names[:99])
    assert found.shares[-1] == pytest.approx(50 / 151)
    assert [found.name(at, of="item") for at in (0, 100)] == ["item 149", "another item"]


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
    moved = measured(*(day(number, few=0.99) for number in (1, 2, 3, 4)))
    expected = (0.99 - 0.5) * np.log(0.99 / 0.5) + (0.01 - 0.5) * np.log(0.01 / 0.5)
    assert moved.indices["quantity"] == pytest.approx(expected)
    assert moved.warning(BASELINE, above=0.25) == (
        f"PSI of quantity is {expected:.2f} over the latest 4 days, above 0.25; most of it: "
        "quantity above 6, 50.0% of the training lines and 1.0% of these"
    )
    assert moved.warning(BASELINE, above=9.0) is None
    assert moved.scaled(BASELINE, above=0.25)["weekday"] == pytest.approx(moved.indices["weekday"] * 0.25 / 9)

    def bounded(usual: float) -> str | None:
        quantity = replace(BASELINE.bins["quantity"], usual=usual)
        return moved.warning(Baseline({**BASELINE.bins, "quantity": quantity}), above=0.25)

    assert "above 2.00, which training days reach themselves" in (bounded(2.0) or "")
    assert bounded(9.0) is None
    assert measured(*MONTH).warning(BASELINE, above=0.25) is None


def test_days_in_order_are_measured_over_the_latest_four_of_a_thousand_lines_however_far_apart() -> None:
    assert latest_days(*MONTH[:6], day(70), day(350), day(700), day(1000)) == [70, 350, 700, 1000]
    assert latest_days(*(day(number, lines=200) for number in range(6))) == [1, 2, 3, 4, 5]
    assert latest_days(*MONTH[:4], drift.empty_counts(BASELINE)) == [0, 1, 2, 3]
    assert latest_days(sum(MONTH[1:5], MONTH[0]), day(5)) == [0, 1, 2, 3, 4, 5]


def test_days_in_another_order_are_measured_over_thirty() -> None:
    late = [day(200), *(day(number) for number in range(40))]
    assert measured(*late[:5]).unmeasured
    assert latest_days(*late[:8]) == [3, 4, 5, 6]  # seven in order
    assert len(latest_days(*Random(0).sample(late, len(late)))) == 30
    at_once = sum(late[1:20], late[0])
    assert measured(at_once).unmeasured
    assert len(latest_days(sum(late[20:], at_once))) == 41


def test_what_cannot_be_measured_says_why() -> None:
    assert measured().unmeasured == "4 days and 1,000 lines must have come, but 0 and 0 have"
    assert measured(*MONTH[:3]).unmeasured == "4 days and 1,000 lines must have come, but 3 and 1,800 have"
    few = [day(number, lines=100) for number in range(6)]
    assert measured(*few).unmeasured == "4 days and 1,000 lines must have come, but 6 and 600 have"
    assert measured(day(70), *MONTH[:3]).unmeasured == (
        "30 days, as they come at once or in no order, and 1,000 lines must have come, but 4 and 2,400 have"
    )


def test_one_wrong_date_in_every_file_neither_stops_nor_hides_what_moved_and_is_named() -> None:
    """Defect 77: a line of 2111 counted as the latest day, and drift was measured late or never."""
    moved = measured(*(day(number, few=0.99, **{"51500": 1}) for number in range(8)))
    assert moved.window.usual_days == [MONDAY + number for number in (4, 5, 6, 7)]
    assert moved.window.wrong_days == [MONDAY + 51500]
    assert (moved.warning(BASELINE, above=0.25) or "").startswith("PSI of quantity")


@given(st.lists(st.floats(0.1, 0.9), min_size=1, max_size=30))
def test_a_stream_of_the_training_days_never_warns(shares: list[float]) -> None:
    """Defect 13: bounds are what windows of successive training days reach."""
    days = [day(number, few=share) for number, share in enumerate(shares)]
    bounded = drift.bounded(BASELINE, by=days)
    for end in range(len(days)):
        assert drift.measure(days[end::-1], against=bounded).warning(bounded, above=1e-9) is None


@pytest.fixture(scope="module", params=[pytest.param("none", marks=pytest.mark.soak), "log"])
def stream(spark, request):
    """A model's bounds and training days of the sample: counted by rows, by lines, and with prices 30 % up."""
    experiment = Experiment(features=examples.lines(scale=request.param))
    sample = examples.context_of_files(spark, SAMPLE, experiment=experiment)
    model = ScoringModel.of(sample.space, sample.fit(k=20, seed=1).centres)
    rows = sample.weighted["train"]
    labels = model.labels(rows, spark=spark)
    question = experiment.question
    baseline = measure_baseline(rows, labels, clusters=20, question=question)
    lines = invoices.good(invoices.read(spark, csv_files.check_data(str(SAMPLE))[1])[0])
    training = lines.where(F.col(schema.INVOICE_DATE) < Split().train_until.isoformat())
    risen = training.withColumn(schema.UNIT_PRICE, F.round(F.col(schema.UNIT_PRICE) * 1.3, 2))
    scored = (model.pipeline(spark=spark).transform(each) for each in (training, risen))
    plain, dear = (
        drift.count(drift.place_scored(each, question, against=baseline), against=baseline) for each in scored
    )
    return baseline, drift.count_days(rows, labels, against=baseline), plain, dear


def warnings(arrived, baseline):
    measured = (drift.measure(arrived[end::-1], against=baseline) for end in range(len(arrived)))
    return [moved.warning(baseline, above=WARNING) for moved in measured]


def test_days_counted_from_the_rows_are_days_counted_from_the_lines_and_add_up_to_the_baseline(stream):
    baseline, counted, plain, _ = stream
    assert counted == plain
    total = sum(plain[1:], plain[0])
    for name, bins in baseline.bins.items():
        assert [lines / total.lines for lines in total.bins[name]] == pytest.approx(bins.shares)


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
