"""How good a clustering is: silhouettes, cost, sizes and indices, exact for the lines behind the rows."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from retail_clusters.clustering.blocks import Block, Floats, InMemory, Labels, Rows
from retail_clusters.clustering.kmeans import (
    Assigned,
    assign,
    assign_all,
    cluster_sums,
    lines_by_category,
    row_sums,
)


@dataclass(frozen=True, kw_only=True)
class Quality:
    """A clustering measured on a set of lines.

    Attributes:
        silhouette: mean over lines, squared Euclidean.
        macro_silhouette: mean over populated clusters of the mean over their lines.
        cluster_silhouettes: mean over the lines of each cluster; 0 for a cluster without lines.
        davies_bouldin: the lower the better; 0 where fewer than two clusters are populated.
        calinski_harabasz: the higher the better; 0 where fewer than two clusters are populated.
        cost: sum of squared distances to the centres (WSSSE).
        sizes: lines in each cluster.
    """

    silhouette: float
    macro_silhouette: float
    cluster_silhouettes: tuple[float, ...]
    davies_bouldin: float
    calinski_harabasz: float
    cost: float
    sizes: tuple[int, ...]

    @property
    def lines(self) -> int:
        """Count the lines measured."""
        return sum(self.sizes)

    @property
    def clusters(self) -> int:
        """Count the clusters that hold a line."""
        return sum(size > 0 for size in self.sizes)

    @property
    def largest_cluster_share(self) -> float:
        """Return the share of lines in the largest cluster."""
        return max(self.sizes) / self.lines

    @property
    def effective_clusters(self) -> float:
        """Return exp of the entropy of the cluster shares: K for even clusters, 1 when one holds all."""
        shares = [size / self.lines for size in self.sizes if size]
        return math.exp(-math.fsum(share * math.log(share) for share in shares))


@dataclass(frozen=True, eq=False)
class _Shape:
    """Per cluster: lines (k), mean (k x d), mean squared distance of its lines to that mean (k)."""

    lines: Floats
    means: Floats
    spread: Floats


def measure(rows: Rows[Block], centres: Floats) -> Quality:
    """Measure the clustering that `centres` (k x d) make of weighted rows, in two passes.

    The silhouette is the mean over *lines* of the squared Euclidean silhouette that Spark's
    ClusteringEvaluator gives for the expanded lines. With N_c lines in cluster c, mean m_c, and
    V_c = mean |y - m_c|^2, the mean squared distance from x to c is

        D_c(x) = |x - m_c|^2 + V_c

    so two passes are enough: one for N, m and V, one for D. With a = N/(N-1) D_own(x), as a line is no
    neighbour of itself, and b = min of D_c(x) over the other populated clusters, s(x) = (b - a) / max(a, b).
    It is 0 for a line alone in its cluster, for a = b = 0, and when only one cluster is populated. N counts
    lines, not rows, so a cluster of many identical lines scores 1. Sums run relative to the centres, which
    keeps the digits that sums relative to zero would cancel.

    Davies-Bouldin and Calinski-Harabasz are those of scikit-learn for the expanded lines.

    Source: Rousseeuw 1987, in the form of org.apache.spark.ml.evaluation.SquaredEuclideanSilhouette.
    """
    return measure_assigned(assign_all(rows, centres), centres)


def measure_assigned(assigned: Rows[Assigned], centres: Floats) -> Quality:
    """Measure rows that have a cluster, as `measure` does."""
    moments = assigned.sum(partial(_moments, centres=centres))
    lines, squares = moments[:, 0], moments[:, 1]
    shape = _shape_of(moments, centres)
    scores, squares_within, deviations = assigned.sum(partial(_scores, shape=shape)).T
    populated = lines > 0
    of_clusters = np.divide(scores, lines, out=np.zeros_like(scores), where=populated)
    return Quality(
        silhouette=math.fsum(scores.tolist()) / math.fsum(lines.tolist()),
        macro_silhouette=math.fsum(of_clusters.tolist()) / int(populated.sum()),
        cluster_silhouettes=tuple(of_clusters.tolist()),
        davies_bouldin=_davies_bouldin(shape, deviations),
        calinski_harabasz=_calinski_harabasz(shape, squares_within),
        cost=math.fsum(squares.tolist()),
        sizes=tuple(int(count) for count in lines),
    )


def row_silhouettes(rows: InMemory[Block], centres: Floats) -> tuple[Labels, Floats]:
    """Return the cluster of each row, and the silhouette of its lines, whose mean `measure` gives."""
    assigned = rows.map(partial(assign, centres=centres))
    shape = _shape_of(assigned.sum(partial(_moments, centres=centres)), centres)
    found = [_silhouettes(each, shape, *_distances(each, shape)) for each in assigned.blocks]
    return np.concatenate([each.labels for each in assigned.blocks]), np.concatenate(found)


def _shape_of(moments: Floats, centres: Floats) -> _Shape:
    lines, squares, offsets = moments[:, 0], moments[:, 1], moments[:, 2:]
    shift = offsets / np.maximum(lines, 1)[:, None]
    spread = np.maximum(squares / np.maximum(lines, 1) - row_sums(np.square(shift)), 0.0)
    return _Shape(lines=lines, means=centres + shift, spread=spread)


def _moments(found: Assigned, *, centres: Floats) -> Floats:
    """Sum lines, squared distances and offsets from the centre over each cluster: k x (2 + d)."""
    block, labels = found.block, found.labels
    k, d = centres.shape
    total = np.empty((k, 2 + d))
    total[:, 1] = cluster_sums(labels, block.weights * found.squared_distances, k)
    for column, numbers in zip(block.number_columns, block.numbers, strict=True):
        offsets = numbers - np.take(centres[:, column], labels)
        total[:, 2 + column] = cluster_sums(labels, block.weights * offsets, k)
    lines = lines_by_category(found, k)
    for position, column in enumerate(block.category_columns):
        offsets = block.categories[:, position] - centres[:, column, None]
        total[:, 2 + column] = row_sums(lines * offsets)
    total[:, 0] = row_sums(lines)
    return total


def _scores(found: Assigned, *, shape: _Shape) -> Floats:
    """Sum silhouette, squared distance and distance to the mean over each cluster: k x 3."""
    block, labels, k = found.block, found.labels, len(shape.lines)
    to_mean, other = _distances(found, shape)
    terms = (_silhouettes(found, shape, to_mean, other), to_mean, np.sqrt(to_mean))
    return np.stack([cluster_sums(labels, block.weights * term, k) for term in terms], axis=1)


def _silhouettes(found: Assigned, shape: _Shape, to_mean: Floats, other: Floats) -> Floats:
    """Return the silhouette of the lines of each row, from what `_distances` gives."""
    k = len(shape.lines)
    not_itself = np.divide(shape.lines, shape.lines - 1, out=np.zeros(k), where=shape.lines > 1)
    own = to_mean + np.take(shape.spread, found.labels)
    own *= np.take(not_itself, found.labels)
    larger = np.maximum(own, other)
    defined = (larger > 0) & np.isfinite(other) & np.take(shape.lines > 1, found.labels)
    scores: Floats = np.divide(other - own, larger, out=np.zeros(len(to_mean)), where=defined)
    return scores


def _distances(found: Assigned, shape: _Shape) -> tuple[Floats, Floats]:
    """Return for each row its squared distance to the mean of its cluster, and the least D of the others.

    The latter is infinite where no other cluster is populated.
    """
    block, k = found.block, len(shape.lines)
    to_mean, distances, scratch = np.empty((3, len(block)))
    other = np.full(len(block), np.inf)
    by_category = block.category_distances(shape.means)
    order = np.argsort(found.labels, kind="stable")
    ends = np.cumsum(np.bincount(found.labels, minlength=k))
    for cluster in np.flatnonzero(shape.lines > 0):
        block.squared_distances(shape.means[cluster], by_category[cluster], out=distances, scratch=scratch)
        members = order[ends[cluster - 1] if cluster else 0 : ends[cluster]]
        to_mean[members] = distances[members]
        distances += shape.spread[cluster]
        distances[members] = np.inf
        np.minimum(other, distances, out=other)
    return to_mean, other


def _davies_bouldin(shape: _Shape, deviations: Floats) -> float:
    """Return the mean over clusters of the largest (S_i + S_j) / M_ij.

    S is the mean distance of a cluster's lines to their mean, M the distance between two means; where two
    coincide, the pair counts 0. Source: Davies and Bouldin 1979, as in sklearn.metrics.davies_bouldin_score.
    """
    populated = np.flatnonzero(shape.lines > 0)
    means, within = shape.means[populated], deviations[populated] / shape.lines[populated]
    worst = []
    for mean, deviation in zip(means, within, strict=True):
        between = np.sqrt(row_sums(np.square(means - mean)))
        ratios = np.divide(within + deviation, between, out=np.zeros_like(between), where=between > 0)
        worst.append(float(ratios.max()))
    return math.fsum(worst) / len(worst)


def _calinski_harabasz(shape: _Shape, squares_within: Floats) -> float:
    """Return the dispersion between clusters over that within, each by its degrees of freedom.

    Source: Calinski and Harabasz 1974, as in sklearn.metrics.calinski_harabasz_score: 1 where none is within.
    """
    lines, populated = math.fsum(shape.lines.tolist()), int(np.count_nonzero(shape.lines))
    if populated < 2:
        return 0.0
    weighted = shape.means * shape.lines[:, None]
    mean = np.array([math.fsum(column.tolist()) / lines for column in weighted.T])
    between = math.fsum((shape.lines * row_sums(np.square(shape.means - mean))).tolist())
    within = math.fsum(squares_within.tolist())
    return between * (lines - populated) / (within * (populated - 1)) if within else 1.0
