"""From records to vectors: constants, scaling, categories."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from retail_clusters.errors import InputError
from retail_clusters.features import pipeline
from retail_clusters.features.pipeline import FeatureSpace
from retail_clusters.question import Feature, Question
from tests import examples

ROWS = examples.weighted(
    (2.55, 6, "Thursday", 3), (1.0, -6, "Monday", 1), (0.0, 0, "Sunday", 2), (38970.0, 80995, "Monday", 1)
)


def space(spark: SparkSession, **features: Feature) -> FeatureSpace:
    return pipeline.fit_space(ROWS, Question(features=features), spark=spark)


def test_vector_is_the_features_in_their_order_with_a_column_a_category_most_lines_first(spark):
    found = space(spark, **examples.lines())
    (vectors,) = pipeline.vectors([ROWS], space=found, spark=spark)
    assert found.names == ["price", "quantity", "weekday = Thursday", "weekday = Monday", "weekday = Sunday"]
    assert found.feature_columns == {"price": (0,), "quantity": (1,), "weekday": (2, 3, 4)}
    assert vectors.tolist() == [
        [0, 0, 0, 0, 1], [1, -6, 0, 1, 0], [2.55, 6, 1, 0, 0], [38970, 80995, 0, 1, 0],
    ]  # fmt: skip


def test_rarest_category_is_all_zeros_and_others_are_refused_where_unseen_is_an_error(spark):
    found = space(spark, **examples.lines(unseen="error"))
    assert found.names[2:] == ["weekday = Thursday", "weekday = Monday"]
    assert found.refused == {"weekday": ("Thursday", "Monday", "Sunday")}


def test_top_categories_have_columns_and_the_others_share_one(spark):
    features = examples.lines() | {"weekday": Feature(sql="x", encode="onehot", top=1, weight=2.0)}
    found = space(spark, **features)
    (vectors,) = pipeline.vectors([ROWS], space=found, spark=spark)
    assert found.names[2:] == ["weekday = Thursday", "weekday = (other)"]
    assert vectors[:, 2:].tolist() == [[0, 2], [0, 2], [2, 0], [0, 2]]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"scale": ("log",)}, [math.log1p(x) for x in (0, 1, 2.55, 38970)]),
        ({"scale": ("log",), "weight": 2.0}, [2 * math.log1p(x) for x in (0, 1, 2.55, 38970)]),
        ({"clip": (0.0, 0.5)}, [0, 1, 2.55, 2.55]),
        ({"clip": (0.3, 1.0)}, [1, 1, 2.55, 38970]),
    ],
)
def test_number_is_clipped_scaled_and_weighted_in_that_order(spark, changes, expected):
    found = space(spark, **examples.lines() | {"price": Feature(sql="UnitPrice", **changes)})
    (vectors,) = pipeline.vectors([ROWS], space=found, spark=spark)
    assert vectors[:, 0] == pytest.approx(expected, rel=1e-15)


def test_standardized_numbers_have_mean_0_and_deviation_1_over_records(spark):
    found = space(spark, **examples.lines() | {"price": Feature(sql="UnitPrice", scale=("log", "standard"))})
    (vectors,) = pipeline.vectors([ROWS], space=found, spark=spark)
    records = np.repeat(vectors[:, 0], ROWS.weights.astype(int))
    assert records.mean() == pytest.approx(0, abs=1e-12)
    assert records.std(ddof=1) == pytest.approx(1, rel=1e-12)


def test_space_comes_back_from_its_text_to_the_bit(spark):
    found = space(
        spark,
        **examples.lines() | {"price": Feature(sql="UnitPrice", clip=(0.1, 0.9), scale=("log", "standard"))},
    )
    assert FeatureSpace.from_json(found.to_json()) == found


def test_spaces_are_the_same_whatever_the_order_of_categories(spark):
    one = space(spark, **examples.lines())
    rows = examples.weighted((1.0, 1, "Sunday", 9), (2.0, 2, "Monday", 5), (3.0, 3, "Thursday", 1))
    other = pipeline.fit_space(rows, one.question, spark=spark)
    assert other.names != one.names
    assert one.same_as(other)
    assert [other.names[at] for at in other.order_in(one)] == one.names
    fewer = pipeline.fit_space(examples.weighted((1.0, 1, "Sunday", 9)), one.question, spark=spark)
    assert not one.same_as(fewer)
    assert one.asks_the_same_as(fewer)
    assert not one.asks_the_same_as(space(spark, **examples.lines(scale="log")))


def test_feature_with_one_value_is_refused_by_name():
    rows = examples.weighted((1.0, 1, "Sunday", 9), (1.0, 2, "Monday", 5))
    with pytest.raises(
        InputError, match=r"features.price must differ .* but is 1 in each of the 14 that train"
    ):
        pipeline.check_varies(rows, Question(features=examples.lines()))


@given(st.lists(st.tuples(st.floats(-1e9, 1e9), st.integers(1, 9)), min_size=1, max_size=20))
def test_quantiles_are_those_of_the_records_written_out(pairs):
    rows = examples.weighted(*((value, 1, "Monday", weight) for value, weight in pairs))
    low, high = pipeline.quantiles(rows, "price", (0.25, 0.75))
    records = np.repeat([value for value, _ in pairs], [weight for _, weight in pairs])
    expected = np.quantile(records, [0.25, 0.75], method="inverted_cdf")
    assert (low, high) == tuple(expected)
