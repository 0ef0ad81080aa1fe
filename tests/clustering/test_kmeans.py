import hashlib
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_clusters.clustering import blocks, kmeans, metrics

ROWS = st.lists(
    st.tuples(st.integers(-9, 999), st.integers(-20, 20), st.integers(0, 2), st.integers(1, 9)),
    min_size=3,
    max_size=40,
    unique_by=lambda row: row[:3],
)


def vectors(rows: list[tuple[int, int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return (price, quantity, one-hot of three days) and weights, sorted by value."""
    values = np.array([(price / 100, quantity, *np.eye(3)[day]) for price, quantity, day, _ in rows])
    return blocks.sort_rows(values, np.array([float(row[-1]) for row in rows]))


def fit(values: np.ndarray, weights: np.ndarray, *, k: int, seed: int = 0, **settings) -> kmeans.Fit:
    return kmeans.fit(
        blocks.in_memory(values, weights),
        blocks.block(values, weights),
        k=k,
        seed=seed,
        **{"max_iterations": 100, "tolerance": 1e-4} | settings,
    )


def shop(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return vectors(
        [
            (int(price), int(quantity), int(day), int(weight))
            for price, quantity, day, weight in zip(
                rng.integers(1, 5000, n),
                rng.integers(-50, 200, n),
                rng.integers(0, 3, n),
                rng.integers(1, 99, n),
                strict=True,
            )
        ]
    )


def reference_seeds(values: np.ndarray, weights: np.ndarray, *, k: int, seed: int) -> np.ndarray:
    """Seed as the first version did: plain NumPy over n x d values."""

    def draw(mass: np.ndarray, uniform: np.ndarray) -> list[int]:
        edges = np.cumsum(mass)
        rows = np.searchsorted(edges, uniform * edges[-1], side="right")
        last = int(np.flatnonzero(mass)[-1]) if edges[-1] > 0 else len(mass) - 1
        return [min(int(row), last) for row in rows]

    def squared(centre: np.ndarray) -> np.ndarray:
        distances = np.square(values[:, 0] - centre[0])
        for column in range(1, values.shape[1]):
            distances += np.square(values[:, column] - centre[column])
        return distances

    draws = np.random.default_rng([seed, k])
    chosen = [draw(weights, draws.random(1))[0]]
    nearest = squared(values[chosen[0]])
    for _ in range(k - 1):
        tried = draw(nearest * weights, draws.random(2 + int(np.log(k))))
        distances = [np.minimum(nearest, squared(values[row])) for row in tried]
        best = int(np.argmin([float(np.sum(distance * weights)) for distance in distances]))
        chosen.append(tried[best])
        nearest = distances[best]
    return values[chosen]


@given(k=st.integers(1, 30), seed=st.integers(0, 99))
def test_seeds_are_those_of_the_first_version(k, seed):
    values, weights = shop(400)
    expected = reference_seeds(values, weights, k=k, seed=seed)
    assert np.array_equal(kmeans.seed_centres(blocks.block(values, weights), k=k, seed=seed), expected)


@given(rows=ROWS, seed=st.integers(0, 99), data=st.data())
def test_seeds_are_distinct_rows(rows, seed, data):
    values, weights = vectors(rows)
    k = data.draw(st.integers(1, len(values)))
    centres = {tuple(row) for row in kmeans.seed_centres(blocks.block(values, weights), k=k, seed=seed)}
    assert len(centres) == k
    assert centres <= {tuple(row) for row in values}


@given(rows=ROWS, seed=st.integers(0, 9), k=st.integers(2, 3))
def test_an_iteration_never_raises_the_cost(rows, seed, k):
    values, weights = vectors(rows)
    costs = [
        fit(values, weights, k=k, seed=seed, max_iterations=steps, tolerance=0).cost for steps in range(6)
    ]
    assert all(after <= before * (1 + 1e-12) + 1e-12 for before, after in itertools.pairwise(costs))


@given(rows=ROWS, k=st.integers(2, 3))
def test_weights_count_as_repeated_rows(rows, k):
    values, weights = vectors(rows)
    first = kmeans.seed_centres(blocks.block(values, weights), k=k, seed=0)
    lines = np.repeat(values, weights.astype(int), axis=0)
    one, other = (
        kmeans.iterate(blocks.in_memory(*rows), first, max_iterations=3, tolerance=0)
        for rows in ((values, weights), (lines, np.ones(len(lines))))
    )
    assert one.centres == pytest.approx(other.centres, rel=1e-9, abs=1e-9)
    assert one.cost == pytest.approx(other.cost, rel=1e-9, abs=1e-9)


@given(rows=ROWS, data=st.data())
def test_order_of_rows_changes_no_bit_after_the_canonical_sort(rows, data):
    shuffled = data.draw(st.permutations(rows))
    one, other = (fit(*vectors(given_rows), k=3) for given_rows in (rows, shuffled))
    assert one.centres.tobytes() == other.centres.tobytes()
    assert one.cost == other.cost


def test_smaller_blocks_find_the_same_labels_and_nearly_the_same_centres():
    values, weights = shop(500)
    first = kmeans.seed_centres(blocks.block(values, weights), k=7, seed=1)
    labels, fits = [], []
    for block_rows in (64, 500):
        rows = blocks.in_memory(values, weights, block_rows=block_rows)
        labels.append(np.concatenate([found.labels for found in kmeans.assign_all(rows, first).blocks]))
        fits.append(kmeans.iterate(rows, first, max_iterations=100, tolerance=1e-4))
    assert np.array_equal(*labels)
    assert fits[0].centres == pytest.approx(fits[1].centres, rel=1e-12)


def test_a_tie_goes_to_the_lower_number():
    block = blocks.block(np.array([[0.0, 7.0], [1.0, 7.0], [2.0, 7.0], [2.0, 6.0]]), np.ones(4))
    found = kmeans.assign(block, np.array([[2.0, 7.0], [0.0, 7.0], [0.0, 7.0]]))
    assert found.labels.tolist() == [1, 0, 0, 0]
    assert found.distances.tolist() == [0, 1, 0, 1]


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


def test_cost_of_a_fit_is_that_of_its_centres():
    values, weights = shop(300)
    for settings in ({"max_iterations": 2}, {"tolerance": 5.0}, {}):
        fitted = fit(values, weights, k=6, **settings)
        assert fitted.cost == kmeans.cost(blocks.in_memory(values, weights), fitted.centres)


def test_large_prices_and_quantities_keep_their_pence():
    values = np.array([[38_970.01, 80_995.0], [38_970.03, 80_995.0], [0.01, 1.0], [0.03, 1.0]])
    rows = blocks.in_memory(values, np.array([1000.0, 1000.0, 1000.0, 1000.0]))
    fitted = kmeans.iterate(rows, values[[0, 2]], max_iterations=10, tolerance=1e-9)
    assert fitted.centres[:, 0] == pytest.approx([38_970.02, 0.02], abs=1e-9)
    assert fitted.cost == pytest.approx(4000 * 0.01**2, rel=1e-6)


def digest_of_a_fit() -> str:
    """Hash the bits of fits and figures; what runs here also runs in a process of its own."""
    content = hashlib.sha256()
    values, weights = shop(3000)
    for k in (5, 23):
        fitted = fit(values / 7, weights, k=k)
        measured = metrics.measure(blocks.in_memory(values / 7, weights, block_rows=1000), fitted.centres)
        content.update(fitted.centres.tobytes() + repr((fitted.cost, measured)).encode())
    return content.hexdigest()


def test_bits_do_not_depend_on_the_vector_extensions_of_the_processor():
    found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    code = "from tests.training import test_kmeans; print(test_kmeans.digest_of_a_fit())"
    disabled = os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(found)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=disabled, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == digest_of_a_fit()
