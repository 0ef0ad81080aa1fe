"""The training lines day by day, in the bins of a model's baseline: what bounds its drift."""

from dataclasses import replace

import numpy as np

from retail_clusters.training import drift
from retail_clusters.training.baseline import Baseline
from retail_clusters.training.blocks import Labels
from retail_clusters.training.drift import Counts
from retail_clusters.training.rows import WeightedRows


def calibrated(baseline: Baseline, *, rows: WeightedRows, labels: Labels) -> Baseline:
    """Add how far a stream of the training days would be from all of them; `labels`: each row's cluster."""
    days = count_days(rows, labels, against=baseline)
    return replace(baseline, usual=drift.usual(days, against=baseline))


def count_days(rows: WeightedRows, labels: Labels, *, against: Baseline) -> list[Counts]:
    """Count the lines of each day, in order."""
    found = rows.days
    days, at = np.unique(found.days, return_inverse=True)
    bins = drift.bins_of(
        clusters=labels, prices=rows.prices, quantities=rows.quantities, weekdays=rows.weekdays, of=against
    )
    counted = {
        name: np.bincount(at * size + numbers[found.rows], found.lines, len(days) * size)
        .astype(np.int64)
        .reshape(len(days), size)
        .tolist()
        for name, (numbers, size) in bins.items()
    }
    return [
        Counts(**{name: tuple(table[row]) for name, table in counted.items()}, days=(int(day),))
        for row, day in enumerate(days)
    ]
