"""Drift over the batches of a stream: the window that it is measured in, and when to warn of it."""

from collections.abc import Callable
from itertools import chain
from typing import Final

from retail_clusters.serving import drift
from retail_clusters.serving.batch import ServedModel
from retail_clusters.serving.drift import Counts, Drift
from retail_clusters.serving.records import RecordBook

#: Drift is measured over the latest batches that hold so many lines, and every day of a week.
DRIFT_LINES: Final = 20_000
#: Fewer lines say nothing about drift.
_NEEDED: Final = 1_000


class DriftWatch:
    """Measures drift batch by batch, and warns when it begins."""

    def __init__(self, book: RecordBook, *, warning: float, warn: Callable[[str], None]) -> None:
        """Watch the batches of a book."""
        self._book, self._warning, self._warn = book, warning, warn
        self._drifting = False

    def measure(self, counts: Counts | None, *, model: ServedModel) -> Drift | None:
        """Measure the latest batches that this version scored, and one that is not in the book yet."""
        if counts is None or model.baseline is None:
            return None
        recent = reversed(self._book.recent.values())
        earlier = (
            Counts.from_json(record.counts)
            for record in recent
            if record.counts and record.model_version == model.version
        )
        window = drift.latest(chain((counts,), earlier), lines=DRIFT_LINES, against=model.baseline)
        if window is None or not window.lines:
            return None
        moved = drift.measure(window, against=model.baseline)
        name = moved.furthest(model.baseline, warning=self._warning) if moved.lines >= _NEEDED else None
        if name and not self._drifting:
            self._warn(
                f"the lines drift from those that trained the model: PSI of {name} is "
                f"{moved.indices[name]:.2f}, above {self._warning:g} and above what parts of the training "
                "days reach; look at them, and train anew"
            )
        self._drifting = name is not None
        return moved
