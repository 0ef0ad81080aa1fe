"""The training lines in shares, kept with a model: what later lines are held against."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from retail_clusters import schema
from retail_clusters.training.blocks import Labels
from retail_clusters.training.rows import WeightedRows

Shares = tuple[float, ...]
Vector = NDArray[np.float64]

#: Under which name a registered version's metadata holds its baseline.
DRIFT_BASELINE: Final = "drift_baseline"

_DECILES: Final = np.arange(1, 10) / 10


@dataclass(frozen=True)
class Baseline:
    """Shares of the training lines: by cluster, by bin of price and of quantity, by weekday from Monday.

    Bins are the deciles of the training lines; where many lines share a value there are fewer of them.
    """

    clusters: Shares
    price_edges: Shares
    price: Shares
    quantity_edges: Shares
    quantity: Shares
    weekday: Shares

    def to_json(self) -> str:
        """Write the record as one JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Baseline":
        """Read the record that `to_json` wrote."""
        return cls(**{name: tuple(shares) for name, shares in json.loads(text).items()})

    def renumbered(self, numbers: Mapping[int, int]) -> "Baseline":
        """Return the clusters new numbers: old to new."""
        shares = [0.0] * (max(numbers.values()) + 1)
        for old, new in numbers.items():
            shares[new] = self.clusters[old]
        return Baseline(**(asdict(self) | {"clusters": tuple(shares)}))


def measure_baseline(rows: WeightedRows, labels: Labels, *, clusters: int) -> Baseline:
    """Measure n weighted rows with n labels below `clusters`."""
    weights, price, quantity = rows.weights, rows.prices, rows.quantities
    price_edges, quantity_edges = _deciles(price, weights), _deciles(quantity, weights)
    return Baseline(
        clusters=_shares(np.bincount(labels, weights, clusters)),
        price_edges=price_edges,
        price=_shares(np.bincount(bins(price, price_edges), weights, len(price_edges) + 1)),
        quantity_edges=quantity_edges,
        quantity=_shares(np.bincount(bins(quantity, quantity_edges), weights, len(quantity_edges) + 1)),
        weekday=_shares(np.bincount(rows.weekdays, weights, len(schema.WEEKDAYS))),
    )


def _deciles(values: Vector, weights: Vector) -> Shares:
    """Return the distinct inner deciles of weighted values, each a value that occurs."""
    edges = np.quantile(values, _DECILES, weights=weights, method="inverted_cdf")
    return tuple(float(edge) for edge in np.unique(edges))


def bins(values: Vector, edges: Shares) -> NDArray[np.int64]:
    """Return the number of the bin that each value falls in: up to and with the first edge is bin 0."""
    return np.searchsorted(np.array(edges), values, side="left").astype(np.int64)


def _shares(weights: NDArray[Any]) -> Shares:
    return tuple(float(share) for share in weights / weights.sum())
