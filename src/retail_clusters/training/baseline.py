"""The training lines in shares, kept with a model: what later lines are held against."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from retail_clusters import schema

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


def measure_baseline(rows_with_prediction: DataFrame) -> Baseline:
    """Measure weighted rows with `prediction` (UnitPrice, Quantity, day_of_week, weight): one small table."""
    table = rows_with_prediction.select(
        schema.PREDICTION, schema.UNIT_PRICE, schema.QUANTITY, schema.DAY_OF_WEEK, schema.WEIGHT
    ).toArrow()
    weights = _vector(table[schema.WEIGHT])
    price, quantity = _vector(table[schema.UNIT_PRICE]), _vector(table[schema.QUANTITY])
    price_edges, quantity_edges = _deciles(price, weights), _deciles(quantity, weights)
    days = np.array(
        [schema.WEEKDAYS.index(day) for day in table[schema.DAY_OF_WEEK].to_pylist()], dtype=np.int64
    )
    clusters = np.asarray(table[schema.PREDICTION], dtype=np.int64)
    return Baseline(
        clusters=_shares(np.bincount(clusters, weights)),
        price_edges=price_edges,
        price=_shares(np.bincount(bins(price, price_edges), weights, len(price_edges) + 1)),
        quantity_edges=quantity_edges,
        quantity=_shares(np.bincount(bins(quantity, quantity_edges), weights, len(quantity_edges) + 1)),
        weekday=_shares(np.bincount(days, weights, len(schema.WEEKDAYS))),
    )


def _deciles(values: Vector, weights: Vector) -> Shares:
    """Return the distinct inner deciles of weighted values, each a value that occurs."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    places = np.searchsorted(reached, _DECILES * reached[-1])
    return tuple(float(edge) for edge in np.unique(values[order][places]))


def bins(values: Vector, edges: Shares) -> NDArray[np.int64]:
    """Return the number of the bin that each value falls in: up to and with the first edge is bin 0."""
    return np.searchsorted(np.array(edges), values, side="left").astype(np.int64)


def _shares(weights: NDArray[Any]) -> Shares:
    return tuple(float(share) for share in weights / weights.sum())


def _vector(column: Any) -> Vector:
    return np.asarray(column, dtype=np.float64)
