"""Seeds are luck: how far the seeds of one K differ, in silhouette and in the clusters they find."""

import itertools
import statistics
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.training import lloyd
from retail_clusters.training.agreement import adjusted_rand_index, contingency
from retail_clusters.training.candidates import Trial


def stability(trials: Sequence[Trial], validation: DataFrame) -> pd.DataFrame:
    """Describe the seeds tried for each K: a table, one row a K.

    Columns: `k`, `seeds`, `usable`, `silhouette_median`, `silhouette_min`, `silhouette_max`, and
    `agreement`: the mean adjusted Rand index over pairs of seeds, on validation lines (missing for one seed).
    """
    by_k = {k: [trial for trial in trials if trial.k == k] for k in sorted({trial.k for trial in trials})}
    repeated = [trial for group in by_k.values() if len(group) > 1 for trial in group]
    labels, weights = _labels(repeated, validation)
    return pd.DataFrame([_row(k, group, labels, weights) for k, group in by_k.items()])


def _row(
    k: int, group: Sequence[Trial], labels: dict[int, NDArray[np.int64]], weights: NDArray[np.float64]
) -> dict[str, float]:
    silhouettes = [trial.silhouette for trial in group]
    pairs = itertools.combinations([labels[trial.number] for trial in group if trial.number in labels], 2)
    agreements = [adjusted_rand_index(contingency(one, other, weights)) for one, other in pairs]
    return {
        "k": k,
        "seeds": len(group),
        "usable": sum(trial.usable for trial in group),
        "silhouette_median": statistics.median(silhouettes),
        "silhouette_min": min(silhouettes),
        "silhouette_max": max(silhouettes),
        "agreement": statistics.fmean(agreements) if agreements else float("nan"),
    }


def _labels(
    trials: Sequence[Trial], validation: DataFrame
) -> tuple[dict[int, NDArray[np.int64]], NDArray[np.float64]]:
    """Assign the validation rows with every trial's centres, in one pass: labels by trial, and weights."""
    if not trials:
        return {}, np.empty(0)
    rows = validation.select(schema.FEATURES, schema.WEIGHT)
    for trial in trials:
        name = f"label_{trial.number}"
        model = lloyd.kmeans_model(np.array(trial.centres), spark=validation.sparkSession, output=name)
        rows = lloyd.transform(model, rows)
    table = rows.select(
        F.col(schema.WEIGHT).cast("double"), *(f"label_{trial.number}" for trial in trials)
    ).toArrow()
    labels = {trial.number: table[f"label_{trial.number}"].to_numpy() for trial in trials}
    return labels, table[schema.WEIGHT].to_numpy()
