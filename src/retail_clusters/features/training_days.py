"""The training lines day by day, in the bins of a model's baseline: what bounds its drift."""

import numpy as np

from retail_clusters.clustering.blocks import Labels
from retail_clusters.features import binned, drift
from retail_clusters.features.baseline import Baseline
from retail_clusters.features.binned import Counts
from retail_clusters.features.rows import WeightedRows


def calibrated(baseline: Baseline, *, rows: WeightedRows, labels: Labels) -> Baseline:
    """Add what a stream of the training days would measure itself; `labels`: each row's cluster."""
    return drift.bounded(baseline, by=count_days(rows, labels, against=baseline))


def count_days(rows: WeightedRows, labels: Labels, *, against: Baseline) -> list[Counts]:
    """Count the lines of each day, in order."""
    bins = binned.bins_of(
        clusters=labels, prices=rows.prices, quantities=rows.quantities, weekdays=rows.weekdays, of=against
    )
    first = min(int(found.days.min()) for found in rows.days())
    last = max(int(found.days.max()) for found in rows.days())
    span = last - first + 1
    counted = {name: np.zeros((span, size), np.int64) for name, (_, size) in bins.items()}
    for found in rows.days():
        for name, (numbers, size) in bins.items():
            cells = (found.days - first) * size + numbers[found.rows]
            lines = np.bincount(cells, found.lines, span * size)
            counted[name] += lines.reshape(span, size).astype(np.int64)
    return [
        Counts(**{name: tuple(table[at].tolist()) for name, table in counted.items()}, days=(first + at,))
        for at in np.flatnonzero(counted["weekday"].sum(axis=1)).tolist()
    ]
