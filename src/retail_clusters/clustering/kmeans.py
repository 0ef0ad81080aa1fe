"""Weighted k-means: greedy k-means++ seeds, then Lloyd's iterations, the same bits on any machine.

Sums run in the order of the rows (`np.bincount` adds one after the other), without BLAS, whose bits depend on
the processor. Vectors of one cluster at a time stay in cache; there is no matrix of rows x clusters.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from retail_clusters.clustering.blocks import Block, Floats, InMemory, Labels, Rows


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted k-means: centres (k x d), Lloyd's iterations, and the cost (WSSSE) of the rows fitted on."""

    centres: Floats
    iterations: int
    cost: float


@dataclass(frozen=True, eq=False)
class Assigned:
    """A block, the cluster of each of its rows, and the squared distance to that cluster's centre."""

    block: Block
    labels: Labels
    squared_distances: Floats


def fit(rows: Rows[Block], sample: Block, *, k: int, seed: int, max_iterations: int, tolerance: float) -> Fit:
    """Fit k clusters: seeds from `sample`, Lloyd's iterations over all rows.

    Args:
        rows: all rows.
        sample: the rows that seeding looks at, in canonical order: all, or a bounded sample of them.
        k: how many clusters, at most the number of distinct vectors in the sample.
        seed: of the seeding, together with k.
        max_iterations: of Lloyd.
        tolerance: Lloyd stops when no centre has moved further than this.
    """
    first = seed_centres(sample, k=k, seed=seed)
    return iterate(rows, first, max_iterations=max_iterations, tolerance=tolerance)


def seed_centres(sample: Block, *, k: int, seed: int) -> Floats:
    """Choose k rows as first centres, each with probability proportional to weight times squared distance
    to the centres so far, the best of 2 + ln(k) draws (greedy k-means++).

    The same seed is another start for another k. Returns k x d centres, each a row of the sample.

    Source: Arthur and Vassilvitskii, "k-means++: The Advantages of Careful Seeding", SODA 2007, with the
    greedy draws of section 5.
    """
    draws = np.random.default_rng([seed, k])
    tries = 2 + int(np.log(k))
    values, weights = sample.values, sample.weights
    scratch, mass = np.empty((2, len(sample)))
    nearest, best, tried = np.full((3, len(sample)), np.inf)
    centres = np.repeat(values[-1:], k, axis=0)
    for chosen in range(k):
        width = np.multiply(nearest, weights, out=mass) if chosen else weights
        drawn = values[_draw(width, draws.random(tries if chosen else 1))]
        least = np.inf
        for row, by_category in zip(drawn, sample.category_distances(drawn), strict=True):
            sample.squared_distances(row, by_category, out=tried, scratch=scratch)
            np.minimum(nearest, tried, out=tried)
            cost = float(np.add.reduce(np.multiply(tried, weights, out=scratch)))
            if cost < least:
                least, centres[chosen] = cost, row
                best, tried = tried, best
        best, nearest = nearest, best
    return centres


def iterate(rows: Rows[Block], centres: Floats, *, max_iterations: int, tolerance: float) -> Fit:
    """Run Lloyd's iterations from `centres` (k x d) until none moves further than `tolerance`.

    A cluster that no row is nearest to keeps its centre, as in Spark.
    """
    assigned = assign_all(rows, centres)
    iterations, furthest = 0, math.inf
    while furthest > tolerance**2 and iterations < max_iterations:
        before, centres = centres, _means(assigned, centres)
        furthest = float(row_sums(np.square(centres - before)).max())
        if furthest > 0:
            assigned = assign_all(rows, centres)
        iterations += 1
    return Fit(centres=centres, iterations=iterations, cost=_cost(assigned, k=len(centres)))


def cost(rows: Rows[Block], centres: Floats) -> float:
    """Return the sum over lines of the squared distance to the nearest centre (WSSSE)."""
    return _cost(assign_all(rows, centres), k=len(centres))


def assign_all(rows: Rows[Block], centres: Floats) -> Rows[Assigned]:
    """Find the nearest of k x d centres for every row."""
    return rows.map(partial(assign, centres=centres))


def assign(block: Block, centres: Floats) -> Assigned:
    """Find the nearest of k x d centres for each row; a tie goes to the lower number."""
    nearest, distances, scratch = np.empty((3, len(block)))
    labels = np.zeros(len(block), dtype=np.min_scalar_type(len(centres)))
    closer = np.empty(len(block), dtype=np.bool_)
    by_category = block.category_distances(centres)
    block.squared_distances(centres[0], by_category[0], out=nearest, scratch=scratch)
    for cluster in range(1, len(centres)):
        block.squared_distances(centres[cluster], by_category[cluster], out=distances, scratch=scratch)
        np.less(distances, nearest, out=closer)
        np.copyto(labels, cluster, where=closer)
        np.minimum(nearest, distances, out=nearest)
    return Assigned(block=block, labels=labels.astype(np.intp), squared_distances=nearest)


def assign_as(block: Block, labels: Labels, centres: Floats) -> Assigned:
    """Take the clusters of n rows as given, whichever centre is nearest."""
    values = block.values
    return Assigned(
        block=block, labels=labels, squared_distances=row_sums(np.square(values - centres[labels]))
    )


def labels(rows: InMemory[Block], centres: Floats) -> Labels:
    """Return which of k x d centres is nearest to each of n rows; a tie goes to the lower number."""
    return np.concatenate([assign(block, centres).labels for block in rows.blocks])


def lines_by_category(found: Assigned, k: int) -> Floats:
    """Count the lines of each category in each cluster, k x categories."""
    count = len(found.block.categories)
    cells = found.labels * count + found.block.codes
    return cluster_sums(cells, found.block.weights, k * count).reshape(k, count)


def cluster_sums(labels: Labels, terms: Floats, k: int) -> Floats:
    """Add up the terms of each of k clusters, one after the other."""
    total: Floats = np.bincount(labels, terms, k).astype(np.float64, copy=False)
    return total


def row_sums(matrix: Floats) -> Floats:
    """Add up the columns of a matrix, one after the other."""
    total = np.zeros(len(matrix))
    for column in matrix.T:
        total += column
    return total


def _means(rows: Rows[Assigned], centres: Floats) -> Floats:
    total = rows.sum(partial(_sums, shape=centres.shape))
    lines = total[:, :1]
    return np.divide(total[:, 1:], lines, out=centres.copy(), where=lines > 0)


def _sums(found: Assigned, *, shape: tuple[int, int]) -> Floats:
    """Sum lines, and lines times vector, over each cluster: k x (1 + d)."""
    k, d = shape
    block = found.block
    total = np.empty((k, 1 + d))
    for column, numbers in zip(block.number_columns, block.numbers, strict=True):
        total[:, 1 + column] = cluster_sums(found.labels, block.weights * numbers, k)
    lines = lines_by_category(found, k)
    for position, column in enumerate(block.category_columns):
        total[:, 1 + column] = row_sums(lines * block.categories[:, position])
    total[:, 0] = row_sums(lines)
    return total


def _cost(rows: Rows[Assigned], *, k: int) -> float:
    squares = rows.sum(partial(_squares, k=k))
    return math.fsum(squares.tolist())


def _squares(found: Assigned, *, k: int) -> Floats:
    return cluster_sums(found.labels, found.block.weights * found.squared_distances, k)


def _draw(mass: Floats, uniform: Floats) -> list[int]:
    """Return the rows under which `uniform` falls when each row has its mass as width; never an empty one."""
    edges = np.cumsum(mass)
    rows = np.searchsorted(edges, uniform * edges[-1], side="right")
    last = int(np.flatnonzero(mass)[-1]) if edges[-1] > 0 else len(mass) - 1
    return [min(int(row), last) for row in rows]
