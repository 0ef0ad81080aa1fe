"""How good a clustering is: its cost, its cluster sizes, and the exact silhouette."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.training.clustering import Clustering
from retail_clusters.training.features import VALUES
from retail_clusters.training.seeding import Floats

#: Rows that one step of a pass holds as a matrix of rows x clusters.
_CHUNK: Final = 16_384

_ASSIGNED: Final = (VALUES, schema.WEIGHT, schema.PREDICTION)
_IS_TRAIN: Final = "is_train"

_Chunk = tuple[Floats, Floats, NDArray[np.intp]]
_Assigned: TypeAlias = DataFrame | pa.Table


@dataclass(frozen=True)
class Quality:
    """A clustering measured on a set of invoice lines."""

    silhouette: float
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


@dataclass(frozen=True)
class EvaluationRows:
    """Cached weighted feature rows that every fit is measured on.

    `together` holds both where each is one partition: one Spark job then assigns them, not two.
    """

    validation: DataFrame
    train: DataFrame
    together: DataFrame | None


@dataclass(frozen=True)
class _Moments:
    """Per cluster: lines, sum of offsets from the centre (K x d), sum of squared distances to it."""

    lines: Floats
    offsets: Floats
    squares: Floats


def evaluation_rows(*, validation: DataFrame, train: DataFrame) -> EvaluationRows:
    """Hold the rows ready that `evaluate` measures on."""
    columns = (schema.FEATURES, VALUES, schema.WEIGHT)
    marked = [rows.select(*columns, F.lit(rows is train).alias(_IS_TRAIN)) for rows in (validation, train)]
    small = _is_small(validation) and _is_small(train)
    together = marked[0].union(marked[1]) if small else None
    return EvaluationRows(validation=validation, train=train, together=together)


def evaluate(rows: EvaluationRows, *, clustering: Clustering) -> tuple[Quality, float]:
    """Measure a clustering on validation rows, and give its cost (WSSSE) on training rows."""
    if rows.together is None:
        return measure(rows.validation, clustering=clustering), cost(rows.train, clustering=clustering)
    assigned = clustering.assign(rows.together).select(*_ASSIGNED, _IS_TRAIN).toArrow()
    validation, train = (
        assigned.filter(pc.equal(assigned[_IS_TRAIN], is_train)) for is_train in (False, True)
    )
    return _measure(validation, clustering), _cost(train, clustering)


def measure(rows: DataFrame, *, clustering: Clustering) -> Quality:
    """Measure a clustering on weighted feature rows: cost, sizes and exact silhouette, in two passes.

    The silhouette is the mean over *lines* of the squared Euclidean silhouette that Spark's
    ClusteringEvaluator gives for the expanded lines. With N_c lines in cluster c, mean m_c, and
    V_c = mean |y - m_c|^2, the mean squared distance from x to c is

        D_c(x) = |x - m_c|^2 + V_c

    so two passes are enough: one for N, m and V, one for D. With a = N/(N-1) D_own(x), as a line is no
    neighbour of itself, and b = min of D_c(x) over the other populated clusters, s(x) = (b - a) / max(a, b).
    It is 0 for a line alone in its cluster, for a = b = 0, and when only one cluster is populated. N counts
    lines, not rows, so a cluster of many identical lines scores 1. Sums run relative to the centres, which
    keeps the digits that sums relative to zero would cancel.

    Source: Rousseeuw 1987, in the form of org.apache.spark.ml.evaluation.SquaredEuclideanSilhouette.
    """
    return _measure(_assign(rows, clustering), clustering)


def cost(rows: DataFrame, *, clustering: Clustering) -> float:
    """Sum the squared distances of all lines to their centres (WSSSE), in one pass."""
    return _cost(_assign(rows, clustering), clustering)


def _measure(assigned: _Assigned, clustering: Clustering) -> Quality:
    moments = _moments(assigned, centres=clustering.centres)
    return Quality(
        silhouette=_silhouette(assigned, centres=clustering.centres, moments=moments),
        cost=float(moments.squares.sum()),
        sizes=tuple(int(lines) for lines in moments.lines),
    )


def _cost(assigned: _Assigned, clustering: Clustering) -> float:
    return float(_moments(assigned, centres=clustering.centres).squares.sum())


def _assign(rows: DataFrame, clustering: Clustering) -> _Assigned:
    """Let Spark assign the rows; those of a single partition come to the driver, once for all passes.

    Sending a partition to a Python worker for each pass costs more than the pass does. The bits are the
    same: both ways run the same sums over the same pieces.
    """
    assigned = clustering.assign(rows).select(*_ASSIGNED)
    return assigned.toArrow() if _is_small(rows) else assigned


def _is_small(rows: DataFrame) -> bool:
    """Tell whether rows in canonical layout are at most a million, and so in one partition."""
    return rows.rdd.getNumPartitions() == 1


def _moments(assigned: _Assigned, *, centres: Floats) -> _Moments:
    k, d = centres.shape

    def partial(chunks: Iterator[_Chunk]) -> Floats:
        total = np.zeros((k, d + 2))
        for values, weights, labels in chunks:
            offsets = values - centres[labels]
            total[:, 0] += np.bincount(labels, weights, k)
            total[:, 1] += np.bincount(labels, weights * _row_sums(offsets**2), k)
            for column in range(d):
                total[:, 2 + column] += np.bincount(labels, weights * offsets[:, column], k)
        return total

    total = _sum_over_partitions(assigned, partial).reshape(k, d + 2)
    return _Moments(lines=total[:, 0], squares=total[:, 1], offsets=total[:, 2:])


def _silhouette(assigned: _Assigned, *, centres: Floats, moments: _Moments) -> float:
    populated = moments.lines > 0
    if populated.sum() < 2:
        return 0.0
    lines = np.maximum(moments.lines, 1)
    shift = moments.offsets / lines[:, None]
    means = centres + shift
    spread = np.maximum(moments.squares / lines - _row_sums(shift**2), 0.0)
    spread[~populated] = np.inf
    not_itself = np.divide(lines, lines - 1, out=np.zeros_like(lines), where=lines > 1)

    def partial(chunks: Iterator[_Chunk]) -> Floats:
        total = 0.0
        for values, weights, labels in chunks:
            distances = np.tile(spread, (len(labels), 1))
            for column in range(values.shape[1]):
                distances += (values[:, column, None] - means[:, column]) ** 2
            here = np.arange(len(labels))
            own = distances[here, labels] * not_itself[labels]
            distances[here, labels] = np.inf
            other = distances.min(axis=1)
            larger = np.maximum(own, other)
            scores = np.divide(other - own, larger, out=np.zeros_like(larger), where=larger > 0)
            total += float(np.sum(weights * np.where(moments.lines[labels] > 1, scores, 0.0)))
        return np.array([total])

    return float(_sum_over_partitions(assigned, partial)[0] / moments.lines.sum())


def _sum_over_partitions(assigned: _Assigned, partial: Callable[[Iterator[_Chunk]], Floats]) -> Floats:
    """Add up what `partial` makes of each partition, in the order of the partitions."""
    if isinstance(assigned, pa.Table):
        return partial(_chunks(assigned.to_batches())).ravel()

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pydict({"partial": [partial(_chunks(batches)).ravel()]})

    parts = assigned.mapInArrow(run, "partial array<double>").toArrow()["partial"]
    total: Floats = np.sum(np.array(parts.to_pylist()), axis=0)
    return total


def _chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[_Chunk]:
    """Cut a partition into pieces whose size does not depend on Spark's Arrow settings."""
    received = list(batches)
    if not received:
        return
    for piece in pa.Table.from_batches(received).combine_chunks().to_batches(max_chunksize=_CHUNK):
        values = piece[VALUES].flatten().to_numpy(zero_copy_only=False).reshape(piece.num_rows, -1)
        weights = piece[schema.WEIGHT].to_numpy(zero_copy_only=False).astype(np.float64)
        yield values, weights, piece[schema.PREDICTION].to_numpy(zero_copy_only=False)


def _row_sums(matrix: Floats) -> Floats:
    total: Floats = matrix[:, 0].copy()
    for column in range(1, matrix.shape[1]):
        total += matrix[:, column]
    return total
