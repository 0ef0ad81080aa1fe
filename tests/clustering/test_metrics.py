import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.ml.linalg import Vectors
from sklearn import metrics as sklearn_metrics

from retail_clusters.clustering import blocks, kmeans, metrics

CENTS = st.integers(-99_999, 9_999_999).map(lambda cents: cents / 100)
ROWS = st.lists(
    st.tuples(CENTS, st.integers(-80_995, 80_995), st.integers(0, 2), st.integers(1, 5)),
    min_size=4,
    max_size=20,
    unique_by=lambda row: row[:3],
)


def vectors(rows: list[tuple[float, int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
    values = np.array([(price, quantity, *np.eye(3)[day]) for price, quantity, day, _ in rows])
    return blocks.sort_rows(values, np.array([float(row[-1]) for row in rows]))


def measure(values, weights, centres) -> metrics.Quality:
    rows = blocks.in_memory(np.array(values, dtype=float), np.array(weights, dtype=float))
    return metrics.measure(rows, np.array(centres, dtype=float))


def silhouettes(lines: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return each line's squared Euclidean silhouette from the table of all distances (Rousseeuw 1987)."""
    distances = ((lines[:, None] - lines[None]) ** 2).sum(axis=2)
    scores = np.zeros(len(lines))
    for line, label in enumerate(labels):
        others = [distances[line, labels == other].mean() for other in set(labels) - {label}]
        size = np.sum(labels == label)
        if size > 1 and others:
            own = distances[line, labels == label].sum() / (size - 1)
            scores[line] = (min(others) - own) / (max(min(others), own) or 1)
    return scores


def indices(lines: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return Davies-Bouldin and Calinski-Harabasz from their definitions, distances by differences."""
    clusters = [lines[labels == label] for label in sorted(set(labels))]
    means = [cluster.mean(axis=0) for cluster in clusters]
    within = [
        np.linalg.norm(cluster - mean, axis=1).mean() for cluster, mean in zip(clusters, means, strict=True)
    ]
    several = range(len(clusters))
    worst = [
        max((within[i] + within[j]) / np.linalg.norm(means[i] - means[j]) for j in several if j != i)
        for i in several
    ]
    between = sum(
        len(cluster) * ((mean - lines.mean(axis=0)) ** 2).sum()
        for cluster, mean in zip(clusters, means, strict=True)
    )
    inertia = sum(((cluster - mean) ** 2).sum() for cluster, mean in zip(clusters, means, strict=True))
    freedom = (len(lines) - len(clusters)) / (len(clusters) - 1)
    return float(np.mean(worst)), between / inertia * freedom


@given(rows=ROWS, k=st.integers(2, 4), seed=st.integers(0, 9))
def test_figures_are_those_of_the_expanded_lines(rows, k, seed):
    values, weights = vectors(rows)
    whole = blocks.block(values, weights)
    fitted = kmeans.fit(
        blocks.in_memory(values, weights), whole, k=k, seed=seed, max_iterations=20, tolerance=1e-4
    )
    measured = measure(values, weights, fitted.centres)
    counts = weights.astype(int)
    lines, labels = (
        np.repeat(values, counts, axis=0),
        np.repeat(kmeans.assign(whole, fitted.centres).labels, counts),
    )
    scores = silhouettes(lines, labels)
    means = [scores[labels == cluster].mean() for cluster in sorted(set(labels))]
    assert measured.silhouette == pytest.approx(scores.mean(), abs=1e-9)
    assert measured.macro_silhouette == pytest.approx(np.mean(means), abs=1e-9)
    assert [
        score for score, size in zip(measured.cluster_silhouettes, measured.sizes, strict=True) if size
    ] == (pytest.approx(means, abs=1e-9))
    assert measured.sizes == tuple(np.bincount(labels, minlength=k))
    assert measured.cost == pytest.approx(((lines - fitted.centres[labels]) ** 2).sum(), rel=1e-9)
    assume(measured.clusters > 1 and measured.cost > 1e-6)
    davies_bouldin, calinski_harabasz = indices(lines, labels)
    assert measured.davies_bouldin == pytest.approx(davies_bouldin, rel=1e-6, abs=1e-9)
    assert measured.calinski_harabasz == pytest.approx(calinski_harabasz, rel=1e-6)


def test_figures_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=(60, 3)), rng.integers(1, 4, 60)
    centres = values[:5]
    labels = kmeans.assign(blocks.block(values, weights.astype(float)), centres).labels
    lines, labels = np.repeat(values, weights, axis=0), np.repeat(labels, weights)
    measured = measure(values, weights, centres)
    silhouette = sklearn_metrics.silhouette_score(lines, labels, metric="sqeuclidean")
    assert measured.silhouette == pytest.approx(silhouette, abs=1e-9)
    assert measured.davies_bouldin == pytest.approx(
        sklearn_metrics.davies_bouldin_score(lines, labels), abs=1e-9
    )
    assert measured.calinski_harabasz == pytest.approx(sklearn_metrics.calinski_harabasz_score(lines, labels))


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
    measured = measure([[0, 1], [1, 0], [2, 5]], [3, 2, 1], [[0.5, 0.5], [99, 99]])
    assert (measured.silhouette, measured.macro_silhouette, measured.clusters, measured.sizes) == (
        0,
        0,
        1,
        (6, 0),
    )
    assert (measured.davies_bouldin, measured.calinski_harabasz) == (0, 0)


def test_a_line_alone_in_its_cluster_scores_zero():
    assert measure([[0, 0], [10, 0]], [1, 1], [[0, 0], [10, 0]]).silhouette == 0


def test_identical_lines_score_one():
    measured = measure([[74215.1, 0.1], [0.3, 0.1]], [7, 5], [[74215.1, 0.1], [0.3, 0.1]])
    assert measured.silhouette == pytest.approx(1, abs=1e-12)


def test_lines_that_all_coincide_score_zero():
    assert measure([[1, 1], [1, 1]], [4, 2], [[1, 1], [1, 1]]).silhouette == 0


def test_macro_silhouette_counts_each_populated_cluster_once():
    measured = measure([[0.0], [1.0], [90.0], [95.0]], [1000, 1000, 1, 1], [[0.0], [92.0], [5e9]])
    one, other, none = measured.cluster_silhouettes
    assert measured.macro_silhouette == (one + other) / 2
    assert none == 0
    assert measured.silhouette == pytest.approx((2000 * one + 2 * other) / 2002)


@given(rows=ROWS, block_rows=st.integers(1, 7))
def test_smaller_blocks_measure_the_same(rows, block_rows):
    values, weights = vectors(rows)
    centres = values[:3]
    one, other = (
        metrics.measure(blocks.in_memory(values, weights, block_rows=size), centres)
        for size in (block_rows, 99)
    )
    assert one.sizes == other.sizes
    assert one.silhouette == pytest.approx(other.silhouette, abs=1e-9)
    assert one.cost == pytest.approx(other.cost, rel=1e-12)


@given(sizes=st.lists(st.integers(0, 1000), min_size=1, max_size=20).filter(any))
def test_effective_clusters_lies_between_one_and_the_populated_clusters(sizes):
    measured = metrics.Quality(0.0, 0.0, (0.0,) * len(sizes), 0.0, 0.0, 0.0, tuple(sizes))
    assert 1 - 1e-9 <= measured.effective_clusters <= measured.clusters + 1e-9
    assert 0 < measured.largest_cluster_share <= 1


def test_effective_clusters_of_even_clusters_is_their_number():
    measured = metrics.Quality(0.0, 0.0, (0.0,) * 4, 0.0, 0.0, 0.0, (5, 5, 5, 5))
    assert math.isclose(measured.effective_clusters, 4)
