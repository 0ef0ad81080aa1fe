"""Lines in the bins of a baseline: counted by cluster, price, quantity and weekday."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retail_clusters import schema
from retail_clusters.features.baseline import Baseline, Vector, bins

#: The columns of scored lines that `count` looks at.
WATCHED: Final = (schema.PREDICTION, schema.UNIT_PRICE, schema.QUANTITY, schema.INVOICE_DATE)

Integers = NDArray[np.int64]

#: What is watched, in this order.
BINNED: Final = ("clusters", "price", "quantity", "weekday")
_THURSDAY: Final = 3


@dataclass(frozen=True)
class Counts:
    """Lines in each bin of a baseline; the last of `clusters` counts numbers that it does not know.

    `days` are the distinct days of the lines, counted from 1970.
    """

    clusters: tuple[int, ...]
    price: tuple[int, ...]
    quantity: tuple[int, ...]
    weekday: tuple[int, ...]
    days: tuple[int, ...] = ()

    @property
    def lines(self) -> int:
        """Count the lines."""
        return sum(self.weekday)

    def on_unseen_days(self, baseline: Baseline) -> int:
        """Count the lines of weekdays that no training line has."""
        return sum(lines for lines, share in zip(self.weekday, baseline.weekday, strict=True) if share == 0)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            clusters=_add(self.clusters, other.clusters),
            price=_add(self.price, other.price),
            quantity=_add(self.quantity, other.quantity),
            weekday=_add(self.weekday, other.weekday),
            days=tuple(sorted({*self.days, *other.days})),
        )

    def coverage(self, baseline: Baseline) -> float:
        """Return the share of days that came, of those between the first and the last on which lines come."""
        is_open = np.asarray(baseline.weekday) > 0
        between = np.arange(self.days[0], self.days[-1] + 1)
        expected, found = (np.sum(is_open[weekdays(days)]) for days in (between, np.asarray(self.days)))
        return float(found / expected) if expected else 1.0

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Counts":
        """Read what a batch's record holds."""
        bins: dict[str, Any] = {name: tuple(found[name]) for name in BINNED}
        return cls(**bins, days=tuple(found["days"]))


def count(scored: pa.Table, *, against: Baseline) -> Counts:
    """Sort scored lines into the bins of a baseline."""
    days = days_of(scored)
    found = bins_of(
        clusters=np.asarray(scored[schema.PREDICTION], dtype=np.int64),
        prices=_vector(scored[schema.UNIT_PRICE]),
        quantities=_vector(scored[schema.QUANTITY]),
        weekdays=weekdays(days),
        of=against,
    )
    counted = {name: tuple(np.bincount(at, minlength=size).tolist()) for name, (at, size) in found.items()}
    return Counts(**counted, days=tuple(np.unique(days).tolist()))


def bins_of(
    *, clusters: Integers, prices: Vector, quantities: Vector, weekdays: Integers, of: Baseline
) -> dict[str, tuple[Integers, int]]:
    """Return the bin of each of n lines or rows for each thing that is watched, and how many bins it has."""
    known = len(of.clusters)
    return {
        "clusters": (np.minimum(clusters, known), known + 1),
        "price": (bins(prices, of.price_edges), len(of.price)),
        "quantity": (bins(quantities, of.quantity_edges), len(of.quantity)),
        "weekday": (weekdays, len(schema.WEEKDAYS)),
    }


def weekdays(days: Integers) -> Integers:
    """Return the weekday, from Monday, of days counted from 1970."""
    return (days + _THURSDAY) % 7


def days_of(scored: pa.Table) -> Integers:
    """Return the day of each scored line, counted from 1970."""
    moments = scored[schema.INVOICE_DATE].cast(pa.timestamp("us")).cast(pa.int64())
    return np.asarray(moments, dtype=np.int64) // 86_400_000_000


def empty_counts(against: Baseline) -> Counts:
    """Return counts of nothing, in the bins of a baseline."""
    return Counts(
        clusters=(0,) * (len(against.clusters) + 1),
        price=(0,) * len(against.price),
        quantity=(0,) * len(against.quantity),
        weekday=(0,) * len(schema.WEEKDAYS),
    )


def _add(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _vector(column: Any) -> Vector:
    """Return numbers as a model sees them: missing ones are 0."""
    return np.asarray(column.fill_null(0), dtype=np.float64)
