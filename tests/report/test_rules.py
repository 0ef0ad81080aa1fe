"""Rules hold for each record exactly once, say the same in NumPy and in SQL, and are measured on what they say."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from retail_clusters.features.pipeline import FeatureSpace, Fitted
from retail_clusters.report.rules import Rules, fit_rules, readable, values_of
from tests.report.records import CUSTOMERS, weighted

SPACE = FeatureSpace(
    CUSTOMERS,
    {"recency": Fitted(), "spend": Fitted(clip=(0, 1)), "channel": Fitted(categories=("shop", "o'web"))},
)
RECORD = st.fixed_dictionaries(
    {
        "recency": st.integers(0, 9).map(float),
        "spend": st.integers(-999, 99_999).map(lambda cents: cents / 100),
        "channel": st.sampled_from(["shop", "o'web", "fair"]),
        "n": st.integers(1, 9),
    }
)


def fitted(
    records: list[dict[str, object]], clusters: list[int]
) -> tuple[Rules, dict[str, np.ndarray], np.ndarray]:
    rows = weighted(CUSTOMERS, records)
    labels = np.array((clusters * len(rows))[: len(rows)])
    rules = fit_rules(rows, labels, SPACE, test=rows, test_labels=labels)
    return rules, dict(values_of(rows, SPACE)), labels


@given(
    records=st.lists(RECORD, min_size=2, max_size=30),
    clusters=st.lists(st.integers(0, 4), min_size=1, max_size=30),
)
def test_exactly_one_rule_holds_for_each_record(records, clusters):
    rules, values, _ = fitted(records, clusters)
    holding = [
        np.logical_and.reduce([c.holds(values) for c in rule.conditions] or [True]) for rule in rules.rules
    ]
    assert (np.sum([np.broadcast_to(each, len(values["spend"])) for each in holding], axis=0) == 1).all()
    assert Rules.from_json(rules.to_json()) == rules


def test_rules_of_groups_that_are_apart_are_few_readable_and_right():
    near = [{"recency": float(day), "spend": 1000 + 13.7 * day, "channel": "shop"} for day in range(9)]
    far = [{"recency": float(day), "spend": 12.34, "channel": "shop"} for day in range(100, 190)]
    rules, _, _ = fitted([*near, *far], [0])
    assert len(rules.rules) == 1
    rows = weighted(CUSTOMERS, [*near, *far])
    labels = (rows.numbers("spend") > 500).astype(int)
    rules = fit_rules(rows, labels, SPACE, test=rows, test_labels=labels)
    assert rules.fidelity == 1
    assert rules.sentence("customer") == "2 rules put 100% of the test customers where the model does"
    assert rules.lines({1: "Big spenders"}, "customer")[1] == (
        "1 Big spenders: spend > 500 (9.1% of the training customers, right for 100% of them)"
    )


def test_sql_gives_what_the_rules_give(spark: SparkSession):
    rng = np.random.default_rng(0)
    records = [
        {"recency": float(a), "spend": round(float(b), 2), "channel": ["shop", "o'web", "fair"][c]}
        for a, b, c in zip(
            rng.integers(0, 180, 300), rng.normal(50, 30, 300), rng.integers(0, 3, 300), strict=True
        )
    ]
    rows = weighted(CUSTOMERS, records)
    labels = (rows.numbers("spend") > 40) + 2 * (np.array(rows.texts("channel")) == "o'web")
    rules = fit_rules(rows, labels, SPACE, test=rows, test_labels=labels)
    values = values_of(rows, SPACE)
    frame = spark.createDataFrame(pd.DataFrame(dict(values)))
    found = frame.select(F.expr(rules.to_sql({0: "a -- b"}, "customer"))).toPandas().iloc[:, 0]
    np.testing.assert_array_equal(found, rules.apply(values))
    assert rules.fidelity == np.mean(found == labels) > 0.95


@given(st.lists(st.integers(-10_000, 10_000).map(lambda n: n / 100), min_size=2, unique=True), st.data())
def test_a_bound_of_three_digits_or_fewer(values, data):
    ordered = np.array(sorted(values))
    at = data.draw(st.integers(0, len(ordered) - 2))
    middle = (ordered[at] + ordered[at + 1]) / 2
    bound = readable(middle, ordered)
    assert float(f"{bound:.3g}") == bound
    assert bound == pytest.approx(middle, rel=0.01, abs=1) or ordered[at] <= bound < ordered[at + 1]
