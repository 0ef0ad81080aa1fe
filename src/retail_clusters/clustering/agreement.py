"""How far two clusterings of the same lines agree."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Counts = NDArray[np.float64]


def contingency(one: NDArray[np.int64], other: NDArray[np.int64], weights: Counts) -> Counts:
    """Count the lines in each pair of clusters: from two labels a row, and the lines it stands for."""
    rows, columns = int(one.max()) + 1, int(other.max()) + 1
    cells = np.bincount(one * columns + other, weights, rows * columns)
    return cells.astype(np.float64, copy=False).reshape(rows, columns)


def adjusted_rand_index(table: Counts) -> float:
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


def _pairs(counts: Counts) -> Counts:
    pairs: Counts = counts * (counts - 1) / 2
    return pairs


def matched_share(table: Counts) -> float:
    """Return the share of lines in the same cluster, once each cluster is matched with one of the other's.

    The matching is the one to one assignment that most lines agree with (Hungarian method).
    """
    lines = table.sum()
    if lines == 0:
        return 1.0
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / lines)
