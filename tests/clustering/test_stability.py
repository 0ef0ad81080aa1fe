import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from retail_clusters.clustering import blocks, kmeans, stability
from tests import examples

FEATURES = [(0,), (1,), (2, 3)]
LABELS = st.integers(0, 5)
PAIRS = st.lists(st.tuples(LABELS, LABELS, st.integers(1, 4)), min_size=1, max_size=40)


def three_groups(n: int = 90, groups: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return rows whose two numbers depend on each other, and their lines in each group."""
    rng = np.random.default_rng(0)
    middle = np.array([[1.0, 90.0], [50.0, 50.0], [90.0, 1.0]])[np.arange(n) % 3]
    numbers = np.round(middle + rng.uniform(-4, 4, (n, 2)), 2)
    values = np.hstack([numbers, np.eye(3)[rng.integers(0, 3, n)][:, :2]])
    values = values[np.lexsort(values.T[::-1])]
    return values, rng.integers(0, 5, (n, groups)).astype(float) + (np.arange(groups) == 0)


def measure(values: np.ndarray, weights: np.ndarray, *, k: int, seed: int = 0) -> stability.Stability:
    rows = (values, weights.sum(axis=1))
    fitted = kmeans.fit(
        blocks.in_memory(*rows), blocks.block(*rows), k=k, seed=0, max_iterations=100, tolerance=1e-4
    )
    settings = stability.Resampling(draws=8)
    return stability.stability(values, weights, fitted.centres, seed=seed, settings=settings)


def nearest(values: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return ((values[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)


def permute(seed: int = 3, **settings: int) -> tuple[np.ndarray, np.ndarray]:
    return stability.permute_columns(*three_groups(), columns=FEATURES, seed=seed, **settings)


def test_separate_groups_are_stable():
    values, weights = three_groups()
    found = measure(values, weights, k=3)
    assert found.jaccards == pytest.approx((1, 1, 1))
    assert (found.stable_clusters, found.stable_line_share) == (3, 1)
    assert sum(found.sizes) == weights.sum()


def test_slices_of_one_cloud_are_not_all_stable():
    rng = np.random.default_rng(1)
    values = rng.uniform(0, 1, (300, 2))
    found = measure(values, rng.integers(0, 2, (300, 5)) + 0.0 + (np.arange(5) == 0), k=8)
    assert found.stable_clusters < 8
    assert found.stable_line_share < 1


def test_stability_repeats_to_the_bit():
    values, weights = three_groups()
    assert measure(values, weights, k=7) == measure(values, weights, k=7)
    assert measure(values, weights, k=7) != measure(values, weights, k=7, seed=1)


def test_jaccards_are_those_of_sets_of_lines():
    values, weights = three_groups()
    lines = np.repeat(np.arange(len(values)), weights.sum(axis=1).astype(int))
    centres, best = values[:5], []
    before = nearest(values, centres)[lines]
    for draw in range(3):
        times = np.bincount(np.random.default_rng([0, draw]).integers(0, 5, 5), minlength=5)
        drawn = weights @ times
        rows = blocks.block(values[drawn > 0], drawn[drawn > 0])
        seed = int(np.random.SeedSequence([0, draw]).generate_state(1)[0])
        found = kmeans.fit(blocks.split(rows), rows, k=5, seed=seed, max_iterations=100, tolerance=1e-4)
        after = nearest(values, found.centres)[lines]
        one, other = ([set(np.flatnonzero(labels == at)) for at in range(5)] for labels in (before, after))
        best.append([max(len(a & b) / len(a | b) if a | b else 0 for b in other) for a in one])
    ours = stability.stability(values, weights, centres, seed=0, settings=stability.Resampling(draws=3))
    assert ours.jaccards == pytest.approx(np.mean(best, axis=0), abs=1e-12)
    assert ours.sizes == tuple(np.bincount(before, minlength=5))


def test_permuted_data_keep_how_each_feature_is_distributed_and_lose_its_relation_to_the_others():
    values, weights = three_groups()
    permuted, lines = permute()
    assert lines.sum(axis=0).tolist() == weights.sum(axis=0).tolist()
    for columns in FEATURES:
        ours = examples.sort_rows(values[:, columns], weights.sum(axis=1))
        theirs = examples.sort_rows(permuted[:, columns], lines.sum(axis=1))
        assert all(map(np.array_equal, ours, theirs))
    before = np.cov(values[:, 0], values[:, 1], aweights=weights.sum(axis=1))
    after = np.cov(permuted[:, 0], permuted[:, 1], aweights=lines.sum(axis=1))
    assert abs(after[0, 1]) < 0.2 * abs(before[0, 1])


def test_permuted_rows_are_distinct_sorted_and_the_same_for_a_seed():
    permuted, lines = permute()
    assert np.array_equal(examples.sort_rows(permuted, np.ones(len(permuted)))[0], permuted)
    assert all(map(np.array_equal, permute(), (permuted, lines)))
    assert not np.array_equal(permute(seed=4)[1], lines)


def test_of_very_many_lines_each_nth_is_permuted_and_stands_for_n():
    values, weights = three_groups()
    total = int(weights.sum())
    permuted, lines = permute(most_lines=-(-total // 4))
    assert np.all(lines % 4 == 0)
    assert total <= lines.sum() < total + 4
    assert np.all(np.abs(lines.sum(axis=0) - weights.sum(axis=0)) <= 4)
    for columns in FEATURES:
        assert {*map(tuple, permuted[:, columns])} <= {*map(tuple, values[:, columns])}


def table_of(pairs: list[tuple[int, int, int]]) -> np.ndarray:
    one, other, weights = (np.array(column) for column in zip(*pairs, strict=True))
    return stability.contingency(one, other, weights.astype(np.float64))


@given(PAIRS)
def test_adjusted_rand_index_equals_that_of_scikit_learn_on_the_expanded_lines(pairs):
    one, other = ([pair[of] for pair in pairs for _ in range(pair[2])] for of in (0, 1))
    found = stability.adjusted_rand_index(table_of(pairs))
    assert found == pytest.approx(adjusted_rand_score(one, other), abs=1e-9)


@given(PAIRS, st.permutations(range(6)))
def test_numbers_of_clusters_do_not_matter_to_agreement(pairs, numbers):
    same = [(one, numbers[one], lines) for one, _, lines in pairs]
    assert stability.adjusted_rand_index(table_of(same)) == pytest.approx(1)
    assert stability.matched_share(table_of(same)) == pytest.approx(1)


def test_matched_share_counts_the_lines_of_the_best_matching():
    table = np.array([[6.0, 2.0], [0.0, 1.0], [0.0, 1.0]])
    assert stability.matched_share(table) == pytest.approx(0.7)
    assert stability.matched_share(np.zeros((2, 2))) == 1.0


def test_seed_agreement_is_the_mean_index_over_pairs_of_clusterings_of_the_same_lines():
    values, weights = np.array([[0.0], [1.0], [10.0], [11.0], [30.0]]), np.array([3.0, 1.0, 2.0, 1.0, 4.0])
    low, high, three = np.array([[0.5], [20.0]]), np.array([[5.0], [30.0]]), np.array([[30.0], [0.5], [10.5]])
    rows = blocks.in_memory(values, weights, block_rows=2)
    labels = [np.repeat(nearest(values, each), weights.astype(int)) for each in (low, high, three)]
    pairs = ((0, 1), (0, 2), (1, 2))
    expected = np.mean([adjusted_rand_score(labels[one], labels[other]) for one, other in pairs])
    assert stability.seed_agreement(rows, [low, high, three]) == pytest.approx(expected, abs=1e-9)
    assert stability.seed_agreement(rows, [low, low[::-1]]) == pytest.approx(1)
    assert math.isnan(stability.seed_agreement(rows, [low]))
