"""The profile of weighted rows is that of the expanded records, as pandas sees them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_clusters.question import Feature, Question
from retail_clusters.report.profile import profile, texts, to_markdown
from tests.report.records import CUSTOMERS, EARLIER, numbers, weighted

RECORD = st.fixed_dictionaries(
    {
        "recency": st.integers(0, 5).map(float),
        "spend": st.integers(-999, 99_999).map(lambda cents: cents / 100),
        "channel": st.sampled_from(["shop", "web", "fair"]),
        "cancelled": st.integers(0, 1),
        "country": st.sampled_from(["France", "Norway"]),
        "n": st.integers(1, 9),
    }
)


def names(question: Question, *clusters: dict[str, object]) -> list[str]:
    """Return the names of clusters of ten records each, all alike, in their order."""
    rows = weighted(question, [cluster | {"n": 10} for cluster in clusters])
    order = {tuple(row.values()): at for at, row in enumerate(rows.keys.to_pylist())}
    labels = np.argsort([order[tuple(cluster[name] for name in question.features)] for cluster in clusters])
    return profile(rows, labels, question).sort_values("cluster")["name"].tolist()


@given(records=st.lists(RECORD, min_size=1, max_size=20), clusters=st.integers(1, 4))
def test_profile_is_that_of_the_expanded_records(records, clusters):
    rows = weighted(CUSTOMERS, records)
    labels = np.arange(len(rows)) % clusters * 2
    cluster_of = dict(zip(map(tuple, rows.keys.to_pandas().to_numpy().tolist()), labels, strict=True))
    expanded = pd.DataFrame([record for record in records for _ in range(record["n"])])
    expanded["cluster"] = [cluster_of[key] for key in expanded[[*CUSTOMERS.features]].itertuples(index=False)]
    found = profile(rows, labels, CUSTOMERS).set_index("cluster")
    assert sorted(found.index) == sorted(set(labels))
    for cluster, group in expanded.groupby("cluster"):
        row = found.loc[cluster]
        assert row["records"] == len(group)
        assert row["share"] == pytest.approx(len(group) / len(expanded))
        for name in CUSTOMERS.numbers:
            expected = np.quantile(group[name], [0.05, 0.5, 0.95], method="inverted_cdf")
            assert row[[f"{name}_p05", f"{name}_median", f"{name}_p95"]].tolist() == expected.tolist()
        for name in ("channel", "country"):
            counts = group[name].value_counts()
            assert row[f"{name}_top"] == min(counts[counts == counts.max()].index)
            assert row[f"{name}_top_share"] == pytest.approx(counts.max() / len(group))
        assert row["cancelled_mean"] == pytest.approx(group["cancelled"].mean())


@given(records=st.lists(RECORD, min_size=2, max_size=12), seed=st.integers(0, 9))
def test_order_of_records_does_not_matter(records, seed):
    shuffled = [records[at] for at in np.random.default_rng(seed).permutation(len(records))]
    one, other = (weighted(CUSTOMERS, each) for each in (records, shuffled))
    labels = np.arange(len(one)) % 3
    pd.testing.assert_frame_equal(profile(one, labels, CUSTOMERS), profile(other, labels, CUSTOMERS))


def test_clusters_come_largest_first_and_their_names_differ():
    rows = weighted(
        CUSTOMERS, [{"recency": 1.0, "spend": at, "channel": "web", "n": at} for at in (2.0, 7.0, 3.0)]
    )
    found = profile(rows, np.array([5, 1, 3]), CUSTOMERS)
    assert found["records"].tolist() == [7, 3, 2]
    assert found["name"].is_unique


def test_name_tells_where_the_median_of_a_cluster_stands_among_all_records():
    spends = [{"spend": float(spend)} for spend in (1, 2, 5, 5, 5, 5, 5, 5, 8, 9)]
    rows = weighted(numbers("spend"), spends)
    found = profile(rows, np.array([0, 1, 2, 3, 4]), numbers("spend"))
    assert dict(zip(found["spend_median"], found["name"], strict=True)) == {
        1: "very low spend",
        2: "low spend",
        5: "typical lines",
        8: "high spend",
        9: "very high spend",
    }


def test_name_tells_what_is_below_zero_and_nearly_always_the_same():
    clusters = [
        {"recency": 5.0, "spend": spend, "channel": channel}
        for spend, channel in ((-1.0, "web"), (4.0, "shop"), (6.0, "shop"), (9.0, "shop"))
    ]
    found = names(CUSTOMERS, *clusters)
    assert (found[0], found[-1]) == ("negative spend, channel web", "high spend"), (
        "most customers are of the shop"
    )


def test_name_tells_the_three_features_that_say_most():
    question = numbers("a", "b", "c", "d")
    typical = dict.fromkeys("abcd", 5.0)
    rows = [{"a": 9.0, "b": 9.0, "c": 1.0, "d": 9.0}, *[typical | {"a": 5.0 + at / 10} for at in range(3)]]
    assert names(question, *rows)[0] == "high a, high b, low c"


def test_clusters_of_one_name_are_told_apart_by_what_differs_most():
    clusters = [
        {"spend": spend, "visits": visits}
        for spend, visits in ((1.0, 4.0), (5.0, 4.0), (6.0, 4.0), (9.0, 4.0))
    ]
    assert names(numbers("spend", "visits"), *clusters) == [
        "low spend",
        "typical lines, spend 5",
        "typical lines, spend 6",
        "high spend",
    ]


def test_clusters_that_do_not_differ_in_any_median_are_told_apart_by_their_numbers():
    question = Question(features={"hour": Feature(sql="hour(InvoiceDate)", encode="onehot")})
    rows = weighted(question, [{"hour": hour} for hour in "1234"])
    found = profile(rows, np.array([7, 7, 9, 9]), question)
    assert found["name"].tolist() == ["typical lines (7)", "typical lines (9)"]


def test_description_that_rows_do_not_hold_is_left_out():
    rows = weighted(CUSTOMERS, [{"recency": 1.0, "spend": 2.0, "channel": "web", "country": "France"}])
    found = profile(rows, np.zeros(1, dtype=int), CUSTOMERS)
    assert "country_top" in found
    assert "cancelled_mean" not in found


def test_profile_is_written_as_a_person_reads_it():
    record = {
        "recency": 3.0,
        "spend": 1234.5,
        "channel": "web",
        "cancelled": 1,
        "country": "France",
        "n": 1500,
    }
    rows = weighted(CUSTOMERS, [record])
    assert texts(profile(rows, np.array([4]), CUSTOMERS), noun="customer").iloc[0].to_dict() == {
        "cluster": "4",
        "name": "typical customers",
        "customers": "1,500",
        "share": "100%",
        "recency 5 / 50 / 95 %": "3 / 3 / 3",
        "spend 5 / 50 / 95 %": "1,234.50 / 1,234.50 / 1,234.50",
        "channel, most often": "web (100%)",
        "cancelled": "100%",
        "country, most often": "France (100%)",
    }


def test_profile_of_an_earlier_release_is_written_with_the_columns_that_it_has():
    assert texts(EARLIER, noun="line").iloc[0].to_dict() == {
        "cluster": "0",
        "name": "usual orders",
        "lines": "1,200",
        "share": "100%",
        "spend": "99.50",
        "price 5 / 50 / 95 %": "0.50 / 2.00 / 3.25",
        "cancellation share": "25.0%",
        "top weekday": "Monday",
    }


def test_markdown_names_the_clusters_that_it_leaves_out():
    rows = weighted(numbers("spend"), [{"spend": float(at)} for at in range(5)])
    text = to_markdown(profile(rows, np.arange(5), numbers("spend")), noun="line", rows=3)
    assert text.count("\n| ") == 3
    assert text.endswith("2 smaller clusters are in `profile.csv`.")
