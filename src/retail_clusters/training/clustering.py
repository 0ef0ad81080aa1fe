"""Feature rows in, fitted clusters out: the same bits for the same rows, K and seed."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.ml.clustering import KMeansModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.errors import InputError
from retail_clusters.settings import Lloyd
from retail_clusters.training import lloyd
from retail_clusters.training.features import VALUES
from retail_clusters.training.seeding import MAX_ROWS, Floats, weighted_kmeans_plus_plus


@dataclass(frozen=True)
class TrainingSet:
    """Weighted feature rows, held ready for many fits."""

    rows: DataFrame
    values: Floats
    weights: Floats
    points: Any

    @cached_property
    def distinct_vectors(self) -> int:
        """How many vectors differ: no clustering can have more clusters."""
        return len(np.unique(self.values, axis=0))

    def release(self) -> None:
        """Let go of the cached rows."""
        self.points.unpersist(False)
        self.rows.unpersist()


@dataclass(frozen=True, eq=False)
class Clustering:
    """A fitted KMeans: centres (K x d), and the Spark ML model made of them."""

    k: int
    seed: int
    centres: Floats
    iterations: int
    model: KMeansModel

    @property
    def digest(self) -> str:
        """Return 32 hex digits of the centres' bits."""
        return centres_digest(self.centres)

    def assign(self, rows: DataFrame) -> DataFrame:
        """Add `prediction`, the number of the nearest centre, to rows with `features`."""
        return lloyd.transform(self.model, rows)


def training_set(rows: DataFrame) -> TrainingSet:
    """Hold feature rows in canonical layout ready: cached in Spark, and seen by seeding on the driver."""
    rows = rows.cache()
    table = rows.select(VALUES, schema.WEIGHT).toArrow()
    step = -(-table.num_rows // MAX_ROWS) or 1
    sample = table.take(np.arange(0, table.num_rows, step))
    values = np.array(sample[VALUES].combine_chunks().flatten()).reshape(sample.num_rows, -1)
    weights = np.array(sample[schema.WEIGHT], dtype=np.float64)
    return TrainingSet(rows=rows, values=values, weights=weights, points=lloyd.weighted_points(rows))


def check_clusters(training: TrainingSet, *, k: int) -> None:
    """Refuse a K that the rows cannot fill.

    Raises:
        InputError: K is below 2 or above the number of distinct training vectors.
    """
    if not 2 <= k <= training.distinct_vectors:
        raise InputError(
            f"k must be from 2 to the number of distinct training rows, {training.distinct_vectors}, "
            f"but got {k}: choose a k within"
        )


def fit(training: TrainingSet, *, k: int, seed: int, settings: Lloyd) -> Clustering:
    """Fit KMeans on weighted rows: seeded by weighted k-means++, iterated by Spark."""
    spark = training.rows.sparkSession
    first = weighted_kmeans_plus_plus(training.values, training.weights, k=k, seed=seed)
    centres, iterations = lloyd.iterate(
        training.points,
        first,
        spark=spark,
        max_iterations=settings.max_iterations,
        tolerance=settings.tolerance,
    )
    model = lloyd.kmeans_model(centres, spark=spark)
    return Clustering(k=k, seed=seed, centres=centres, iterations=iterations, model=model)


def labels_digest(assigned: DataFrame) -> str:
    """Hash which weighted row got which `prediction`: 32 hex digits, in whatever order the rows come."""
    row = F.xxhash64(schema.UNIT_PRICE, schema.QUANTITY, schema.DAY_OF_WEEK, schema.PREDICTION)
    low, high = row.bitwiseAND(F.lit(0xFFFFFFFF)), F.shiftrightunsigned(row, 32)
    sums = assigned.agg(F.count(F.lit(1)), F.sum(low), F.sum(high)).first()
    return hashlib.sha256(repr(tuple(sums or ())).encode()).hexdigest()[:32]


def centres_table(centres: Floats) -> pd.DataFrame:
    """Return the centres as a table, a row a cluster; written as CSV, the digits give the bits back."""
    names = [schema.UNIT_PRICE, schema.QUANTITY]
    names += [f"weekday_{position}" for position in range(centres.shape[1] - len(names))]
    return pd.DataFrame(centres, columns=names).rename_axis("cluster").reset_index()


def centres_digest(centres: NDArray[np.float64]) -> str:
    """Hash the centres' shape and bits, in order: 32 hex digits."""
    content = repr(centres.shape).encode() + np.ascontiguousarray(centres, dtype=">f8").tobytes()
    return hashlib.sha256(content).hexdigest()[:32]
