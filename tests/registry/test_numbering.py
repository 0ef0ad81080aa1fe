import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_clusters.registry import numbering
from retail_clusters.registry.numbering import MIN_RETAINED_SHARE, Migration


def pluralize(labels: list[tuple[int, int, int]], *, old: int, new: int) -> Migration:
    return numbering.migration(labels, old=range(old), new=range(new))


def test_migration_arranges_counts_by_number_and_keeps_empty_clusters():
    moved = numbering.migration([(7, 0, 3), (2, 1, 4), (7, 0, 1)], old=[7, 2], new=range(3))

    assert moved.old == (2, 7)
    assert moved.lines.tolist() == [[0, 4, 0], [4, 0, 0]]
    assert moved.total == 8
    assert moved.table().to_dict("list") == {"old_cluster": [2, 7], "new_cluster": [1, 0], "lines": [4, 4]}


def test_renumbered_migration_holds_the_same_lines_under_other_numbers():
    moved = pluralize([(0, 0, 5), (1, 1, 6)], old=2, new=2).renumbered([1, 0])

    assert moved.new == (0, 1)
    assert moved.lines.tolist() == [[0, 5], [6, 0]]
    assert moved.kept == 0


def test_assignment_moves_the_fewest_lines_not_the_largest_order():
    champion = np.array([[1.0], [6.0], [10_000.0]])
    challenger = np.array([[1.5], [6.5], [80_000.0]])

    pairs = numbering.assign(challenger, champion, lines=np.array([100_000, 50_000, 1]))

    assert pairs == [(0, 0), (1, 1), (2, 2)]


def test_clusters_that_hold_the_same_lines_keep_their_numbers_in_any_order():
    champion = np.array([[0.0], [10.0], [20.0]])
    moved = pluralize([(0, 2, 50), (1, 0, 60), (2, 1, 70)], old=3, new=3)

    matched = numbering.match(champion[[1, 2, 0]], champion, numbers=[0, 1, 2], moved=moved, unused_from=3)

    assert matched.numbers == (1, 2, 0)
    assert matched.kept == 1
    assert moved.renumbered(matched.numbers).kept == moved.total


def test_cluster_that_shares_too_few_lines_gets_an_unused_number():
    champion = np.array([[0.0], [10.0]])
    moved = pluralize([(0, 0, 90), (1, 0, 10), (1, 1, 10), (0, 1, 12)], old=2, new=2)

    matched = numbering.match(
        champion, champion, numbers=[4, 9], moved=renamed(moved, (4, 9)), unused_from=12
    )

    assert matched.numbers == (12, 13)
    assert matched.matched == ()


@pytest.mark.parametrize(("k", "numbers"), [(2, (0, 1)), (4, (0, 1, 2, 3))])
def test_unlike_numbers_of_clusters_leave_a_permutation_where_all_match(k: int, numbers: tuple[int, ...]):
    places = np.array([[0.0], [10.0], [20.0], [30.0]])
    champion = places[: 6 - k] if k == 4 else places[:2]
    moved = pluralize([(i, i, 10) for i in range(len(champion))], old=len(champion), new=k)

    matched = numbering.match(
        places[:k], champion, numbers=range(len(champion)), moved=moved, unused_from=len(champion)
    )

    assert matched.numbers == numbers


def test_clusters_without_lines_match_when_each_is_nearest_to_the_other():
    champion = np.array([[0.0], [5_000.0]])
    challenger = np.array([[5_010.0], [0.0], [9_000.0]])
    moved = pluralize([(0, 1, 10)], old=2, new=3)

    matched = numbering.match(challenger, champion, numbers=[0, 1], moved=moved, unused_from=2)

    assert matched.numbers == (1, 0, 2)


def test_table_has_a_row_for_each_cluster_with_what_it_was_paired_with():
    champion = np.array([[0.0]])
    moved = pluralize([(0, 0, 10)], old=1, new=2)

    table = numbering.match(
        np.array([[0.0], [9.0]]), champion, numbers=[5], moved=renamed(moved, (5,)), unused_from=6
    ).table()

    assert table["number"].tolist() == [5, 6]
    assert table["matched"].tolist() == [True, False]
    assert table["paired_with"].isna().tolist() == [False, True]


def renamed(moved: Migration, old: tuple[int, ...]) -> Migration:
    return Migration(old, moved.new, moved.lines)


matrices = st.integers(1, 6).flatmap(
    lambda m: st.integers(1, 6).flatmap(
        lambda k: st.lists(st.lists(st.integers(0, 40), min_size=k, max_size=k), min_size=m, max_size=m)
    )
)


@settings(max_examples=200)
@given(matrices, st.randoms(use_true_random=False))
def test_numbers_differ_and_matched_clusters_keep_almost_all_lines(lines, random):
    matrix = np.array(lines)
    m, k = matrix.shape
    champion, challenger = (np.array([[random.uniform(0, 9)] for _ in range(n)]) for n in (m, k))
    moved = Migration(tuple(range(m)), tuple(range(k)), matrix)

    matched = numbering.match(challenger, champion, numbers=range(m), moved=moved, unused_from=m)

    assert len(set(matched.numbers)) == k
    after = moved.renumbered(matched.numbers)
    assert after.total == moved.total
    kept = {pair.champion_number for pair in matched.matched}
    assert {number for number in matched.numbers if number < m} == kept
    stays = sum(after.lines[n, after.new.index(n)] for n in kept)
    assert stays >= MIN_RETAINED_SHARE * sum(after.lines[n].sum() for n in kept) - 1e-9
    assert stays >= MIN_RETAINED_SHARE * sum(after.lines[:, after.new.index(n)].sum() for n in kept) - 1e-9
