import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from retail_clusters.clustering import blocks, kmeans, metrics
from tests import examples

ROWS = st.lists(
    st.tuples(st.integers(-9, 999), st.integers(-20, 20), st.integers(0, 2), st.integers(1, 9)),
    min_size=3,
    max_size=40,
    unique_by=lambda row: row[:3],
)
#: What is hashed of a measurement. A metric that is new does not belong here.
MEASURED = (
    "silhouette",
    "macro_silhouette",
    "cluster_silhouettes",
    "davies_bouldin",
    "calinski_harabasz",
    "cost",
    "sizes",
)
#: Of `digest_of_a_fit`: another one means other bits for users, and another ALGORITHM_VERSION.
BITS = "b016be4fa6588b942c15bcd7e41f5d8ec5b74d4ef0180401c974df0ddf2d4419"


def vectors(rows: list[tuple[int, int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors of two numbers and a one-hot of three categories, and weights, sorted by value."""
    values = np.array([(one / 100, other, *np.eye(3)[category]) for one, other, category, _ in rows])
    return examples.sort_rows(values, np.array([float(row[-1]) for row in rows]))


def fit(values: np.ndarray, weights: np.ndarray, *, k: int, seed: int = 0, **settings) -> kmeans.Fit:
    return kmeans.fit(
        blocks.in_memory(values, weights),
        blocks.block(values, weights),
        k=k,
        seed=seed,
        **{"max_iterations": 100, "tolerance": 1e-4} | settings,
    )


def cloud(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    bounds = ((1, 5000), (-50, 200), (0, 3), (1, 99))
    columns = [rng.integers(low, high, n).tolist() for low, high in bounds]
    return vectors(list(zip(*columns, strict=True)))


def digest_of_a_fit() -> str:
    """Hash the bits of fits and metrics; what runs here also runs in a process of its own."""
    content = hashlib.sha256()
    values, weights = cloud(3000)
    for k in (5, 23):
        fitted = fit(values / 7, weights, k=k)
        measured = metrics.measure(blocks.in_memory(values / 7, weights, block_rows=1000), fitted.centres)
        found = [getattr(measured, name) for name in MEASURED]
        content.update(fitted.centres.tobytes() + repr((fitted.cost, found)).encode())
    return content.hexdigest()


def test_bits_are_those_of_earlier_versions_whatever_the_vector_extensions_of_the_processor():
    found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    code = "from tests.clustering import test_kmeans; print(test_kmeans.digest_of_a_fit())"
    disabled = os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(found)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=disabled, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == digest_of_a_fit() == BITS


@pytest.mark.parametrize("k", [2, 7, 20])
def test_lloyd_ends_at_the_centres_of_scikit_learn(k: int):
    values, weights = cloud(400)
    first = kmeans.seed_centres(blocks.block(values, weights), k=k, seed=1)
    expected = KMeans(k, init=first, n_init=1, max_iter=100, tol=0).fit(values, sample_weight=weights)
    found = kmeans.iterate(blocks.in_memory(values, weights), first, max_iterations=100, tolerance=0)
    assert found.centres == pytest.approx(expected.cluster_centers_, rel=1e-9, abs=1e-9)
    assert found.cost == pytest.approx(expected.inertia_, rel=1e-9)


@given(rows=ROWS, seed=st.integers(0, 99), data=st.data())
def test_seeds_are_distinct_rows(rows, seed, data):
    values, weights = vectors(rows)
    k = data.draw(st.integers(1, len(values)))
    centres = {tuple(row) for row in kmeans.seed_centres(blocks.block(values, weights), k=k, seed=seed)}
    assert len(centres) == k
    assert centres <= {tuple(row) for row in values}


def test_smaller_blocks_find_the_same_labels_and_nearly_the_same_centres():
    values, weights = cloud(500)
    first = kmeans.seed_centres(blocks.block(values, weights), k=7, seed=1)
    parts, whole = (blocks.in_memory(values, weights, block_rows=rows) for rows in (64, 500))
    assert np.array_equal(kmeans.labels(parts, first), kmeans.labels(whole, first))
    one, other = (kmeans.iterate(rows, first, max_iterations=100, tolerance=1e-4) for rows in (parts, whole))
    assert one.centres == pytest.approx(other.centres, rel=1e-12)
    assert one.cost == kmeans.cost(parts, one.centres)


def test_a_tie_goes_to_the_lower_number():
    block = blocks.block(np.array([[0.0, 7.0], [1.0, 7.0], [2.0, 7.0], [2.0, 6.0]]), np.ones(4))
    found = kmeans.assign(block, np.array([[2.0, 7.0], [0.0, 7.0], [0.0, 7.0]]))
    assert found.labels.tolist() == [1, 0, 0, 0]
    assert found.squared_distances.tolist() == [0, 1, 0, 1]


def test_labels_of_more_than_255_clusters_are_whole_numbers():
    values = np.arange(600.0)[:, None]
    found = kmeans.assign(blocks.block(values, np.ones(600)), values)
    assert found.labels.tolist() == list(range(600))


def test_an_emptied_cluster_keeps_its_centre():
    rows = blocks.in_memory(np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 2.0, 1.0]))
    fitted = kmeans.iterate(rows, np.array([[0.5], [50.0]]), max_iterations=10, tolerance=1e-4)
    assert fitted.centres.tolist() == [[1.0], [50.0]]
    assert (fitted.iterations, fitted.cost) == (2, 2.0)


def test_iterations_end_when_no_centre_moves_further_than_the_tolerance():
    rows = blocks.in_memory(np.array([[0.0], [1.0], [2.0]]), np.ones(3))
    near, far = (
        kmeans.iterate(rows, np.array([[0.9]]), max_iterations=9, tolerance=tolerance)
        for tolerance in (0.2, 0.01)
    )
    assert (near.iterations, far.iterations) == (1, 2)
    assert near.centres.tolist() == far.centres.tolist() == [[1.0]]


def test_last_digits_of_large_numbers_stay_in_centres_and_cost():
    values = np.array([[38_970.01, 80_995.0], [38_970.03, 80_995.0], [0.01, 1.0], [0.03, 1.0]])
    rows = blocks.in_memory(values, np.full(4, 1000.0))
    fitted = kmeans.iterate(rows, values[[0, 2]], max_iterations=10, tolerance=1e-9)
    assert fitted.centres[:, 0] == pytest.approx([38_970.02, 0.02], abs=1e-9)
    assert fitted.cost == pytest.approx(4000 * 0.01**2, rel=1e-6)
