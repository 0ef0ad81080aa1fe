import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from retail_clusters.clustering import agreement

LABELS = st.integers(0, 5)
PAIRS = st.lists(st.tuples(LABELS, LABELS, st.integers(1, 4)), min_size=1, max_size=40)


def table_of(pairs: list[tuple[int, int, int]]) -> agreement.Counts:
    one, other, weights = (np.array(column) for column in zip(*pairs, strict=True))
    return agreement.contingency(one, other, weights.astype(np.float64))


@given(PAIRS)
def test_adjusted_rand_index_equals_that_of_scikit_learn_on_the_expanded_lines(
    pairs: list[tuple[int, int, int]],
) -> None:
    one = [pair[0] for pair in pairs for _ in range(pair[2])]
    other = [pair[1] for pair in pairs for _ in range(pair[2])]
    found = agreement.adjusted_rand_index(table_of(pairs))
    assert found == pytest.approx(adjusted_rand_score(one, other), abs=1e-9)


@given(PAIRS, st.permutations(range(6)))
def test_numbers_of_clusters_do_not_matter(pairs: list[tuple[int, int, int]], numbers: list[int]) -> None:
    same = [(one, numbers[one], lines) for one, _, lines in pairs]
    assert agreement.adjusted_rand_index(table_of(same)) == pytest.approx(1)
    assert agreement.matched_share(table_of(same)) == pytest.approx(1)


def test_matched_share_counts_the_lines_of_the_best_matching() -> None:
    table = np.array([[6.0, 2.0], [0.0, 1.0], [0.0, 1.0]])
    assert agreement.matched_share(table) == pytest.approx(0.7)


def test_no_lines_agree() -> None:
    assert agreement.matched_share(np.zeros((2, 2))) == 1.0
