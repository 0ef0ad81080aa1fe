"""Seeds are luck: how far the seeds of one K differ, in silhouette and in the clusters they find."""

import itertools
import statistics
from collections.abc import Sequence

import numpy as np
import pandas as pd

from retail_clusters.clustering import kmeans
from retail_clusters.clustering.agreement import adjusted_rand_index, contingency
from retail_clusters.clustering.blocks import Block, Floats, InMemory
from retail_clusters.search.candidates import Trial


def by_k(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Group trials by their K, smallest first."""
    return [[trial for trial in trials if trial.k == k] for k in sorted({trial.k for trial in trials})]


def agreement_of(rows: InMemory[Block], centres: Sequence[Floats]) -> float:
    """Return the mean adjusted Rand index over pairs of clusterings of the same lines; NaN for one alone."""
    weights = np.concatenate([block.weights for block in rows.blocks])
    labels = [kmeans.labels(rows, each) for each in centres]
    found = [
        adjusted_rand_index(contingency(one, other, weights))
        for one, other in itertools.combinations(labels, 2)
    ]
    return statistics.fmean(found) if found else float("nan")


def table(groups: Sequence[Sequence[Trial]], agreements: Sequence[float]) -> pd.DataFrame:
    """Describe the seeds tried for each K: one row a K, in order.

    Columns: `k`, `seeds`, `usable`, `silhouette_median`, `silhouette_min`, `silhouette_max`, and
    `agreement`: the mean adjusted Rand index over pairs of seeds, on validation lines (missing for one seed).
    """
    return pd.DataFrame(
        [
            {
                "k": group[0].k,
                "seeds": len(group),
                "usable": sum(trial.usable for trial in group),
                "silhouette_median": statistics.median(trial.silhouette for trial in group),
                "silhouette_min": min(trial.silhouette for trial in group),
                "silhouette_max": max(trial.silhouette for trial in group),
                "agreement": agreement,
            }
            for group, agreement in zip(groups, agreements, strict=True)
        ]
    )
