"""Where Lloyd's iterations start: weighted k-means++ over distinct rows."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Rows that seeding looks at; of a larger table it sees an even sample in the canonical order.
MAX_ROWS: Final = 250_000


def weighted_kmeans_plus_plus(values: Floats, weights: Floats, *, k: int, seed: int) -> Floats:
    """Choose k of n rows as first centres, each with probability proportional to weight times squared
    distance to the centres so far, the best of 2 + ln(k) draws (greedy k-means++).

    Args:
        values: n x d distinct vectors, at least k of them.
        weights: how many lines each stands for, n positive numbers.
        k: how many centres.
        seed: of the draws, together with k: the same seed is another start for another k.

    Returns:
        k x d centres, each a row of `values`.

    Source: Arthur and Vassilvitskii, "k-means++: The Advantages of Careful Seeding", SODA 2007, with the
    greedy draws of section 5. Spark's own k-means|| ignores the weights when it picks centres.
    """
    draws = np.random.default_rng([seed, k])
    candidates = 2 + int(np.log(k))
    chosen = [_draw(weights, draws.random(1))[0]]
    nearest = _squared_distances(values, values[chosen[0]])
    for _ in range(k - 1):
        tried = _draw(nearest * weights, draws.random(candidates))
        distances = [np.minimum(nearest, _squared_distances(values, values[row])) for row in tried]
        best = int(np.argmin([float(np.sum(distance * weights)) for distance in distances]))
        chosen.append(tried[best])
        nearest = distances[best]
    return values[chosen]


def _draw(mass: Floats, uniform: Floats) -> list[int]:
    """Return the rows under which `uniform` falls when each row has its mass as width; never an empty one."""
    edges = np.cumsum(mass)
    rows = np.searchsorted(edges, uniform * edges[-1], side="right")
    last = int(np.flatnonzero(mass)[-1]) if edges[-1] > 0 else len(mass) - 1
    return [min(int(row), last) for row in rows]


def _squared_distances(values: Floats, centre: Floats) -> Floats:
    distances: Floats = np.square(values[:, 0] - centre[0])
    for column in range(1, values.shape[1]):
        distances += np.square(values[:, column] - centre[column])
    return distances
