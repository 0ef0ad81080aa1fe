"""How far lines have moved from those that trained a model: population stability index (PSI)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retail_clusters import schema
from retail_clusters.training.baseline import Baseline, Shares, Vector, bins, psi, psi_terms
from retail_clusters.wording import percent

#: The columns of scored lines that `count` looks at.
WATCHED: Final = (schema.PREDICTION, schema.UNIT_PRICE, schema.QUANTITY, schema.INVOICE_DATE)

Integers = NDArray[np.int64]

_BINNED: Final = ("clusters", "price", "quantity", "weekday")
_THURSDAY: Final = 3
#: Over the latest days with lines: the short window, so that a change shows within as many.
_DAYS: Final = 3
#: Over so many weeks of days with lines: the long window, for clusters may follow the weekday. Fewer would
#: let a holiday look like a change of week, and the bound would then hide one.
_WEEKS: Final = 3
_SHORT: Final = ("price", "quantity")
#: Fewer lines say nothing: a window reaches further back until it holds so many.
_LINES: Final = 1_000


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

    @property
    def density(self) -> float:
        """Return how close together the days lie: days with lines per day of the calendar, at most 1."""
        return len(self.days) / (self.days[-1] - self.days[0] + 1)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Counts":
        """Read what a batch's record holds."""
        bins: dict[str, Any] = {name: tuple(found[name]) for name in _BINNED}
        return cls(**bins, days=tuple(found["days"]))


@dataclass(frozen=True)
class Window:
    """The latest lines that a thing is measured over, and its PSI there."""

    counts: Counts
    psi: float


@dataclass(frozen=True)
class Drift:
    """What has been measured of each thing that is watched; it is missing until its window is full."""

    windows: Mapping[str, Window]

    @property
    def indices(self) -> dict[str, float]:
        """Return each PSI under its name."""
        return {name: window.psi for name, window in self.windows.items()}

    @property
    def psi(self) -> float:
        """Return the largest of them."""
        return max(self.indices.values())

    def warning(self, baseline: Baseline, *, above: float) -> str | None:
        """Name what has moved furthest beyond `above`, and beyond what the training days reach themselves."""
        bounds = {
            name: max(above, reached)
            for name, reached in zip(_BINNED, baseline.usual or (0.0,) * len(_BINNED), strict=True)
        }
        name = max(self.indices, key=lambda each: self.indices[each] - bounds[each])
        window, bound = self.windows[name], bounds[name]
        if window.psi <= bound:
            return None
        own = ", which training days reach themselves" if bound > above else ""
        return (
            f"PSI of {name} is {window.psi:.2f} over the latest {len(window.counts.days)} days, above "
            f"{bound:.2f}{own}; most of it: {_moved_most(window.counts, name, baseline)}"
        )


def count(scored: pa.Table, *, against: Baseline) -> Counts:
    """Sort scored lines into the bins of a baseline."""
    days = days_of(scored)
    found = bins_of(
        clusters=np.asarray(scored[schema.PREDICTION], dtype=np.int64),
        prices=_vector(scored[schema.UNIT_PRICE]),
        quantities=_vector(scored[schema.QUANTITY]),
        weekdays=(days + _THURSDAY) % 7,
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


def measure(newest_first: Sequence[Counts], *, against: Baseline) -> Drift | None:
    """Compare the latest lines with the training lines; None before any window is full."""
    return _compared(_windows(newest_first, against=against), against=against)


def _compared(found: tuple[Counts | None, Counts | None], *, against: Baseline) -> Drift | None:
    short, long = found
    windows = {}
    for name in _BINNED:
        counts = short if name in _SHORT else long
        if counts is not None:
            windows[name] = Window(counts, psi(_expected(against, name), getattr(counts, name)))
    return Drift(windows) if windows else None


def latest(
    newest_first: Iterable[Counts], *, days: int, lines: int = _LINES, density: float = 0.0
) -> Counts | None:
    """Add up counts until they are of so many days and lines; None where there are not as many.

    Counts that did not come a day at a time, in order, are no latest days: files of a copied folder come in
    any order. Those are added up until their days lie as close together as `density`.
    """
    total: Counts | None = None
    in_order = True
    for counts in newest_first:
        in_order = in_order and len(counts.days) == 1 and (total is None or counts.days[0] <= total.days[0])
        total = counts if total is None else total + counts
        full = len(total.days) >= days and total.lines >= lines
        if full and (in_order or total.density >= density):
            return total
    return None


def bounded(baseline: Baseline, *, by: Sequence[Counts]) -> Baseline:
    """Add what bounds a warning: what a stream of these days, oldest first, would have measured itself."""
    windows = [_windows(by[end::-1], against=baseline) for end in range(len(by))]
    found = [_compared(each, against=baseline) or Drift({}) for each in windows]
    return replace(
        baseline,
        usual=tuple(max((each.indices.get(name, 0.0) for each in found), default=0.0) for name in _BINNED),
        density=tuple(
            min((window.density for window in of_a_length if window), default=0.0)
            for of_a_length in (zip(*windows, strict=True) if windows else ((), ()))
        ),
    )


def _windows(newest_first: Sequence[Counts], *, against: Baseline) -> tuple[Counts | None, Counts | None]:
    """Return the short and the long window of the latest lines, each None before it is full."""
    weeks = _WEEKS * sum(share > 0 for share in against.weekday)
    short, long = against.density or (0.0, 0.0)
    return (
        latest(newest_first, days=_DAYS, density=short),
        latest(newest_first, days=weeks, density=long),
    )


def _expected(baseline: Baseline, name: str) -> Shares:
    shares: Shares = getattr(baseline, name)
    return (*shares, 0.0) if name == "clusters" else shares


def _moved_most(counts: Counts, name: str, baseline: Baseline) -> str:
    """Name the bin that adds most to a PSI, with its share of the training lines and now."""
    expected, found = _expected(baseline, name), getattr(counts, name)
    at = int(np.argmax(psi_terms(expected, found)))
    return (
        f"{_bin_name(baseline, name, at)}, {percent(expected[at])} of the training lines and "
        f"{percent(found[at] / counts.lines)} of these"
    )


def _bin_name(baseline: Baseline, name: str, at: int) -> str:
    if name == "weekday":
        return schema.WEEKDAYS[at]
    if name == "clusters":
        return f"cluster {at}" if at < len(baseline.clusters) else "clusters without a training line"
    edges = getattr(baseline, f"{name}_edges")
    over = f" above {edges[at - 1]:g}" if at else ""
    up_to = f" up to {edges[at]:g}" if at < len(edges) else ""
    return f"{name}{over}{up_to}"


def _add(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _vector(column: Any) -> Vector:
    """Return numbers as a model sees them: missing ones are 0."""
    return np.asarray(column.fill_null(0), dtype=np.float64)
