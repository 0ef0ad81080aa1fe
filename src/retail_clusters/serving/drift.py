"""How far lines have moved from those that trained a model: population stability index (PSI)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retail_clusters import schema
from retail_clusters.training.baseline import Baseline, Vector, bins, psi

#: The columns of scored lines that `count` looks at.
WATCHED: Final = (schema.PREDICTION, schema.UNIT_PRICE, schema.QUANTITY, schema.INVOICE_DATE)

_BINNED: Final = ("clusters", "price", "quantity", "weekday")
_THURSDAY: Final = 3
#: Of so many days, a weekday that did not come is news.
_MANY_DAYS: Final = 21


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

    def has_whole_week(self, baseline: Baseline) -> bool:
        """Tell whether each weekday of the training lines has come, or has had its chance."""
        trained = [lines for lines, share in zip(self.weekday, baseline.weekday, strict=True) if share]
        return all(trained) or len(self.days) >= _MANY_DAYS

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

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Counts":
        """Read what a batch's record holds."""
        bins: dict[str, Any] = {name: tuple(found[name]) for name in _BINNED}
        return cls(**bins, days=tuple(found["days"]))


@dataclass(frozen=True)
class Drift:
    """The PSI of each thing that is watched, over so many lines; of weekdays once a week is whole."""

    lines: int
    clusters: float
    price: float
    quantity: float
    weekday: float | None

    @property
    def psi(self) -> float:
        """Return the largest of them."""
        return max(self.indices.values())

    def furthest(self, baseline: Baseline, *, warning: float) -> str | None:
        """Name what has moved furthest beyond `warning`, and beyond what parts of the training days reach."""
        usual = dict(zip(_BINNED, baseline.usual or (0.0,) * len(_BINNED), strict=True))
        beyond = {name: value - max(warning, usual[name]) for name, value in self.indices.items()}
        name = max(beyond, key=lambda each: beyond[each])
        return name if beyond[name] > 0 else None

    @property
    def indices(self) -> dict[str, float]:
        """Return each PSI under its name."""
        return {name: value for name in _BINNED if (value := getattr(self, name)) is not None}


def count(scored: pa.Table, *, against: Baseline) -> Counts:
    """Sort scored lines into the bins of a baseline."""
    known = len(against.clusters)
    clusters = np.asarray(scored[schema.PREDICTION], dtype=np.int64)
    days = np.asarray(scored[schema.INVOICE_DATE].cast(pa.timestamp("us")).cast(pa.int64())) // 86_400_000_000
    price = bins(_vector(scored[schema.UNIT_PRICE]), against.price_edges)
    quantity = bins(_vector(scored[schema.QUANTITY]), against.quantity_edges)
    return Counts(
        clusters=_counted(np.minimum(clusters, known), known + 1),
        price=_counted(price, len(against.price)),
        quantity=_counted(quantity, len(against.quantity)),
        weekday=_counted((days + _THURSDAY) % 7, len(schema.WEEKDAYS)),
        days=tuple(int(day) for day in np.unique(days)),
    )


def empty_counts(against: Baseline) -> Counts:
    """Return counts of nothing, in the bins of a baseline."""
    return Counts(
        clusters=(0,) * (len(against.clusters) + 1),
        price=(0,) * len(against.price),
        quantity=(0,) * len(against.quantity),
        weekday=(0,) * len(schema.WEEKDAYS),
    )


def measure(counts: Counts, *, against: Baseline) -> Drift:
    """Compare counted lines with the training lines."""
    return Drift(
        lines=counts.lines,
        clusters=psi((*against.clusters, 0.0), counts.clusters),
        price=psi(against.price, counts.price),
        quantity=psi(against.quantity, counts.quantity),
        weekday=psi(against.weekday, counts.weekday) if counts.has_whole_week(against) else None,
    )


def latest(batches: Iterable[Counts], *, lines: int, against: Baseline) -> Counts | None:
    """Add up counts, the newest first, until they stand for enough lines and a whole week."""
    total: Counts | None = None
    for counts in batches:
        total = counts if total is None else total + counts
        if total.lines >= lines and total.has_whole_week(against):
            break
    return total


def _add(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _counted(bins: NDArray[np.int64], size: int) -> tuple[int, ...]:
    return tuple(int(lines) for lines in np.bincount(bins, minlength=size))


def _vector(column: Any) -> Vector:
    """Return numbers as a model sees them: missing ones are 0."""
    return np.asarray(column.fill_null(0), dtype=np.float64)
