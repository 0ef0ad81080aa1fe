"""How far clusterings agree: with refits on resampled groups, with permuted data, from seed to seed."""

import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from retail_clusters.clustering import kmeans
from retail_clusters.clustering.blocks import (
    Block,
    Floats,
    InMemory,
    Labels,
    add_in_order,
    block,
    reweighted,
    split,
)

#: Tells the draws of a permutation from those of the groups.
_PERMUTATION = 1


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
    """How stable each cluster is.

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
        """Count the stable clusters that hold lines."""
        return sum(self._is_stable)

    @property
    def stable_line_share(self) -> float:
        """Return the share of lines in stable clusters."""
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
    """Measure how stable the clusters of `centres` are when groups of lines are drawn anew.

    A draw takes as many groups as there are, with replacement, and fits as many clusters to their lines. Jaccard
    indices are over all lines, drawn or not. Lines that depend on one another, such as those of a day, belong
    in one group.

    Args:
        values: n x d vectors in canonical order.
        weights_by_group: n x g, the lines that each row stands for in each group.
        centres: k x d, the clustering in question.
        seed: of the draws; draw i takes its groups and its seeding from `[seed, i]`.
        settings: how to refit, and what counts as stable.
    """
    k = len(centres)
    whole = block(values, kmeans.row_sums(weights_by_group))
    labels = kmeans.assign(whole, centres).labels
    jaccards = [
        _best_jaccards(contingency(labels, refit, whole.weights, shape=(k, k)))
        for refit in _refits(whole, weights_by_group, k=k, seed=seed, settings=settings)
    ]
    sizes = kmeans.cluster_sums(labels, whole.weights, k)
    return Stability(
        jaccards=tuple((add_in_order(jaccards) / len(jaccards)).tolist()),
        sizes=tuple(int(size) for size in sizes),
        stable_jaccard=settings.stable_jaccard,
    )


def permute_columns(
    values: Floats,
    weights_by_group: Floats,
    *,
    columns: Sequence[Sequence[int]],
    seed: int,
    most_lines: int = 2_000_000,
) -> tuple[Floats, Floats]:
    """Permute each feature over all lines: it keeps its distribution and loses its relation to the others.

    Lines stay in their group. Columns of one feature, such as the slots of a one-hot encoding, move together.
    Of more than `most_lines` lines, some 200 bytes each meanwhile, each n-th is taken, and stands for n.

    Args:
        values: n x d vectors in canonical order.
        weights_by_group: n x g, the lines that each row stands for in each group.
        columns: the columns of each feature, such as (0,), (1,), (2, 3, 4).
        seed: of the permutations.
        most_lines: how many lines are permuted at most.

    Returns:
        Distinct vectors, sorted by value, m x d, and their lines in each group, m x g.
    """
    rows, groups = weights_by_group.shape
    ends = np.cumsum(weights_by_group.T.astype(np.int64).ravel())
    stands_for = -(-int(ends[-1]) // most_lines)
    line_group, line_row = np.divmod(
        np.searchsorted(ends, np.arange(0, ends[-1], stands_for), side="right"), rows
    )
    features = [np.unique(values[:, list(of)], axis=0, return_inverse=True) for of in columns]
    key = np.zeros(len(line_row), dtype=np.int64)
    for position, (distinct, codes) in enumerate(features):
        draws = np.random.default_rng([seed, _PERMUTATION, position])
        key = key * len(distinct) + draws.permutation(codes.reshape(-1)[line_row])
    found, row_of_line = np.unique(key, return_inverse=True)
    permuted = np.empty((len(found), values.shape[1]))
    for (distinct, _), of in reversed(list(zip(features, columns, strict=True))):
        found, code = np.divmod(found, len(distinct))
        permuted[:, list(of)] = distinct[code]
    lines = np.full(len(key), float(stands_for))
    cells = kmeans.cluster_sums(row_of_line * groups + line_group, lines, len(permuted) * groups)
    return permuted, cells.reshape(len(permuted), groups)


def seed_agreement(rows: InMemory[Block], centres: Sequence[Floats]) -> float:
    """Return the mean adjusted Rand index over pairs of clusterings of the same lines; NaN for one alone."""
    weights = np.concatenate([block.weights for block in rows.blocks])
    labels = [kmeans.labels(rows, each) for each in centres]
    pairs = itertools.combinations(labels, 2)
    found = [adjusted_rand_index(contingency(one, other, weights)) for one, other in pairs]
    return statistics.fmean(found) if found else float("nan")


def contingency(
    one: Labels, other: Labels, weights: Floats, *, shape: tuple[int, int] | None = None
) -> Floats:
    """Count the lines in each pair of clusters: from two labels a row, and the lines it stands for."""
    rows, columns = shape or (int(one.max()) + 1, int(other.max()) + 1)
    return kmeans.cluster_sums(one * columns + other, weights, rows * columns).reshape(rows, columns)


def adjusted_rand_index(table: Floats) -> float:
    """Return the adjusted Rand index of a contingency table: 1 for the same clusters, about 0 by chance.

    Source: Hubert and Arabie, "Comparing partitions", Journal of Classification 2, 1985.
    """
    both = _pairs(table).sum()
    one, other, every = _pairs(table.sum(1)).sum(), _pairs(table.sum(0)).sum(), _pairs(table.sum())
    if every == 0:
        return 1.0
    expected = one * other / every
    largest = (one + other) / 2
    return 1.0 if largest == expected else float((both - expected) / (largest - expected))


def matched_share(table: Floats) -> float:
    """Return the share of lines in the same cluster, once each cluster is matched with one of the other's.

    The matching is the one to one assignment that most lines agree with (Hungarian method).
    """
    lines = table.sum()
    if lines == 0:
        return 1.0
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / lines)


def _pairs(counts: Floats) -> Floats:
    pairs: Floats = counts * (counts - 1) / 2
    return pairs


def _refits(
    whole: Block, weights_by_group: Floats, *, k: int, seed: int, settings: Resampling
) -> Iterator[Labels]:
    """Return the labels of all rows by each refit."""
    groups = weights_by_group.shape[1]
    for draw in range(settings.draws):
        chosen = np.random.default_rng([seed, draw]).integers(0, groups, groups)
        drawn = np.bincount(chosen, minlength=groups)
        there = reweighted(whole, kmeans.row_sums(weights_by_group * drawn))
        fitted = kmeans.fit(
            split(there),
            there,
            k=k,
            seed=int(np.random.SeedSequence([seed, draw]).generate_state(1)[0]),
            max_iterations=settings.max_iterations,
            tolerance=settings.tolerance,
        )
        yield kmeans.assign(whole, fitted.centres).labels


def _best_jaccards(common: Floats) -> Floats:
    """Return for each cluster (row) its largest Jaccard index, over lines, with a cluster of the refit."""
    one, other = kmeans.row_sums(common), kmeans.row_sums(common.T)
    union = one[:, None] + other - common
    best: Floats = np.divide(common, union, out=np.zeros(common.shape), where=union > 0).max(axis=1)
    return best
