"""The profile of weighted rows is that of the expanded lines, as pandas sees them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_clusters import schema
from retail_clusters.report.profile import profile, texts, to_markdown
from tests import examples

ROWS = st.lists(
    st.tuples(
        st.integers(-999, 99_999),
        st.integers(-50, 500),
        st.sampled_from(["Monday", "Tuesday", "Sunday"]),
        st.integers(1, 30),
    ),
    min_size=1,
    max_size=15,
    unique_by=lambda row: row[:3],
)


@given(rows=ROWS, clusters=st.integers(1, 4))
def test_profile_is_that_of_the_expanded_lines(rows, clusters):
    weighted = examples.weighted(
        *((cents / 100, quantity, day, lines, lines // 2) for cents, quantity, day, lines in rows)
    )
    labels = np.arange(len(weighted)) % clusters * 2
    frame = weighted.table.to_pandas().assign(cluster=labels)
    lines = frame.loc[frame.index.repeat(frame[schema.WEIGHT])]
    found = profile(weighted, labels).set_index("cluster")
    assert sorted(found.index) == sorted(lines["cluster"].unique())
    for cluster, group in lines.groupby("cluster"):
        row = found.loc[cluster]
        assert row["lines"] == len(group)
        assert row["share"] == pytest.approx(len(group) / len(lines))
        assert row["spend"] == pytest.approx((group["UnitPrice"] * group["Quantity"]).sum(), abs=1e-6)
        for name, column in (("price", "UnitPrice"), ("quantity", "Quantity")):
            found_quantiles = row[[f"{name}_p05", f"{name}_median", f"{name}_p95"]].tolist()
            assert (
                found_quantiles
                == np.quantile(group[column], [0.05, 0.5, 0.95], method="inverted_cdf").tolist()
            )
        cancelled = frame.loc[frame["cluster"] == cluster, "cancellations"].sum()
        assert row["cancellation_share"] == pytest.approx(cancelled / len(group))
        days = group["day_of_week"].value_counts()
        assert days[row["top_weekday"]] == days.max()


def test_clusters_come_largest_first_and_are_named_after_the_typical_line():
    rows = examples.weighted(
        (2.0, 4, "Monday", 90, 0),
        (2.0, 90, "Friday", 8, 0),
        (2.0, -80995, "Sunday", 2, 2),
        (2.0, -4, "Monday", 3, 3),
        (0.0, -30, "Tuesday", 4, 0),
        (900.0, 1, "Monday", 5, 0),
        (0.5, 3, "Friday", 9, 0),
    )
    found = profile(rows, np.arange(len(rows)))
    assert found["lines"].tolist() == sorted(found["lines"], reverse=True)
    assert found["share"].sum() == pytest.approx(1)
    assert dict(zip(found["quantity_median"], found["name"], strict=True)) == {
        4: "usual orders, usual price",
        3: "usual orders, low price",
        90: "bulk orders, usual price",
        -80995: "cancelled bulk orders, usual price",
        -4: "cancellations, usual price",
        -30: "write-offs, no charge",
        1: "single items, fees and adjustments",
    }


def test_profile_of_an_earlier_version_is_written_without_the_facts_that_are_new_since():
    made = profile(examples.weighted((2.0, 4, "Monday", 1, 0)), np.zeros(1, dtype=int))
    earlier = made.drop(columns=[name for name in made if name.startswith("quantity_")])
    row = texts(made).iloc[0].to_dict()
    assert row.pop("quantity 5 / 50 / 95 %") == "4 / 4 / 4"
    assert row["price 5 / 50 / 95 %"] == "2.00 / 2.00 / 2.00"
    assert texts(earlier).iloc[0].to_dict() == row


def test_markdown_names_the_clusters_that_it_leaves_out():
    rows = examples.weighted(*((float(n), 1, "Monday", 1, 0) for n in range(5)))
    text = to_markdown(profile(rows, np.arange(5)), rows=3)
    assert text.count("\n| ") == 3
    assert text.endswith("2 smaller clusters are in `profile.csv`.")
