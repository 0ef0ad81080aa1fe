import numpy as np
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


def test_pairs_move_the_fewest_lines_not_the_largest_order():
    champion = np.array([[1.0], [6.0], [10_000.0]])
    new = np.array([[1.5], [6.5], [80_000.0]])
    lines = moved([100_000, 0, 0], [0, 50_000, 0], [0, 0, 1])

    matching = numbering.match(new, champion, numbers=[0, 1, 2], moved=lines, unused_from=3)

    assert matching["paired_with"].tolist() == [0, 1, 2]


def test_clusters_that_hold_the_same_lines_keep_their_numbers_in_any_order():
    champion = np.array([[0.0], [10.0], [20.0]])
    lines = moved([0, 0, 50], [60, 0, 0], [0, 70, 0])

    matching = numbering.match(champion[[1, 2, 0]], champion, numbers=[0, 1, 2], moved=lines, unused_from=3)

    assert matching["number"].tolist() == [1, 2, 0]
    assert numbering.summary(matching, lines) == (
        "3 of 3 clusters keep a number of the champion's, with 180 of 180 test lines"
    )


def test_cluster_that_shares_too_few_lines_gets_an_unused_number():
    champion = np.array([[0.0], [10.0]])
    lines = moved([90, 12], [10, 10], old=(4, 9))

    matching = numbering.match(champion, champion, numbers=[4, 9], moved=lines, unused_from=12)

    assert matching["number"].tolist() == [12, 13]
    assert not matching["matched"].any()


def test_clusters_without_lines_match_when_each_is_nearest_to_the_other_and_a_third_has_no_pair():
    champion = np.array([[0.0], [5_000.0]])
    new = np.array([[5_010.0], [0.0], [9_000.0]])
    lines = moved([0, 10, 0], [0, 0, 0])

    matching = numbering.match(new, champion, numbers=[0, 1], moved=lines, unused_from=2)

    assert matching["number"].tolist() == [1, 0, 2]
    assert matching["paired_with"].isna().tolist() == [False, False, True]
    assert matching["shared_lines"].tolist()[:2] == [0, 10]


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

    matching = numbering.match(new, champion, numbers=range(m), moved=migration, unused_from=m)

    numbers = matching["number"].tolist()
    assert len(set(numbers)) == k
    after = migration.renumbered(numbers)
    assert after.total == migration.total
    kept = set(matching.loc[matching["matched"], "paired_with"])
    assert {number for number in numbers if number < m} == kept
    stays = sum(after.lines[n, after.new.index(n)] for n in kept)
    assert stays >= MIN_RETAINED_SHARE * sum(after.lines[n].sum() for n in kept) - 1e-9
    assert stays >= MIN_RETAINED_SHARE * sum(after.lines[:, after.new.index(n)].sum() for n in kept) - 1e-9
