"""How far lines have moved from those that trained a model: population stability index (PSI), thing by thing.

What is watched is the clusters and each feature of a question about lines.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from operator import add
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter
from pyspark.ml.feature import SQLTransformer
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_clusters.clustering.blocks import Floats, Labels
from retail_clusters.features import records, sql
from retail_clusters.features.rows import CELL, RECORDS, WeightedRows
from retail_clusters.question import Question
from retail_clusters.wording import percent

#: Under which name a registered version's metadata holds its baseline.
DRIFT_BASELINE: Final = "drift_baseline"
CLUSTERS: Final = "clusters"

#: Numbers are sorted into so many parts of as many lines, as far as lines do not share values.
_PARTS: Final = 20
#: Of a category so many values are told apart, the most frequent ones.
_VALUES: Final = 100
#: A share counts as no less, so that a bin which is empty on one side gives a finite index.
_FLOOR: Final = 1e-4
#: The window: the latest lines of so many days, and so many lines. With more days, a rise of all prices by
#: 30 % is not always told within three; with fewer, real days give false alarms (decision 0021).
DAYS: Final = 4
_LINES: Final = 1_000
#: Of days that come in another order, as those of a copied folder do, so many, and so many of the latest
#: batches tell whether they do: fewer may be in order by chance.
_DAYS_IN_NO_ORDER: Final = 30
_TO_JUDGE: Final = 7


@dataclass(frozen=True)
class Bins:
    """The training lines by one thing, in shares: parts of a number's range, or the values of a category.

    Bins of a number are twentieths of the training lines, and a value that a twentieth of them share has a
    bin of its own: prices stand on a list, and a list that rises leaves every such bin, however little it
    rises. The last bin of a category is for all other values.

    Attributes:
        edges: of a number, the inner edges; a value on an edge is below it.
        names: of a category, its values.
        usual: the largest PSI of windows of training days.
    """

    edges: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    usual: float = 0.0

    @property
    def size(self) -> int:
        """Return how many bins there are."""
        return len(self.names or self.edges) + 1

    def place(self, values: pa.ChunkedArray) -> pa.Array:
        """Return the bin of each value."""
        if self.names:
            found = pc.index_in(values.cast(pa.string()), value_set=pa.array(self.names))
            return found.fill_null(len(self.names))
        return pa.array(np.searchsorted(np.array(self.edges), np.asarray(values, dtype=np.float64)))

    def sql(self, value: str) -> str:
        """Return the same as SQL."""
        tests = [f"= {sql.quoted(name)}" for name in self.names] or [f"<= {edge!r}D" for edge in self.edges]
        cases = "".join(f" WHEN {value} {test} THEN {at}" for at, test in enumerate(tests))
        return f"CASE{cases} ELSE {len(tests)} END" if cases else "0"

    def name(self, at: int, *, of: str) -> str:
        """Name a bin for a person."""
        if self.names:
            kind = "cluster" if of == CLUSTERS else of
            return f"{kind} {self.names[at]}" if at < len(self.names) else f"another {kind}"
        over = f" above {self.edges[at - 1]:g}" if at else ""
        up_to = f" up to {self.edges[at]:g}" if at < len(self.edges) else ""
        return f"{of}{over}{up_to}"


@dataclass(frozen=True)
class Baseline:
    """The training lines in shares, thing by thing: what later lines are compared with."""

    bins: Mapping[str, Bins]

    def to_json(self) -> str:
        """Write the record as one JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Baseline":
        """Read the record that `to_json` wrote."""
        return TypeAdapter(cls).validate_json(text)

    def renumbered(self, numbers: Mapping[int, int]) -> "Baseline":
        """Return the clusters new numbers: old to new."""
        earlier = self.bins[CLUSTERS]
        shares = [0.0] * (max(numbers.values()) + 2)
        for old, new in numbers.items():
            shares[new] = earlier.shares[old]
        clusters = replace(earlier, shares=tuple(shares), names=_numbered(len(shares) - 1))
        return Baseline({**self.bins, CLUSTERS: clusters})


@dataclass(frozen=True)
class Counts:
    """Lines in each bin of a baseline, and the lines of each day since 1970."""

    bins: Mapping[str, tuple[int, ...]]
    days: Mapping[int, int]

    @property
    def lines(self) -> int:
        """Count the lines."""
        return sum(self.days.values())

    @property
    def usual_days(self) -> list[int]:
        """List the days, but those that hardly any line has, in order."""
        return records.usual_days(self.days)

    @property
    def wrong_days(self) -> list[int]:
        """List the days that hardly any line has, more than a month after all others."""
        last = max(self.usual_days, default=0)
        return sorted(day for day in self.days if day > last + records.MONTH)

    def __add__(self, other: "Counts") -> "Counts":
        bins = {name: tuple(map(add, lines, other.bins[name])) for name, lines in self.bins.items()}
        return Counts(bins, dict(Counter(self.days) + Counter(other.days)))

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Counts":
        """Read what a batch's record holds."""
        return TypeAdapter(cls).validate_python(found)


@dataclass(frozen=True)
class Drift:
    """The PSI of each thing over the lines of a window; none, and why, where it cannot be measured."""

    window: Counts
    indices: Mapping[str, float] = field(default_factory=dict)
    unmeasured: str | None = None

    def scaled(self, baseline: Baseline, *, above: float) -> dict[str, float]:
        """Return each PSI on one scale, on which a warning comes beyond `above`.

        Where training days reach more than that themselves, it is divided by as much.
        """
        return {
            name: psi * above / max(above, baseline.bins[name].usual) for name, psi in self.indices.items()
        }

    def warning(self, baseline: Baseline, *, above: float) -> str | None:
        """Name what has moved furthest beyond `above`, and beyond what the training days reach themselves."""
        scaled = self.scaled(baseline, above=above)
        name = max(scaled, key=scaled.__getitem__, default="")
        if not name or scaled[name] <= above:
            return None
        bins, found = baseline.bins[name], self.window.bins[name]
        at = int(np.argmax(_psi_terms(bins.shares, found)))
        own = ", which training days reach themselves" if bins.usual > above else ""
        return (
            f"PSI of {name} is {self.indices[name]:.2f} over the latest {len(self.window.usual_days)} days, above "
            f"{max(above, bins.usual):.2f}{own}; most of it: {bins.name(at, of=name)}, {percent(bins.shares[at])} "
            f"of the training lines and {percent(found[at] / self.window.lines)} of these"
        )


def measure_baseline(rows: WeightedRows, labels: Labels, *, clusters: int, question: Question) -> Baseline:
    """Measure the records that train, and, of lines, what a stream of their days would measure itself.

    `labels` are the n rows' clusters, below `clusters`.
    """
    bins = {CLUSTERS: Bins(names=_numbered(clusters))}
    bins |= {name: Bins(edges=_edges(rows.numbers(name), rows.weights)) for name in question.numbers}
    bins |= {name: Bins(names=_most_frequent(rows, name)) for name in question.categories}
    days = count_days(rows, labels, against=Baseline(bins))
    total = sum(days, empty_counts(Baseline(bins)))
    shares = {name: tuple(lines / total.lines for lines in each) for name, each in total.bins.items()}
    baseline = Baseline({name: replace(each, shares=shares[name]) for name, each in bins.items()})
    return baseline if question.unit else bounded(baseline, by=days)


def bounded(baseline: Baseline, *, by: Sequence[Counts]) -> Baseline:
    """Add what a stream of days, oldest first, reaches itself: it bounds a warning."""
    measured = [measure(by[end::-1], against=baseline).indices for end in range(len(by))]
    usual = {name: max((each.get(name, 0.0) for each in measured), default=0.0) for name in baseline.bins}
    return Baseline({name: replace(each, usual=usual[name]) for name, each in baseline.bins.items()})


def count_days(rows: WeightedRows, labels: Labels, *, against: Baseline) -> list[Counts]:
    """Count the training lines of each day, in order."""
    values = {CLUSTERS: pa.chunked_array([labels])} | {name: rows.table[name] for name in rows.features}
    places = {name: bins.place(values[name]).take(rows.of_cells) for name, bins in against.bins.items()}
    return count(pa.table({**places, CELL: rows.cells[CELL], RECORDS: rows.cells[RECORDS]}), against=against)


def place_scored(scored: DataFrame, question: Question, *, against: Baseline) -> pa.Table:
    """Count scored lines by the bins of each thing and the day; those that a version leaves out do not count."""
    line = f"{sql.LINE}.{{}}".format
    passed = {
        CLUSTERS: f"CAST({line('prediction')} AS STRING)",
        CELL: f"unix_date(CAST({line('InvoiceDate')} AS DATE))",
    }
    made = SQLTransformer(statement=sql.records(question, passed=passed)).transform(scored)
    places = [F.expr(bins.sql(name)).alias(name) for name, bins in against.bins.items()]
    kept = made.where(F.col(CLUSTERS).isNotNull()).select(*places, CELL)
    return kept.groupBy(*kept.columns).agg(F.count(F.lit(1)).alias(RECORDS)).toArrow()


def of_units(units: DataFrame, *, against: Baseline, segment: str) -> dict[str, float]:
    """Return the PSI of the segments and of each feature of units, a row each."""
    value = {CLUSTERS: f"CAST({segment} AS STRING)"}
    places = [F.expr(bins.sql(value.get(name, name))).alias(name) for name, bins in against.bins.items()]
    counted = units.select(*places).groupBy(*against.bins).count().toArrow()
    lines = np.asarray(counted["count"], dtype=np.float64)
    return {
        name: psi(bins.shares, np.bincount(np.asarray(counted[name], dtype=np.int64), lines, bins.size))
        for name, bins in against.bins.items()
    }


def count(placed: pa.Table, *, against: Baseline) -> list[Counts]:
    """Count lines day by day: columns with the bin of each thing, `_cell` (the day) and `_records`."""
    columns = {name: np.asarray(placed[name], dtype=np.int64) for name in placed.column_names}
    order = np.argsort(columns[CELL], kind="stable")
    days, starts = np.unique(columns[CELL][order], return_index=True)
    found = []
    for day, at in zip(days.tolist(), np.split(order, starts[1:]), strict=False):
        lines = columns[RECORDS][at]
        bins = {
            name: tuple(np.bincount(columns[name][at], lines, each.size).astype(int).tolist())
            for name, each in against.bins.items()
        }
        found.append(Counts(bins, {day: int(lines.sum())}))
    return found


def empty_counts(against: Baseline) -> Counts:
    """Return counts of nothing, in the bins of a baseline."""
    return Counts({name: (0,) * bins.size for name, bins in against.bins.items()}, {})


def measure(newest_first: Sequence[Counts], *, against: Baseline) -> Drift:
    """Compare the latest lines with the training lines.

    The window is the latest days. Days that came in another order are no latest days: more of them are added up.
    """
    arrived, window = [counts for counts in newest_first if counts.days], empty_counts(against)
    days = DAYS if _in_order(arrived[:_TO_JUDGE]) else _DAYS_IN_NO_ORDER
    for counts in arrived:
        window += counts
        if window.lines >= _LINES and len(window.usual_days) >= days:
            found = {name: psi(bins.shares, window.bins[name]) for name, bins in against.bins.items()}
            return Drift(window, found)
    order = "" if days == DAYS else ", as they come at once or in no order,"
    have = f"{len(window.usual_days)} and {window.lines:,} have"
    return Drift(window, unmeasured=f"{days} days{order} and {_LINES:,} lines must have come, but {have}")


def psi(expected: Iterable[float], found: Iterable[float]) -> float:
    """Return the population stability index: the sum of (f - e) ln(f / e) over the bins' shares."""
    return float(np.sum(_psi_terms(expected, found)))


def _psi_terms(expected: Iterable[float], found: Iterable[float]) -> Floats:
    e, f = (np.array(list(each), dtype=np.float64) for each in (expected, found))
    e, f = (np.maximum(each / (each.sum() or 1), _FLOOR) for each in (e, f))
    return np.asarray((f - e) * np.log(f / e))


def _in_order(newest_first: Sequence[Counts]) -> bool:
    """Tell whether the days of each batch follow those of the batch before; one batch of many days does not say."""
    days = [counts.usual_days for counts in newest_first]
    alone = len(days) == 1 and len(days[0]) >= DAYS
    return not alone and all(later[0] >= earlier[-1] for later, earlier in pairwise(days))


def _numbered(clusters: int) -> tuple[str, ...]:
    return tuple(map(str, range(clusters)))


def _most_frequent(rows: WeightedRows, name: str) -> tuple[str, ...]:
    counted = rows.table.group_by(name).aggregate([(RECORDS, "sum")])
    ordered = counted.sort_by([(f"{RECORDS}_sum", "descending"), (name, "ascending")])
    return tuple(ordered[name].to_pylist()[:_VALUES])


def _edges(values: Floats, weights: Floats) -> tuple[float, ...]:
    """Return the inner edges of the bins of weighted values, each a value that occurs."""
    cuts = np.quantile(values, np.arange(1, _PARTS) / _PARTS, weights=weights, method="inverted_cdf")
    distinct, at = np.unique(values, return_inverse=True)
    lines = np.bincount(at, weights)
    common = np.flatnonzero(lines * _PARTS >= lines.sum())
    below_common = distinct[common[common > 0] - 1]
    return tuple(float(edge) for edge in np.unique([*cuts, *below_common]))
