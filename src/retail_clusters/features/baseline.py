"""The training lines in shares, kept with a model: what later lines are held against."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from retail_clusters import schema
from retail_clusters.clustering.blocks import Labels
from retail_clusters.features.rows import WeightedRows

Shares = tuple[float, ...]
Vector = NDArray[np.float64]

#: Under which name a registered version's metadata holds its baseline.
DRIFT_BASELINE: Final = "drift_baseline"

#: Numbers are sorted into so many parts of as many lines, as far as lines do not share values.
_PARTS: Final = 20
#: A share counts as no less, so that a bin which is empty on one side gives a finite index.
_FLOOR: Final = 1e-4


@dataclass(frozen=True)
class Baseline:
    """Shares of the training lines: by cluster, by bin of price and of quantity, by weekday from Monday.

    Bins are twentieths of the training lines, and a value that a twentieth of them share has a bin of its
    own: prices stand on a list, and a list that rises leaves every such bin, however little it rises.

    Attributes:
        usual: how far the training days themselves are from all of them: the largest PSI of clusters, prices,
            quantities and weekdays that a stream of them would have measured. Empty where that is not known.
        coverage: how many of the days between their first and their last have lines, of those weekdays that
            have any: a share. 0 where that is not known.
    """

    clusters: Shares
    price_edges: Shares
    price: Shares
    quantity_edges: Shares
    quantity: Shares
    weekday: Shares
    usual: Shares = ()
    coverage: float = 0.0

    def to_json(self) -> str:
        """Write the record as one JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Baseline":
        """Read the record that `to_json` wrote."""
        found = json.loads(text)
        held = {each.name: found[each.name] for each in fields(cls) if each.name in found}
        shares: dict[str, Any] = {
            name: tuple(each) if isinstance(each, list) else each for name, each in held.items()
        }
        return cls(**shares)

    def renumbered(self, numbers: Mapping[int, int]) -> "Baseline":
        """Return the clusters new numbers: old to new."""
        shares = [0.0] * (max(numbers.values()) + 1)
        for old, new in numbers.items():
            shares[new] = self.clusters[old]
        return Baseline(**(asdict(self) | {"clusters": tuple(shares)}))


def measure_baseline(rows: WeightedRows, labels: Labels, *, clusters: int) -> Baseline:
    """Measure n weighted rows with n labels below `clusters`."""
    price_edges, quantity_edges = (_edges(values, rows.weights) for values in (rows.prices, rows.quantities))
    binned = [
        (labels.astype(np.int64), clusters),
        (bins(rows.prices, price_edges), len(price_edges) + 1),
        (bins(rows.quantities, quantity_edges), len(quantity_edges) + 1),
        (rows.weekdays, len(schema.WEEKDAYS)),
    ]
    of_clusters, price, quantity, weekday = (
        _shares(np.bincount(at, rows.weights, size)) for at, size in binned
    )
    return Baseline(
        clusters=of_clusters,
        price_edges=price_edges,
        price=price,
        quantity_edges=quantity_edges,
        quantity=quantity,
        weekday=weekday,
    )


def psi(expected: Sequence[float], found: Sequence[float]) -> float:
    """Return the population stability index: the sum of (f - e) ln(f / e) over the bins' shares."""
    return float(np.sum(psi_terms(expected, found)))


def psi_terms(expected: Sequence[float], found: Sequence[float]) -> Vector:
    """Return what each bin adds to the population stability index."""
    e = np.maximum(np.asarray(expected) / (math.fsum(expected) or 1), _FLOOR)
    f = np.maximum(np.asarray(found) / (math.fsum(found) or 1), _FLOOR)
    return np.asarray((f - e) * np.log(f / e))


def _edges(values: Vector, weights: Vector) -> Shares:
    """Return the inner edges of the bins of weighted values, each a value that occurs."""
    cuts = np.quantile(values, np.arange(1, _PARTS) / _PARTS, weights=weights, method="inverted_cdf")
    distinct, at = np.unique(values, return_inverse=True)
    lines = np.bincount(at, weights)
    common = np.flatnonzero(lines * _PARTS >= lines.sum())
    below_common = distinct[common[common > 0] - 1]
    return tuple(float(edge) for edge in np.unique([*cuts, *below_common]))


def bins(values: Vector, edges: Shares) -> NDArray[np.int64]:
    """Return the number of the bin that each value falls in: up to and with the first edge is bin 0."""
    return np.searchsorted(np.array(edges), values, side="left").astype(np.int64)


def _shares(weights: NDArray[Any]) -> Shares:
    return tuple(float(share) for share in weights / weights.sum())
