import numpy as np
import pytest

from retail_clusters.clustering import blocks, kmeans, stability

FACTS = [(0,), (1,), (2, 3)]
SETTINGS = stability.Resampling(draws=8)


def three_groups(n: int = 90, days: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return rows whose price and quantity depend on each other, and their lines in each group of days."""
    rng = np.random.default_rng(0)
    middle = np.array([[1.0, 90.0], [50.0, 50.0], [90.0, 1.0]])[np.arange(n) % 3]
    numbers = np.round(middle + rng.uniform(-4, 4, (n, 2)), 2)
    values = np.hstack([numbers, np.eye(3)[rng.integers(0, 3, n)][:, :2]])
    values = values[np.lexsort(values.T[::-1])]
    return values, rng.integers(0, 5, (n, days)).astype(float) + (np.arange(days) == 0)


def measure(values: np.ndarray, weights: np.ndarray, *, k: int, seed: int = 0) -> stability.Stability:
    total = weights.sum(axis=1)
    fitted = kmeans.fit(
        blocks.in_memory(values, total),
        blocks.block(values, total),
        k=k,
        seed=0,
        max_iterations=100,
        tolerance=1e-4,
    )
    return stability.stability(values, weights, fitted.centres, seed=seed, settings=SETTINGS)


def test_real_groups_come_back():
    values, weights = three_groups()
    found = measure(values, weights, k=3)
    assert found.jaccards == pytest.approx((1, 1, 1))
    assert (found.stable_clusters, found.stable_line_share) == (3, 1)
    assert sum(found.sizes) == weights.sum()


def test_slices_of_one_cloud_do_not_all_come_back():
    rng = np.random.default_rng(1)
    values = rng.uniform(0, 1, (300, 2))
    found = measure(values, rng.integers(0, 2, (300, 5)) + 0.0 + (np.arange(5) == 0), k=8)
    assert found.stable_clusters < 8
    assert found.stable_line_share < 1


def test_stability_repeats_to_the_bit():
    values, weights = three_groups()
    assert measure(values, weights, k=7) == measure(values, weights, k=7)
    assert measure(values, weights, k=7) != measure(values, weights, k=7, seed=1)


def test_shuffled_columns_keep_how_each_fact_is_distributed():
    values, weights = three_groups()
    shuffled, lines = stability.shuffle_columns(values, weights, columns=FACTS, seed=3)
    assert lines.sum(axis=0).tolist() == weights.sum(axis=0).tolist()
    for fact in FACTS:
        for ours, theirs in zip(
            blocks.sort_rows(values[:, fact], weights.sum(axis=1)),
            blocks.sort_rows(shuffled[:, fact], lines.sum(axis=1)),
            strict=True,
        ):
            assert np.array_equal(ours, theirs)


def test_of_very_many_lines_each_nth_is_dealt_and_stands_for_n(monkeypatch):
    values, weights = three_groups()
    total = int(weights.sum())
    monkeypatch.setattr(stability, "_DEALT", total // 3)
    shuffled, lines = stability.shuffle_columns(values, weights, columns=FACTS, seed=3)
    stands_for = -(-total // (total // 3))
    assert np.all(lines % stands_for == 0)
    assert total <= lines.sum() < total + stands_for
    assert np.all(np.abs(lines.sum(axis=0) - weights.sum(axis=0)) <= stands_for)
    for fact in FACTS:
        assert {*map(tuple, shuffled[:, fact])} <= {*map(tuple, values[:, fact])}


def test_shuffled_columns_lose_their_relation():
    values, weights = three_groups()
    shuffled, lines = stability.shuffle_columns(values, weights, columns=FACTS, seed=3)
    before = np.cov(values[:, 0], values[:, 1], aweights=weights.sum(axis=1))
    after = np.cov(shuffled[:, 0], shuffled[:, 1], aweights=lines.sum(axis=1))
    assert abs(after[0, 1]) < 0.2 * abs(before[0, 1])


def test_shuffled_rows_are_distinct_sorted_and_the_same_for_a_seed():
    values, weights = three_groups()
    shuffled, lines = stability.shuffle_columns(values, weights, columns=FACTS, seed=3)
    assert np.array_equal(blocks.sort_rows(shuffled, np.ones(len(shuffled)))[0], shuffled)
    again = stability.shuffle_columns(values, weights, columns=FACTS, seed=3)
    assert np.array_equal(again[0], shuffled)
    assert np.array_equal(again[1], lines)
    assert not np.array_equal(stability.shuffle_columns(values, weights, columns=FACTS, seed=4)[1], lines)
