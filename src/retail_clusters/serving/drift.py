"""How far lines have moved from those that trained a model: population stability index (PSI)."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retail_clusters import schema
from retail_clusters.training.baseline import Baseline, Vector, bins

#: The columns of scored lines that `count` looks at.
WATCHED: Final = (schema.PREDICTION, schema.UNIT_PRICE, schema.QUANTITY, schema.INVOICE_DATE)

#: A share counts as no less, so that a bin which is empty on one side gives a finite index.
_FLOOR: Final = 1e-4
_THURSDAY: Final = 3


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
        """Return the largest of them."""
        return max(self.indices.values())

    @property
    def most(self) -> str:
        """Name what has moved most."""
        return max(self.indices, key=lambda name: self.indices[name])

    @property
    def indices(self) -> dict[str, float]:
        """Return each PSI under its name."""
        values: dict[str, float] = asdict(self)
        del values["lines"]
        return values


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
    )


def empty_counts(against: Baseline) -> Counts:
    """Return counts of nothing, in the bins of a baseline."""
    sizes = (len(against.clusters) + 1, len(against.price), len(against.quantity), len(schema.WEEKDAYS))
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
    """Return the population stability index: the sum of (f - e) ln(f / e) over the bins' shares."""
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


def _counted(bins: NDArray[np.int64], size: int) -> tuple[int, ...]:
    return tuple(int(lines) for lines in np.bincount(bins, minlength=size))


def _vector(column: Any) -> Vector:
    return np.asarray(column, dtype=np.float64)
