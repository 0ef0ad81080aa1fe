"""How far lines have moved from those that trained a model: population stability index (PSI)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np

from retail_clusters import schema
from retail_clusters.features.baseline import Baseline, Shares, psi, psi_terms
from retail_clusters.features.binned import BINNED, Counts
from retail_clusters.wording import percent

#: Over the latest days with lines: the short window, so that a change shows within as many.
_DAYS: Final = 3
#: Over so many weeks of days with lines: the long window, for clusters may follow the weekday. Fewer would
#: let a holiday look like a change of week, and the bound would then hide one.
_WEEKS: Final = 3
_SHORT: Final = ("price", "quantity")
#: Fewer lines say nothing: a window reaches further back until it holds so many.
_LINES: Final = 1_000
#: Whether days come in order is told from at least so many of the latest batches: three may be so by chance.
_TO_JUDGE: Final = 7
#: Days in any order: so many times as many, as it is chance which of them have come, and the share that must
#: be there of the days that as long a time of training would have.
_IN_ANY_ORDER: Final = 2
_FEW_MISSING: Final = 7 / 8


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
            for name, reached in zip(BINNED, baseline.usual or (0.0,) * len(BINNED), strict=True)
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


def measure(newest_first: Sequence[Counts], *, against: Baseline) -> Drift | None:
    """Compare the latest lines with the training lines; None before any window is full."""
    return _compared(_windows(newest_first, against=against), against=against)


def _compared(found: tuple[Counts | None, Counts | None], *, against: Baseline) -> Drift | None:
    short, long = found
    windows = {}
    for name in BINNED:
        counts = short if name in _SHORT else long
        if counts is not None:
            windows[name] = Window(counts, psi(_expected(against, name), getattr(counts, name)))
    return Drift(windows) if windows else None


def latest(
    newest_first: Iterable[Counts],
    *,
    days: int,
    lines: int = _LINES,
    whole: Callable[[Counts], bool] = lambda _: True,
) -> Counts | None:
    """Add up counts until they are of so many days and lines, and `whole`; None where they never are."""
    total: Counts | None = None
    for counts in newest_first:
        total = counts if total is None else total + counts
        if len(total.days) >= days and total.lines >= lines and whole(total):
            return total
    return None


def bounded(baseline: Baseline, *, by: Sequence[Counts]) -> Baseline:
    """Add what bounds a warning: what a stream of these days, oldest first, would have measured itself."""
    windows = [_windows(by[end::-1], against=baseline) for end in range(len(by))]
    found = [_compared(each, against=baseline) or Drift({}) for each in windows]
    return replace(
        baseline,
        usual=tuple(max((each.indices.get(name, 0.0) for each in found), default=0.0) for name in BINNED),
        coverage=sum(by[1:], by[0]).coverage(baseline) if by else 0.0,
    )


def _windows(newest_first: Sequence[Counts], *, against: Baseline) -> tuple[Counts | None, Counts | None]:
    """Return the short and the long window of the latest lines, each None before it is full."""
    weeks = _WEEKS * sum(share > 0 for share in against.weekday)
    some = [counts for counts in newest_first if counts.days]
    return _window(some, _DAYS, against=against), _window(some, weeks, against=against)


def _window(newest_first: Sequence[Counts], days: int, *, against: Baseline) -> Counts | None:
    """Return the latest lines of so many days.

    Days that did not come in order are no latest days: files of a copied folder come in any order. Those are
    added up until they are twice as many, and few between are missing.
    """
    if _in_order(newest_first[: max(days, _TO_JUDGE)], against=against):
        return latest(newest_first, days=days)
    return latest(
        newest_first, days=_IN_ANY_ORDER * days, whole=lambda found: _is_whole(found, against=against)
    )


def _in_order(newest_first: Sequence[Counts], *, against: Baseline) -> bool:
    """Tell whether the days of each batch follow those before, and few of a batch of several are missing."""
    return all(len(each.days) == 1 or _is_whole(each, against=against) for each in newest_first) and all(
        later.days[0] >= earlier.days[-1] for later, earlier in pairwise(newest_first)
    )


def _is_whole(found: Counts, *, against: Baseline) -> bool:
    return found.coverage(against) >= _FEW_MISSING * against.coverage


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
