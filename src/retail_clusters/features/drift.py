"""How far lines have moved from those that trained a model: population stability index (PSI), thing by thing."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retail_clusters import schema
from retail_clusters.clustering.blocks import Labels
from retail_clusters.features.rows import WeightedRows
from retail_clusters.wording import percent

Shares = tuple[float, ...]
Vector = NDArray[np.float64]
Integers = NDArray[np.int64]
Values = Mapping[str, NDArray[Any]]

#: Under which name a registered version's metadata holds its baseline.
DRIFT_BASELINE: Final = "drift_baseline"
#: The columns of scored lines that `count` looks at.
WATCHED: Final = (schema.PREDICTION, schema.UNIT_PRICE, schema.QUANTITY, schema.INVOICE_DATE)

CLUSTERS: Final = "clusters"
WEEKDAY: Final = "weekday"
_PRICE, _QUANTITY = "price", "quantity"
_THURSDAY: Final = 3

#: Numbers are sorted into so many parts of as many lines, as far as lines do not share values.
_PARTS: Final = 20
#: A share counts as no less, so that a bin which is empty on one side gives a finite index.
_FLOOR: Final = 1e-4
#: The window: the latest lines of so many days, and so many lines. With more days, a rise of all prices by
#: 30 % is not always told within three; with fewer, real days give false alarms (decision 0021).
DAYS: Final = 4
_LINES: Final = 1_000
#: A day with less than this share of a usual day's lines is no day of its own, such as a wrong date.
_HARDLY_ANY: Final = 0.1
#: Whether days come in order is told from so many of the latest batches: fewer may be so by chance.
TO_JUDGE: Final = 7
#: Days in another order are added up until they lie as close together as training days, but for a tenth.
_CLOSE: Final = 0.9


@dataclass(frozen=True)
class Bins:
    """The training lines by one thing, in shares: parts of a number's range, or the values of a category.

    Bins of a number are twentieths of the training lines, and a value that a twentieth of them share has a
    bin of its own: prices stand on a list, and a list that rises leaves every such bin, however little it
    rises. The last bin of a category is for values that no training line has.

    Attributes:
        edges: of a number, the inner edges; a value on an edge is below it.
        names: of a category, its values.
        usual: the largest PSI of windows of training days; None where that is not known: nothing is warned of.
    """

    shares: Shares
    edges: Shares = ()
    names: tuple[str, ...] = ()
    usual: float | None = 0.0

    @property
    def size(self) -> int:
        """Return how many bins there are."""
        return len(self.names or self.edges) + 1

    def place(self, values: NDArray[Any]) -> Integers:
        """Return the bin of each value: a number, or the index of a category's name."""
        if self.names:
            return np.minimum(values.astype(np.int64), len(self.names))
        return np.searchsorted(np.array(self.edges), values, side="left").astype(np.int64)

    def name(self, at: int, *, of: str) -> str:
        """Name a bin for a person."""
        if self.names:
            return self.names[at] if at < len(self.names) else f"{of} that no training line has"
        over = f" above {self.edges[at - 1]:g}" if at else ""
        up_to = f" up to {self.edges[at]:g}" if at < len(self.edges) else ""
        return f"{of}{over}{up_to}"


@dataclass(frozen=True)
class Baseline:
    """The training lines in shares, thing by thing: what later lines are compared with.

    `density` is the share of the days between the first and the last training day that have lines.
    """

    bins: Mapping[str, Bins]
    density: float = 0.0

    def to_json(self) -> str:
        """Write the record as one JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Baseline":
        """Read the record that `to_json` wrote, or that an earlier release did."""
        found = json.loads(text)
        if "bins" not in found:
            return _of_earlier_release(found)
        parts = ("shares", "edges", "names")
        bins = {
            name: Bins(**(each | {part: tuple(each[part]) for part in parts}))
            for name, each in found["bins"].items()
        }
        return cls(bins, found["density"])

    def renumbered(self, numbers: Mapping[int, int]) -> "Baseline":
        """Return the clusters new numbers: old to new."""
        earlier = self.bins[CLUSTERS]
        shares = [0.0] * (max(numbers.values()) + 2)
        for old, new in numbers.items():
            shares[new] = earlier.shares[old]
        clusters = replace(earlier, shares=tuple(shares), names=_clusters(len(shares) - 1))
        return replace(self, bins={**self.bins, CLUSTERS: clusters})


@dataclass(frozen=True, eq=False)
class Counts:
    """Lines in each bin of a baseline, and the lines of each day since 1970."""

    bins: Mapping[str, Integers]
    days: Mapping[int, int]

    @property
    def lines(self) -> int:
        """Count the lines."""
        return sum(self.days.values())

    @property
    def usual_days(self) -> list[int]:
        """List the days, but those that hardly any line has, in order."""
        sizes = sorted(self.days.values(), reverse=True)
        half = self.lines / 2
        usual = next((size for size, sum_ in zip(sizes, accumulate(sizes), strict=True) if sum_ >= half), 0)
        return sorted(day for day, lines in self.days.items() if lines >= usual * _HARDLY_ANY)

    @property
    def density(self) -> float:
        """Return the share of the days between the first and the last that have lines."""
        days = self.usual_days
        return len(days) / (days[-1] - days[0] + 1) if days else 0.0

    def unseen(self, thing: str, *, baseline: Baseline) -> int:
        """Count the lines in bins that no training line is in."""
        return int(self.bins[thing][np.asarray(baseline.bins[thing].shares) == 0].sum())

    def __add__(self, other: "Counts") -> "Counts":
        days = dict(self.days)
        for day, lines in other.days.items():
            days[day] = days.get(day, 0) + lines
        return Counts({name: lines + other.bins[name] for name, lines in self.bins.items()}, days)

    def to_json(self) -> dict[str, Any]:
        """Return what a batch's record holds."""
        return {"bins": {name: lines.tolist() for name, lines in self.bins.items()}, "days": dict(self.days)}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Counts | None":
        """Read what a batch's record holds; None of one that an earlier release wrote."""
        if "bins" not in found:
            return None
        bins = {name: np.array(lines, np.int64) for name, lines in found["bins"].items()}
        return cls(bins, {int(day): lines for day, lines in found["days"].items()})


@dataclass(frozen=True, eq=False)
class Drift:
    """The PSI of each thing over the latest lines; none, and why, where it cannot be measured."""

    indices: Mapping[str, float] = field(default_factory=dict)
    counts: Counts | None = None
    unmeasured: str | None = None

    def scaled(self, baseline: Baseline, *, above: float) -> dict[str, float]:
        """Return each PSI on one scale, on which a warning comes beyond `above`.

        Where training days reach more than that themselves, it is divided by as much. What has no bound is
        left out.
        """
        usual = {name: baseline.bins[name].usual for name in self.indices}
        bounds = {name: max(above, bound) for name, bound in usual.items() if bound is not None}
        return {name: self.indices[name] * above / bound for name, bound in bounds.items()}

    def warning(self, baseline: Baseline, *, above: float) -> str | None:
        """Name what has moved furthest beyond `above`, and beyond what the training days reach themselves."""
        scaled = self.scaled(baseline, above=above)
        name = max(scaled, key=scaled.__getitem__, default="")
        if self.counts is None or not name or scaled[name] <= above:
            return None
        bins = baseline.bins[name]
        bound = max(above, bins.usual or 0)
        own = ", which training days reach themselves" if bound > above else ""
        return (
            f"PSI of {name} is {self.indices[name]:.2f} over the latest {len(self.counts.usual_days)} days, above "
            f"{bound:.2f}{own}; most of it: {_moved_most(self.counts, name, bins)}"
        )


def measure_baseline(rows: WeightedRows, labels: Labels, *, clusters: int) -> Baseline:
    """Measure n weighted rows with n labels below `clusters`."""
    found = {}
    for name, values in _of_rows(rows, labels).items():
        names = {CLUSTERS: _clusters(clusters), WEEKDAY: schema.WEEKDAYS}.get(name, ())
        bins = Bins((), names=names) if names else Bins((), _edges(values, rows.weights))
        lines = np.bincount(bins.place(values), rows.weights, bins.size)
        found[name] = replace(bins, shares=tuple((lines / lines.sum()).tolist()))
    return Baseline(found)


def calibrated(baseline: Baseline, *, rows: WeightedRows, labels: Labels) -> Baseline:
    """Add what a stream of the training days would measure itself; `labels`: each row's cluster."""
    return bounded(baseline, by=count_days(rows, labels, against=baseline))


def bounded(baseline: Baseline, *, by: Sequence[Counts]) -> Baseline:
    """Add what a stream of days, oldest first, reaches itself: it bounds a warning."""
    measured = [measure(by[end::-1], against=baseline).indices for end in range(len(by))]
    bins = {
        name: replace(each, usual=max((found[name] for found in measured if found), default=0.0))
        for name, each in baseline.bins.items()
    }
    return Baseline(bins, density=sum(by[1:], by[0]).density if by else 0.0)


def count_days(rows: WeightedRows, labels: Labels, *, against: Baseline) -> list[Counts]:
    """Count the training lines of each day, in order."""
    places = {name: against.bins[name].place(values) for name, values in _of_rows(rows, labels).items()}
    parts = list(rows.days())
    first = min(int(part.days.min()) for part in parts)
    span = max(int(part.days.max()) for part in parts) - first + 1
    counted = {name: np.zeros((span, bins.size), np.int64) for name, bins in against.bins.items()}
    for part in parts:
        for name, bins in against.bins.items():
            cells = (part.days - first) * bins.size + places[name][part.rows]
            lines = np.bincount(cells, part.lines, span * bins.size)
            counted[name] += lines.reshape(span, bins.size).astype(np.int64)
    of_day = counted[WEEKDAY].sum(axis=1)
    return [
        Counts({name: table[at] for name, table in counted.items()}, {first + at: int(of_day[at])})
        for at in np.flatnonzero(of_day).tolist()
    ]


def count(scored: pa.Table, *, against: Baseline) -> Counts:
    """Sort scored lines into the bins of a baseline; a missing number counts as 0, as a model takes it."""
    moments = scored[schema.INVOICE_DATE].cast(pa.timestamp("us")).cast(pa.int64())
    of_lines = np.asarray(moments, dtype=np.int64) // 86_400_000_000
    values = {
        CLUSTERS: np.asarray(scored[schema.PREDICTION], dtype=np.int64),
        _PRICE: np.asarray(scored[schema.UNIT_PRICE].fill_null(0), dtype=np.float64),
        _QUANTITY: np.asarray(scored[schema.QUANTITY].fill_null(0), dtype=np.float64),
        WEEKDAY: (of_lines + _THURSDAY) % 7,
    }
    days, lines = np.unique(of_lines, return_counts=True)
    bins = {
        name: np.bincount(each.place(values[name]), minlength=each.size).astype(np.int64)
        for name, each in against.bins.items()
    }
    return Counts(bins, dict(zip(days.tolist(), lines.tolist(), strict=True)))


def empty_counts(against: Baseline) -> Counts:
    """Return counts of nothing, in the bins of a baseline."""
    return Counts({name: np.zeros(bins.size, np.int64) for name, bins in against.bins.items()}, {})


def measure(newest_first: Sequence[Counts], *, against: Baseline) -> Drift:
    """Compare the latest lines with the training lines.

    The window is the latest days. Days that did not come in order are no latest days, as files of a copied
    folder come in any order: those are added up until they lie close together.
    """
    arrived = [counts for counts in newest_first if counts.days]
    needed = 0.0 if _in_order(arrived[:TO_JUDGE], against=against) else _CLOSE * against.density
    window = empty_counts(against)
    for counts in arrived:
        window += counts
        if len(window.usual_days) >= DAYS and window.lines >= _LINES and window.density >= needed:
            return Drift(
                {name: psi(bins.shares, window.bins[name]) for name, bins in against.bins.items()}, window
            )
    return Drift(unmeasured=_why_not(window))


def psi(expected: Iterable[float], found: Iterable[float]) -> float:
    """Return the population stability index: the sum of (f - e) ln(f / e) over the bins' shares."""
    return float(np.sum(_psi_terms(expected, found)))


def _psi_terms(expected: Iterable[float], found: Iterable[float]) -> Vector:
    e, f = (np.asarray(list(each), dtype=np.float64) for each in (expected, found))
    e, f = (np.maximum(each / (math.fsum(each) or 1), _FLOOR) for each in (e, f))
    return np.asarray((f - e) * np.log(f / e))


def _in_order(newest_first: Sequence[Counts], *, against: Baseline) -> bool:
    """Tell whether the days of each batch follow those before, and those of one batch lie close together."""
    days = [counts.usual_days for counts in newest_first]
    close = (
        len(each) == 1 or counts.density >= _CLOSE * against.density
        for each, counts in zip(days, newest_first, strict=True)
    )
    return all(close) and all(later[0] >= earlier[-1] for later, earlier in pairwise(days))


def _why_not(window: Counts) -> str:
    days = window.usual_days
    if len(days) < DAYS:
        return f"lines of {len(days)} of {DAYS} days have come"
    if window.lines < _LINES:
        return f"{window.lines:,} of {_LINES:,} lines have come"
    return f"days come in no order, and the latest {len(days)} lie over {days[-1] - days[0] + 1:,}"


def _moved_most(counts: Counts, name: str, bins: Bins) -> str:
    """Name the bin that adds most to a PSI, with its share of the training lines and now."""
    found = counts.bins[name]
    at = int(np.argmax(_psi_terms(bins.shares, found)))
    return (
        f"{bins.name(at, of=name)}, {percent(bins.shares[at])} of the training lines and "
        f"{percent(float(found[at] / counts.lines))} of these"
    )


def _of_rows(rows: WeightedRows, labels: Labels) -> Values:
    """Return what is watched of each row that trained."""
    return {CLUSTERS: labels, _PRICE: rows.prices, _QUANTITY: rows.quantities, WEEKDAY: rows.weekdays}


def _clusters(number: int) -> tuple[str, ...]:
    return tuple(f"cluster {at}" for at in range(number))


def _edges(values: Vector, weights: Vector) -> Shares:
    """Return the inner edges of the bins of weighted values, each a value that occurs."""
    cuts = np.quantile(values, np.arange(1, _PARTS) / _PARTS, weights=weights, method="inverted_cdf")
    distinct, at = np.unique(values, return_inverse=True)
    lines = np.bincount(at, weights)
    common = np.flatnonzero(lines * _PARTS >= lines.sum())
    below_common = distinct[common[common > 0] - 1]
    return tuple(float(edge) for edge in np.unique([*cuts, *below_common]))


def _of_earlier_release(found: Mapping[str, Any]) -> Baseline:
    """Read the form before `Bins`, whose clusters and weekdays were bounded over a window of weeks."""
    _, price, quantity, _ = found.get("usual") or (0.0,) * 4
    clusters, weekday = found[CLUSTERS], found[WEEKDAY]
    open_share = sum(share > 0 for share in weekday) / 7
    bins = {
        CLUSTERS: Bins((*clusters, 0.0), names=_clusters(len(clusters)), usual=None),
        _PRICE: Bins(tuple(found[_PRICE]), tuple(found["price_edges"]), usual=price),
        _QUANTITY: Bins(tuple(found[_QUANTITY]), tuple(found["quantity_edges"]), usual=quantity),
        WEEKDAY: Bins((*weekday, 0.0), names=schema.WEEKDAYS, usual=None),
    }
    return Baseline(bins, density=found.get("coverage", 0.0) * open_share)
