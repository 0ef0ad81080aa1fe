"""Drift over the batches of a stream: when to warn of it."""

from collections.abc import Callable

from retail_clusters.features import drift
from retail_clusters.features.binned import Counts
from retail_clusters.features.drift import Drift
from retail_clusters.serving.batch import ServedModel
from retail_clusters.serving.records import CommitLog


class DriftWatch:
    """Measures drift batch by batch, and warns when it begins."""

    def __init__(self, book: CommitLog, *, warning: float, warn: Callable[[str], None]) -> None:
        """Watch the batches of a book."""
        self._book, self._warning, self._warn = book, warning, warn
        self._drifting = False

    def measure(self, counts: Counts | None, *, model: ServedModel) -> Drift | None:
        """Measure the latest lines that this version scored, those of a batch not in the book yet first."""
        if counts is None or model.baseline is None:
            return None
        earlier = self._book.scored_days.newest_first(model.version)
        moved = drift.measure([counts, *earlier], against=model.baseline)
        why = moved.warning(model.baseline, above=self._warning) if moved else None
        if why and not self._drifting:
            self._warn(
                f"the lines drift from those that trained the model: {why}; look at them, and train anew"
            )
        self._drifting = why is not None
        return moved
