import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_clusters.training.seeding import weighted_kmeans_plus_plus


def distinct(n: int, d: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


@given(n=st.integers(2, 40), seed=st.integers(0, 99), data=st.data())
def test_centres_are_distinct_rows(n, seed, data):
    values = distinct(n)
    k = data.draw(st.integers(1, n))
    centres = weighted_kmeans_plus_plus(values, np.ones(n), k=k, seed=seed)
    assert len({tuple(centre) for centre in centres}) == k
    assert {tuple(centre) for centre in centres} <= {tuple(value) for value in values}


def test_same_seed_gives_the_same_centres_and_another_seed_others():
    values, weights = distinct(200), np.arange(1.0, 201)
    first, again, other = (weighted_kmeans_plus_plus(values, weights, k=5, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_all_rows_are_chosen_when_k_is_their_number():
    values = distinct(7)
    centres = weighted_kmeans_plus_plus(values, np.ones(7), k=7, seed=4)
    assert sorted(map(tuple, centres)) == sorted(map(tuple, values))


def test_weight_decides_where_the_first_centre_lies():
    values = np.array([[0.0], [1.0]])
    first = [
        weighted_kmeans_plus_plus(values, np.array([1e-9, 1.0]), k=1, seed=seed)[0, 0] for seed in range(20)
    ]
    assert first == [1.0] * 20


def test_cost_of_the_seeds_is_near_that_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.cluster")
    values, weights = distinct(500), np.random.default_rng(1).integers(1, 50, 500).astype(float)

    def cost(centres: np.ndarray) -> float:
        distances = ((values[:, None] - centres[None]) ** 2).sum(2).min(1)
        return float((distances * weights).sum())

    ours = [cost(weighted_kmeans_plus_plus(values, weights, k=8, seed=seed)) for seed in range(20)]
    theirs = [
        cost(sklearn.kmeans_plusplus(values, 8, sample_weight=weights, random_state=seed)[0])
        for seed in range(20)
    ]
    assert np.median(ours) < 1.1 * np.median(theirs)
