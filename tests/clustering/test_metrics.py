import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.ml.linalg import Vectors
from sklearn import metrics as sklearn_metrics

from retail_clusters.clustering import blocks, kmeans, metrics
from retail_clusters.clustering.metrics import Quality
from tests import examples

#: So coarse that scikit-learn, which expands squares, keeps the digits that the comparison looks at.
ROWS = st.lists(
    st.tuples(st.integers(-99, 999), st.integers(-500, 500), st.integers(0, 2), st.integers(1, 5)),
    min_size=4,
    max_size=20,
    unique_by=lambda row: row[:3],
)


def vectors(rows: list[tuple[int, int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
    values = np.array([(one / 2, other, *np.eye(3)[category]) for one, other, category, _ in rows])
    return examples.sort_rows(values, np.array([float(row[-1]) for row in rows]))


def measure(values, weights, centres) -> Quality:
    rows = blocks.in_memory(np.array(values, dtype=float), np.array(weights, dtype=float))
    return metrics.measure(rows, np.array(centres, dtype=float))


@given(rows=ROWS, k=st.integers(2, 4), seed=st.integers(0, 9))
def test_metrics_are_those_of_scikit_learn_for_the_expanded_lines(rows, k, seed):
    values, weights = vectors(rows)
    whole = blocks.block(values, weights)
    memory = blocks.in_memory(values, weights)
    centres = kmeans.fit(memory, whole, k=k, seed=seed, max_iterations=20, tolerance=1e-4).centres
    measured, counts = metrics.measure(memory, centres), weights.astype(int)
    lines, labels = (np.repeat(each, counts, axis=0) for each in (values, kmeans.labels(memory, centres)))
    assert measured.sizes == tuple(np.bincount(labels, minlength=k))
    assert measured.cost == pytest.approx(((lines - centres[labels]) ** 2).sum(), rel=1e-9)
    assume(1 < measured.clusters < len(lines))
    distances = ((lines[:, None] - lines[None]) ** 2).sum(axis=2)
    scores = sklearn_metrics.silhouette_samples(distances, labels, metric="precomputed")
    means = [scores[labels == cluster].mean() for cluster in sorted(set(labels))]
    of_clusters = [
        score for score, size in zip(measured.cluster_silhouettes, measured.sizes, strict=True) if size
    ]
    assert of_clusters == pytest.approx(means, abs=1e-9)
    assert measured.silhouette == pytest.approx(scores.mean(), abs=1e-9)
    assert measured.macro_silhouette == pytest.approx(np.mean(means), abs=1e-9)
    of_rows, silhouettes = metrics.row_silhouettes(memory, centres)
    assert np.repeat(silhouettes, counts) == pytest.approx(scores, abs=1e-9)
    assert np.array_equal(np.repeat(of_rows, counts), labels)
    assume(measured.cost > 1e-6)
    davies_bouldin = sklearn_metrics.davies_bouldin_score(lines, labels)
    assert measured.davies_bouldin == pytest.approx(davies_bouldin, rel=1e-5, abs=1e-9)
    calinski_harabasz = sklearn_metrics.calinski_harabasz_score(lines, labels)
    assert measured.calinski_harabasz == pytest.approx(calinski_harabasz, rel=1e-6)


@pytest.mark.parametrize("seed", [0, 1])
def test_silhouette_is_that_of_spark_s_evaluator_on_the_lines(spark, seed):
    chance = np.random.default_rng(seed)
    numbers = np.column_stack([chance.integers(-999, 99_999, 30) / 100, chance.integers(-80_995, 80_995, 30)])
    values = np.hstack([numbers, np.eye(3)[chance.integers(0, 3, 30)]])
    weights, centres = chance.integers(1, 4, 30), values[:4]
    labels = kmeans.assign(blocks.block(values, weights.astype(float)), centres).labels
    lines = [
        (Vectors.dense(row), float(label))
        for row, label, count in zip(values, labels, weights, strict=True)
        for _ in range(count)
    ]
    frame = spark.createDataFrame(lines, ["features", "prediction"]).coalesce(1)
    expected = ClusteringEvaluator().evaluate(frame)
    assert measure(values, weights, centres).silhouette == pytest.approx(expected, abs=1e-9)


def test_one_populated_cluster_scores_zero():
    found = measure([[0, 1], [1, 0], [2, 5]], [3, 2, 1], [[0.5, 0.5], [99, 99]])
    assert (found.clusters, found.sizes) == (1, (6, 0))
    scores = (found.silhouette, found.macro_silhouette, found.davies_bouldin, found.calinski_harabasz)
    assert scores == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("values", "weights", "expected"),
    [
        ([[0, 0], [10, 0]], [1, 1], 0),  # each line alone in its cluster
        ([[74215.1, 0.1], [0.3, 0.1]], [7, 5], 1),  # identical lines, far from the others
        ([[1, 1], [1, 1]], [4, 2], 0),  # lines that all coincide
    ],
)
def test_silhouette_of_lines_alone_or_alike(values, weights, expected):
    assert measure(values, weights, values).silhouette == pytest.approx(expected, abs=1e-12)


def test_macro_silhouette_counts_each_populated_cluster_once():
    measured = measure([[0.0], [1.0], [90.0], [95.0]], [1000, 1000, 1, 1], [[0.0], [92.0], [5e9]])
    one, other, none = measured.cluster_silhouettes
    assert measured.macro_silhouette == (one + other) / 2
    assert none == 0
    assert measured.silhouette == pytest.approx((2000 * one + 2 * other) / 2002)


@given(rows=ROWS, block_rows=st.integers(1, 7))
def test_smaller_blocks_measure_the_same(rows, block_rows):
    values, weights = vectors(rows)
    one, other = (
        metrics.measure(blocks.in_memory(values, weights, block_rows=size), values[:3])
        for size in (block_rows, 99)
    )
    assert one.sizes == other.sizes
    assert one.silhouette == pytest.approx(other.silhouette, abs=1e-9)
    assert one.cost == pytest.approx(other.cost, rel=1e-12)


@given(sizes=st.lists(st.integers(0, 1000), min_size=1, max_size=20).filter(any))
def test_effective_clusters_lies_between_one_and_the_populated_clusters(sizes):
    measured = examples.quality(sizes=sizes)
    assert 1 - 1e-9 <= measured.effective_clusters <= measured.clusters + 1e-9
    assert 0 < measured.largest_cluster_share <= 1
    even = examples.quality(sizes=(5, 5, 5, 5))
    assert math.isclose(even.effective_clusters, 4)
