"""How far lines have moved from those that trained a model: population stability index (PSI)."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from retail_clusters import schema

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
#: The columns of scored lines that `count` looks at.
WATCHED: Final = (schema.PREDICTION, schema.UNIT_PRICE, schema.QUANTITY, schema.INVOICE_DATE)

_DECILES: Final = np.arange(1, 10) / 10
#: A share counts as no less, so that a bin which is empty on one side gives a finite index.
_FLOOR: Final = 1e-4
_THURSDAY: Final = 3

Shares = tuple[float, ...]
Vector = NDArray[np.float64]


#: Under which name a registered version's metadata holds its baseline.
DRIFT_BASELINE: Final = "drift_baseline"


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
        """Give the clusters new numbers: old to new."""
        shares = [0.0] * (max(numbers.values()) + 1)
        for old, new in numbers.items():
            shares[new] = self.clusters[old]
        return Baseline(**(asdict(self) | {"clusters": tuple(shares)}))


@dataclass(frozen=True)
class Counts:
    """Lines in each bin of a baseline; the last of `clusters` counts numbers that it does not know."""

    clusters: tuple[int, ...]
    price: tuple[int, ...]
    quantity: tuple[int, ...]
    weekday: tuple[int, ...]

    @property
    def lines(self) -> int:
        """Count the lines."""
        return sum(self.weekday)

    def on_unseen_days(self, baseline: Baseline) -> int:
        """Count the lines of weekdays that no training line has."""
        return sum(lines for lines, share in zip(self.weekday, baseline.weekday, strict=True) if share == 0)

    def __add__(self, other: "Counts") -> "Counts":
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Counts(*(tuple(a + b for a, b in zip(*pair, strict=True)) for pair in pairs))


@dataclass(frozen=True)
class Drift:
    """The PSI of each thing that is watched, over so many lines."""

    lines: int
    clusters: float
    price: float
    quantity: float
    weekday: float

    @property
    def psi(self) -> float:
        """Give the largest of them."""
        return max(self.indices.values())

    @property
    def most(self) -> str:
        """Name what has moved most."""
        return max(self.indices, key=lambda name: self.indices[name])

    @property
    def indices(self) -> dict[str, float]:
        """Give each PSI under its name."""
        values: dict[str, float] = asdict(self)
        del values["lines"]
        return values


def baseline(rows_with_prediction: DataFrame) -> Baseline:
    """Measure weighted rows with `prediction` (UnitPrice, Quantity, day_of_week, weight): one small table."""
    table = rows_with_prediction.select(
        schema.PREDICTION, schema.UNIT_PRICE, schema.QUANTITY, schema.DAY_OF_WEEK, schema.WEIGHT
    ).toArrow()
    weights = _vector(table[schema.WEIGHT])
    price, quantity = _vector(table[schema.UNIT_PRICE]), _vector(table[schema.QUANTITY])
    price_edges, quantity_edges = _deciles(price, weights), _deciles(quantity, weights)
    days = np.array([WEEKDAYS.index(day) for day in table[schema.DAY_OF_WEEK].to_pylist()], dtype=np.int64)
    clusters = np.asarray(table[schema.PREDICTION], dtype=np.int64)
    return Baseline(
        clusters=_shares(np.bincount(clusters, weights)),
        price_edges=price_edges,
        price=_shares(np.bincount(_bins(price, price_edges), weights, len(price_edges) + 1)),
        quantity_edges=quantity_edges,
        quantity=_shares(np.bincount(_bins(quantity, quantity_edges), weights, len(quantity_edges) + 1)),
        weekday=_shares(np.bincount(days, weights, len(WEEKDAYS))),
    )


def count(scored: pa.Table, *, against: Baseline) -> Counts:
    """Sort scored lines into the bins of a baseline."""
    known = len(against.clusters)
    clusters = np.asarray(scored[schema.PREDICTION], dtype=np.int64)
    days = np.asarray(scored[schema.INVOICE_DATE].cast(pa.timestamp("us")).cast(pa.int64())) // 86_400_000_000
    price = _bins(_vector(scored[schema.UNIT_PRICE]), against.price_edges)
    quantity = _bins(_vector(scored[schema.QUANTITY]), against.quantity_edges)
    return Counts(
        clusters=_counted(np.minimum(clusters, known), known + 1),
        price=_counted(price, len(against.price)),
        quantity=_counted(quantity, len(against.quantity)),
        weekday=_counted((days + _THURSDAY) % 7, len(WEEKDAYS)),
    )


def no_lines(against: Baseline) -> Counts:
    """Give counts of nothing, in the bins of a baseline."""
    sizes = (len(against.clusters) + 1, len(against.price), len(against.quantity), len(WEEKDAYS))
    return Counts(*((0,) * size for size in sizes))


def measure(counts: Counts, *, against: Baseline) -> Drift:
    """Compare counted lines with the training lines."""
    return Drift(
        lines=counts.lines,
        clusters=psi((*against.clusters, 0.0), counts.clusters),
        price=psi(against.price, counts.price),
        quantity=psi(against.quantity, counts.quantity),
        weekday=psi(against.weekday, counts.weekday),
    )


def psi(expected: Sequence[float], found: Sequence[float]) -> float:
    """Give the population stability index: the sum of (f - e) ln(f / e) over the bins' shares."""
    e = np.maximum(np.asarray(expected) / (math.fsum(expected) or 1), _FLOOR)
    f = np.maximum(np.asarray(found) / (math.fsum(found) or 1), _FLOOR)
    return float(np.sum((f - e) * np.log(f / e)))


def latest(batches: Iterable[Counts], *, lines: int) -> Counts | None:
    """Add up counts, the newest first, until they stand for enough lines."""
    total: Counts | None = None
    for counts in batches:
        total = counts if total is None else total + counts
        if total.lines >= lines:
            break
    return total


def _deciles(values: Vector, weights: Vector) -> Shares:
    """Give the distinct inner deciles of weighted values, each a value that occurs."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    places = np.searchsorted(reached, _DECILES * reached[-1])
    return tuple(float(edge) for edge in np.unique(values[order][places]))


def _bins(values: Vector, edges: Shares) -> NDArray[np.int64]:
    return np.searchsorted(np.array(edges), values, side="left").astype(np.int64)


def _shares(weights: NDArray[Any]) -> Shares:
    return tuple(float(share) for share in weights / weights.sum())


def _counted(bins: NDArray[np.int64], size: int) -> tuple[int, ...]:
    return tuple(int(lines) for lines in np.bincount(bins, minlength=size))


def _vector(column: Any) -> Vector:
    return np.asarray(column, dtype=np.float64)
