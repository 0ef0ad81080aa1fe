from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from retail_clusters import schema
from retail_clusters.clustering import kmeans
from retail_clusters.clustering.blocks import block, in_memory
from retail_clusters.clustering.stability import Resampling, stability
from retail_clusters.data import synthetic
from retail_clusters.errors import InputError

TRADING_DAYS = synthetic.days(321)
any_day = st.sampled_from(TRADING_DAYS)
any_seed = st.integers(0, 2**40)


@pytest.fixture(scope="module")
def year() -> pd.DataFrame:
    return pd.concat([synthetic.invoice_lines(day, lines=150, seed=7) for day in TRADING_DAYS])


@pytest.fixture(scope="module")
def sixty() -> pd.DataFrame:
    """The lines of the sample."""
    days = synthetic.days(60)
    made = [
        synthetic.invoice_lines(day, lines=500, seed=7, before=before)
        for before, day in zip([None, *days], days, strict=False)
    ]
    return pd.concat(made, ignore_index=True)


@pytest.fixture(scope="module")
def customers(sixty: pd.DataFrame) -> pd.DataFrame:
    """Recency, frequency and spend of who bought in the 180 days before July."""
    cut = pd.Timestamp("2011-07-01")
    chosen = sixty.InvoiceDate.between(cut - timedelta(days=180), cut, inclusive="left")
    lines = sixty[chosen & sixty.CustomerID.notna() & ~sixty.InvoiceNo.str.startswith("C")]
    made = lines.assign(spend=lines.Quantity * lines.UnitPrice).groupby("CustomerID")
    found = made.agg(
        recency=("InvoiceDate", "max"), frequency=("InvoiceNo", "nunique"), spend=("spend", "sum")
    )
    return found.assign(recency=(cut - found.recency.dt.normalize()).dt.days)


@given(st.integers(3, 321))
def test_days_are_as_many_as_asked_in_order_and_no_saturday(count: int):
    days = synthetic.days(count)

    assert len(set(days)) == count
    assert days == sorted(days)
    assert (days[0], days[-1]) == (date(2010, 12, 1), date(2011, 12, 9))
    assert all(day.weekday() != 5 for day in days)


@given(st.integers(3, 160))
def test_days_are_spread_evenly(count: int):
    places = [TRADING_DAYS.index(day) for day in synthetic.days(count)]
    gaps = {b - a for a, b in pairwise(places)}

    assert max(gaps) - min(gaps) <= 1


def test_default_days_leave_no_split_empty():
    days = synthetic.days(60)
    train = [day for day in days if day < date(2011, 7, 1)]
    test = [day for day in days if day >= date(2011, 10, 1)]

    assert (len(train), 60 - len(train) - len(test), len(test)) == (34, 15, 11)


@pytest.mark.parametrize("count", [-1, 0, 2, 322])
def test_days_refuses_a_count_that_the_year_does_not_have(count: int):
    with pytest.raises(InputError, match=f"between 3 and 321.* but got {count}; give"):
        synthetic.days(count)


@pytest.mark.parametrize(
    ("day", "lines", "seed", "law"),
    [
        (date(2011, 1, 8), 10, 1, "no Saturday, but got Saturday 2011-01-08"),
        (date(2012, 1, 2), 10, 1, "between 2010-12-01 and 2011-12-09"),
        (date(2011, 1, 7), 0, 1, "at least 1, but got 0"),
        (date(2011, 1, 7), 10, -1, "must not be negative, but got -1"),
    ],
)
def test_invoice_lines_refuses_the_impossible(day: date, lines: int, seed: int, law: str):
    with pytest.raises(InputError, match=law):
        synthetic.invoice_lines(day, lines=lines, seed=seed)


@settings(max_examples=40)
@given(any_day, st.integers(1, 400), any_seed)
def test_invoice_lines_has_the_form_of_the_data(day: date, lines: int, seed: int):
    frame = synthetic.invoice_lines(day, lines=lines, seed=seed)

    assert tuple(frame.columns) == schema.COLUMNS
    assert (frame.InvoiceDate.dt.date == day).all()
    assert frame.InvoiceDate.is_monotonic_increasing
    assert (frame.UnitPrice >= 0).all()
    assert (frame.Quantity != 0).all()
    assert frame.InvoiceNo.str.fullmatch(r"C?\d{6}").all()
    assert frame[["InvoiceNo", "StockCode", "InvoiceDate", "Country"]].notna().all(axis=None)
    assert (frame.CustomerID.dropna() % 1 == 0).all()


@settings(max_examples=40)
@given(any_day, any_seed)
def test_an_invoice_has_one_customer_one_country_and_one_time(day: date, seed: int):
    frame = synthetic.invoice_lines(day, lines=300, seed=seed)
    kinds = frame.groupby("InvoiceNo")[["CustomerID", "Country", "InvoiceDate"]].nunique(dropna=False)

    assert (kinds == 1).all(axis=None)


@settings(max_examples=40)
@given(any_day, any_seed)
def test_cancellations_are_the_negative_lines_with_a_description(day: date, seed: int):
    frame = synthetic.invoice_lines(day, lines=300, seed=seed)
    cancelled = frame.InvoiceNo.str.startswith("C")

    assert (frame[cancelled].Quantity < 0).all()
    assert frame[~cancelled & (frame.Quantity < 0)].Description.isna().all()


@settings(max_examples=20)
@given(any_day, st.integers(1, 300), any_seed)
def test_a_day_depends_on_its_arguments_alone(day: date, lines: int, seed: int):
    first = synthetic.invoice_lines(day, lines=lines, seed=seed)
    synthetic.invoice_lines(TRADING_DAYS[0], lines=5, seed=seed)

    assert_frame_equal(synthetic.invoice_lines(day, lines=lines, seed=seed), first)


def test_another_seed_or_day_gives_other_lines():
    day, next_day = date(2011, 3, 1), date(2011, 3, 2)
    columns = ["StockCode", "Quantity"]
    one, other_seed, other_day = (
        synthetic.invoice_lines(d, lines=50, seed=s)[columns] for d, s in [(day, 1), (day, 2), (next_day, 1)]
    )

    assert not one.equals(other_seed)
    assert not one.equals(other_day)


def test_invoice_numbers_do_not_repeat_on_other_days(year: pd.DataFrame):
    assert (year.groupby("InvoiceNo").InvoiceDate.nunique() == 1).all()
    assert year.drop_duplicates("InvoiceNo").InvoiceNo.str.removeprefix("C").is_unique


def test_a_year_is_busy_in_autumn_and_on_thursdays(year: pd.DataFrame):
    months = year.groupby(year.InvoiceDate.dt.to_period("M")).InvoiceDate.agg(
        ["size", lambda d: d.dt.day.nunique()]
    )
    a_day = months.iloc[:, 0] / months.iloc[:, 1]
    weekdays = year.InvoiceDate.dt.day_name().value_counts()

    assert str(a_day.idxmax()) == "2011-11"
    assert str(a_day.idxmin()) == "2011-02"
    assert list(weekdays.index) == ["Thursday", "Tuesday", "Monday", "Wednesday", "Friday", "Sunday"]


def test_a_year_has_the_shares_of_the_real_one(year: pd.DataFrame):
    assert year.InvoiceNo.str.startswith("C").mean() == pytest.approx(0.017, abs=0.004)
    assert year.CustomerID.isna().mean() == pytest.approx(0.25, abs=0.03)
    assert year.Description.isna().mean() == pytest.approx(0.003, abs=0.002)
    assert (year.Country == "United Kingdom").mean() == pytest.approx(0.91, abs=0.06)
    assert year.Description.str.contains('"').any()
    assert year.Description.str.contains(",").any()


def test_a_year_has_few_distinct_lines_and_a_few_enormous_ones(year: pd.DataFrame):
    vectors = year.assign(weekday=year.InvoiceDate.dt.weekday)[["UnitPrice", "Quantity", "weekday"]]

    assert len(vectors.drop_duplicates()) < len(year) / 15
    assert year.Quantity.abs().quantile(0.98) <= 100
    assert (year.Quantity > 10_000).any()
    assert (year.Quantity < -10_000).any()
    assert year.UnitPrice.quantile(0.99) < 30
    assert (year.UnitPrice > 1_000).any()


def test_an_enormous_order_that_is_taken_back_leaves_the_same_customer_and_price(year: pd.DataFrame):
    returned = year[year.Quantity < -1_000].iloc[0]
    order = year[
        (year.Quantity == -returned.Quantity) & (year.InvoiceDate.dt.date == returned.InvoiceDate.date())
    ]

    assert order.InvoiceDate.iloc[0] == returned.InvoiceDate - timedelta(minutes=12)
    columns = ["StockCode", "Description", "UnitPrice", "CustomerID", "Country"]
    assert list(order[columns].iloc[0]) == list(returned[columns])


@settings(max_examples=20)
@given(st.lists(any_day, min_size=2, max_size=2, unique=True), any_seed)
def test_what_a_customer_returns_was_bought_the_day_before(two: list[date], seed: int):
    before, day = sorted(two)
    bought, lines = (
        synthetic.invoice_lines(each, lines=300, seed=seed, before=before) for each in (before, day)
    )
    known = ["CustomerID", "StockCode", "UnitPrice", "Country"]
    returned = lines[lines.InvoiceNo.str.startswith("C") & lines.CustomerID.notna()]
    pairs = returned.merge(pd.concat([bought, lines]), on=known, suffixes=("", "_bought"))
    earlier = pairs[
        (pairs.InvoiceDate_bought < pairs.InvoiceDate) & (pairs.Quantity_bought >= -pairs.Quantity)
    ]

    assert len(earlier[["InvoiceNo", "StockCode", "Quantity"]].drop_duplicates()) == len(
        returned[["InvoiceNo", "StockCode", "Quantity"]].drop_duplicates()
    )


def test_what_is_cheap_is_bought_in_bulk(sixty: pd.DataFrame):
    orders = sixty[sixty.CustomerID.notna() & (sixty.Quantity > 0)]

    assert -0.8 < orders.UnitPrice.corr(orders.Quantity, method="spearman") < -0.4


def test_a_customer_buys_by_the_piece_or_by_the_pack(sixty: pd.DataFrame):
    orders = sixty[sixty.CustomerID.notna() & (sixty.Quantity > 0)]
    usual = orders.groupby("CustomerID").Quantity.median()

    assert (usual <= 2).mean() > 0.3
    assert (usual >= 6).mean() > 0.2
    assert usual.between(2, 6, inclusive="neither").mean() < 0.1


def test_a_few_customers_come_all_the_time_many_come_once_some_before_christmas(
    sixty: pd.DataFrame, customers: pd.DataFrame
):
    months = sixty.dropna().groupby("CustomerID").InvoiceDate.agg(lambda dates: dates.dt.month.min())

    assert len(customers) >= 300
    assert 0.45 < (customers.frequency == 1).mean() < 0.65
    assert 0.02 < (customers.frequency >= 10).mean() < 0.1
    assert (months >= 10).mean() > 0.1


def test_who_comes_often_came_lately_and_spends_much(customers: pd.DataFrame):
    found = customers.corr(method="spearman")

    assert found.loc["frequency", "spend"] == pytest.approx(0.72, abs=0.08)
    assert found.loc["recency", "frequency"] == pytest.approx(-0.5, abs=0.08)
    assert found.loc["recency", "spend"] == pytest.approx(-0.44, abs=0.08)


def test_customers_fall_into_four_clusters_that_are_stable(customers: pd.DataFrame):
    logs = np.log1p(customers)
    values = ((logs - logs.mean()) / logs.std()).to_numpy()

    assert stable_clusters(values, np.arange(len(values)) % 20, k=4, seeds=8) == 4


def test_lines_fall_into_fifteen_clusters_most_of_them_stable(sixty: pd.DataFrame):
    lines = sixty[sixty.InvoiceDate < "2011-07-01"]
    logs = np.sign(lines[["UnitPrice", "Quantity"]]) * np.log1p(lines[["UnitPrice", "Quantity"]].abs())
    weekdays = pd.get_dummies(lines.InvoiceDate.dt.weekday)
    values = np.column_stack([logs, weekdays]).astype(float)
    day = (lines.InvoiceDate - pd.Timestamp(0)).dt.days.to_numpy()

    assert stable_clusters(values, day % 20, k=15, seeds=8) >= 11


def stable_clusters(values: np.ndarray, groups: np.ndarray, *, k: int, seeds: int) -> int:
    """Fit with several seeds; count the clusters of the best fit that are stable when groups are drawn anew."""
    rows, row_of = np.unique(values, axis=0, return_inverse=True)
    cells = np.bincount(row_of * 20 + groups, minlength=len(rows) * 20).reshape(-1, 20).astype(float)
    weights = cells.sum(axis=1)
    fits = [
        kmeans.fit(
            in_memory(rows, weights), block(rows, weights), k=k, seed=seed, max_iterations=100, tolerance=1e-4
        )
        for seed in range(seeds)
    ]
    best = min(fits, key=lambda fit: fit.cost)
    return stability(rows, cells, best.centres, seed=0, settings=Resampling()).stable_clusters
