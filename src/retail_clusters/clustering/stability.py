"""Do the clusters come back? Refits on days drawn with replacement, beside the same on shuffled columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retail_clusters.clustering import kmeans
from retail_clusters.clustering.blocks import Block, Floats, Labels, add_in_order, block, reweighted, split

#: Marks the draws of shuffled columns, so that they are not those of the days.
_SHUFFLE = 1

#: Lines that are dealt at most: some 200 bytes each while they are.
_DEALT = 2_000_000


@dataclass(frozen=True)
class Resampling:
    """How clusters are refitted.

    Attributes:
        draws: refits.
        stable_jaccard: mean Jaccard with its best match from which on a cluster counts as stable; Hennig,
            "Cluster-wise assessment of cluster stability", 2007, puts it at 0.75.
        max_iterations: of Lloyd.
        tolerance: of Lloyd.
    """

    draws: int = 20
    stable_jaccard: float = 0.75
    max_iterations: int = 100
    tolerance: float = 1e-4


@dataclass(frozen=True)
class Stability:
    """How well each cluster comes back.

    Attributes:
        jaccards: of each cluster, the mean over refits of its Jaccard index with the best match.
        sizes: lines in each cluster.
        stable_jaccard: from which on a cluster counts as stable.
    """

    jaccards: tuple[float, ...]
    sizes: tuple[int, ...]
    stable_jaccard: float

    @property
    def stable_clusters(self) -> int:
        """Count the clusters that hold lines and come back."""
        return sum(self._is_stable)

    @property
    def stable_line_share(self) -> float:
        """Return the share of lines in clusters that come back."""
        stable = sum(size for size, is_stable in zip(self.sizes, self._is_stable, strict=True) if is_stable)
        return stable / sum(self.sizes)

    @property
    def _is_stable(self) -> list[bool]:
        return [
            size > 0 and jaccard >= self.stable_jaccard
            for jaccard, size in zip(self.jaccards, self.sizes, strict=True)
        ]


def stability(
    values: Floats, weights_by_group: Floats, centres: Floats, *, seed: int, settings: Resampling
) -> Stability:
    """Measure how well the clusters of `centres` come back when days are drawn anew.

    A draw takes as many groups of days as there are, with replacement, and fits as many clusters to their
    lines. Lines of an invoice, and invoices of a day, are not independent: so days are drawn, not lines.
    Jaccard indices are over all lines, drawn or not.

    Args:
        values: n x d vectors in canonical order.
        weights_by_group: n x g, the lines that each row stands for in each group of days.
        centres: k x d, the clustering in question.
        seed: of the draws; draw i takes its days and its seeding from `[seed, i]`.
        settings: how to refit, and what counts as stable.
    """
    k = len(centres)
    whole = block(values, _sum_columns(weights_by_group))
    labels = kmeans.assign(whole, centres).labels
    jaccards = [
        _best_jaccards(labels, refit, whole.weights, k=k)
        for refit in _refits(whole, weights_by_group, k=k, seed=seed, settings=settings)
    ]
    sizes = kmeans.cluster_sums(labels, whole.weights, k)
    return Stability(
        jaccards=tuple((add_in_order(jaccards) / len(jaccards)).tolist()),
        sizes=tuple(int(size) for size in sizes),
        stable_jaccard=settings.stable_jaccard,
    )


def shuffle_columns(
    values: Floats, weights_by_group: Floats, *, columns: Sequence[Sequence[int]], seed: int
) -> tuple[Floats, Floats]:
    """Deal each fact anew over all lines: it keeps its distribution and loses its relation to the others.

    Lines stay in their group of days. Columns of one fact, such as the slots of a weekday, move together. Of
    more than two million lines each n-th is dealt, and stands for n.

    Args:
        values: n x d vectors in canonical order.
        weights_by_group: n x g, the lines that each row stands for in each group of days.
        columns: the columns of each fact, such as price (0,), quantity (1,), weekday (2, 3, 4).
        seed: of the shuffles.

    Returns:
        Distinct vectors, sorted by value, m x d, and their lines in each group of days, m x g.
    """
    rows, groups = weights_by_group.shape
    ends = np.cumsum(weights_by_group.T.astype(np.int64).ravel())
    stands_for = -(-int(ends[-1]) // _DEALT)
    line_group, line_row = np.divmod(
        np.searchsorted(ends, np.arange(0, ends[-1], stands_for), side="right"), rows
    )
    facts = [np.unique(values[:, list(fact)], axis=0, return_inverse=True) for fact in columns]
    key = np.zeros(len(line_row), dtype=np.int64)
    for position, (distinct, codes) in enumerate(facts):
        dealt = np.random.default_rng([seed, _SHUFFLE, position]).permutation(codes.reshape(-1)[line_row])
        key = key * len(distinct) + dealt
    found, row_of_line = np.unique(key, return_inverse=True)
    shuffled = np.empty((len(found), values.shape[1]))
    for (distinct, _), fact in reversed(list(zip(facts, columns, strict=True))):
        found, code = np.divmod(found, len(distinct))
        shuffled[:, list(fact)] = distinct[code]
    lines = np.full(len(key), float(stands_for))
    cells = kmeans.cluster_sums(row_of_line * groups + line_group, lines, len(shuffled) * groups)
    return shuffled, cells.reshape(len(shuffled), groups)


def _refits(
    whole: Block, weights_by_group: Floats, *, k: int, seed: int, settings: Resampling
) -> list[Labels]:
    """Return the labels of all rows by each refit."""
    labels = []
    for draw in range(settings.draws):
        drawn = _draw_groups(weights_by_group.shape[1], seed=seed, draw=draw)
        there = reweighted(whole, _sum_columns(weights_by_group * drawn))
        fitted = kmeans.fit(
            split(there),
            there,
            k=k,
            seed=int(np.random.SeedSequence([seed, draw]).generate_state(1)[0]),
            max_iterations=settings.max_iterations,
            tolerance=settings.tolerance,
        )
        labels.append(kmeans.assign(whole, fitted.centres).labels)
    return labels


def _draw_groups(groups: int, *, seed: int, draw: int) -> NDArray[np.int64]:
    """Count how often each group is drawn."""
    drawn = np.random.default_rng([seed, draw]).integers(0, groups, groups)
    return np.bincount(drawn, minlength=groups)


def _best_jaccards(labels: Labels, refit: Labels, weights: Floats, *, k: int) -> Floats:
    """Return for each cluster its largest Jaccard index, over lines, with a cluster of the refit."""
    common = kmeans.cluster_sums(labels * k + refit, weights, k * k).reshape(k, k)
    one, other = _sum_columns(common), _sum_columns(common.T)
    union = one[:, None] + other - common
    best: Floats = np.divide(common, union, out=np.zeros((k, k)), where=union > 0).max(axis=1)
    return best


def _sum_columns(matrix: Floats) -> Floats:
    return kmeans.row_sums(np.asarray(matrix, dtype=np.float64))
