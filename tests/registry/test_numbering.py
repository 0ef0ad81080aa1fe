import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_clusters.registry import numbering
from retail_clusters.registry.numbering import MIN_RETAINED_SHARE, Migration


def moved(*lines: list[int], old: tuple[int, ...] | None = None) -> Migration:
    """Count lines from each cluster of the champion (a row) to each new one."""
    matrix = np.array(lines)
    return Migration(old or tuple(range(len(lines))), tuple(range(matrix.shape[1])), matrix)


def test_migration_counts_lines_by_number_and_keeps_empty_clusters():
    before, after, lines = np.array([0, 1, 0]), np.array([0, 1, 0]), np.array([3.0, 4.0, 1.0])

    counted = numbering.migration(before, after, lines, old=(7, 2), k=3)

    assert counted.old == (2, 7)
    assert counted.lines.tolist() == [[0, 4, 0], [4, 0, 0]]
    assert counted.total == 8
    assert counted.table().to_dict("list") == {"old_cluster": [2, 7], "new_cluster": [1, 0], "lines": [4, 4]}


def test_renumbered_migration_holds_the_same_lines_under_other_numbers():
    renumbered = moved([5, 0], [0, 6]).renumbered([1, 0])

    assert renumbered.new == (0, 1)
    assert renumbered.lines.tolist() == [[0, 5], [6, 0]]
    assert renumbered.kept == 0


def test_assignment_moves_the_fewest_lines_not_the_largest_order():
    champion = np.array([[1.0], [6.0], [10_000.0]])
    new = np.array([[1.5], [6.5], [80_000.0]])

    pairs = numbering.assign(new, champion, lines=np.array([100_000, 50_000, 1]))

    assert pairs == [(0, 0), (1, 1), (2, 2)]


def test_clusters_that_hold_the_same_lines_keep_their_numbers_in_any_order():
    champion = np.array([[0.0], [10.0], [20.0]])
    lines = moved([0, 0, 50], [60, 0, 0], [0, 70, 0])

    matched = numbering.match(champion[[1, 2, 0]], champion, numbers=[0, 1, 2], moved=lines, unused_from=3)

    assert matched.numbers == (1, 2, 0)
    assert lines.renumbered(matched.numbers).kept == lines.total
    assert matched.summary(lines) == (
        "3 of 3 clusters keep a number of the champion's, with 180 of 180 test lines"
    )


def test_cluster_that_shares_too_few_lines_gets_an_unused_number():
    champion = np.array([[0.0], [10.0]])
    lines = moved([90, 12], [10, 10], old=(4, 9))

    matched = numbering.match(champion, champion, numbers=[4, 9], moved=lines, unused_from=12)

    assert matched.numbers == (12, 13)
    assert matched.matched == ()


@pytest.mark.parametrize(("k", "numbers"), [(2, (0, 1)), (4, (0, 1, 2, 3))])
def test_unlike_numbers_of_clusters_leave_a_permutation_where_all_match(k: int, numbers: tuple[int, ...]):
    places = np.array([[0.0], [10.0], [20.0], [30.0]])
    lines = Migration((0, 1), tuple(range(k)), 10 * np.eye(2, k, dtype=np.int64))

    matched = numbering.match(places[:k], places[:2], numbers=range(2), moved=lines, unused_from=2)

    assert matched.numbers == numbers


def test_clusters_without_lines_match_when_each_is_nearest_to_the_other():
    champion = np.array([[0.0], [5_000.0]])
    new = np.array([[5_010.0], [0.0], [9_000.0]])

    matched = numbering.match(
        new, champion, numbers=[0, 1], moved=moved([0, 10, 0], [0, 0, 0]), unused_from=2
    )

    assert matched.numbers == (1, 0, 2)


def test_table_has_a_row_for_each_cluster_with_what_it_was_paired_with():
    lines = moved([10, 0], old=(5,))

    table = numbering.match(
        np.array([[0.0], [9.0]]), np.array([[0.0]]), numbers=[5], moved=lines, unused_from=6
    ).table()

    assert table["number"].tolist() == [5, 6]
    assert table["matched"].tolist() == [True, False]
    assert table["paired_with"].isna().tolist() == [False, True]
    assert table["shared_lines"].to_list()[0] == 10


def test_numbers_come_back_from_their_tag():
    assert numbering.from_text(numbering.to_text((2, 0, 11))) == (2, 0, 11)
    assert numbering.from_text("") == ()


matrices = st.integers(1, 6).flatmap(
    lambda m: st.integers(1, 6).flatmap(
        lambda k: st.lists(st.lists(st.integers(0, 40), min_size=k, max_size=k), min_size=m, max_size=m)
    )
)


@settings(max_examples=200)
@given(matrices, st.randoms(use_true_random=False))
def test_numbers_differ_and_matched_clusters_keep_almost_all_lines(lines, random):
    migration = moved(*lines)
    m, k = migration.lines.shape
    champion, new = (np.array([[random.uniform(0, 9)] for _ in range(n)]) for n in (m, k))

    matched = numbering.match(new, champion, numbers=range(m), moved=migration, unused_from=m)

    assert len(set(matched.numbers)) == k
    after = migration.renumbered(matched.numbers)
    assert after.total == migration.total
    kept = {pair.paired_with for pair in matched.matched}
    assert {number for number in matched.numbers if number < m} == kept
    stays = sum(after.lines[n, after.new.index(n)] for n in kept)
    assert stays >= MIN_RETAINED_SHARE * sum(after.lines[n].sum() for n in kept) - 1e-9
    assert stays >= MIN_RETAINED_SHARE * sum(after.lines[:, after.new.index(n)].sum() for n in kept) - 1e-9
