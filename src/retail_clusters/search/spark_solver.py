"""The notebook's own way to fit: pyspark.ml's KMeans, with its own seeding, on one row a record."""

import numpy as np
from pyspark.ml.clustering import KMeans
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.clustering import kmeans
from retail_clusters.clustering.blocks import Block, Rows
from retail_clusters.clustering.kmeans import Fit
from retail_clusters.features.pipeline import FeatureSpace
from retail_clusters.features.rows import RECORDS, WeightedRows


def expanded(rows: WeightedRows, *, space: FeatureSpace, spark: SparkSession) -> DataFrame:
    """Return `features`, one row for each record behind the weighted rows, in canonical order.

    They are one partition: k-means|| draws per partition, so another layout would give another model.
    """
    vectors = space.stages.transform(spark.createDataFrame(rows.table).coalesce(1))
    repeated = F.explode(F.sequence(F.lit(1), F.col(RECORDS)))
    return vectors.select(schema.FEATURES, repeated).select(schema.FEATURES)


def fit(lines: DataFrame, rows: Rows[Block], *, k: int, seed: int) -> Fit:
    """Fit `pyspark.ml.clustering.KMeans` as the notebook does: K, seed, everything else at its default.

    The cost is that of `rows`, the same lines as weighted rows.
    """
    model = KMeans(featuresCol=schema.FEATURES).setK(k).setSeed(seed).fit(lines.cache())
    lines.unpersist()
    centres = np.array(model.clusterCenters())
    return Fit(centres=centres, iterations=model.summary.numIter, cost=kmeans.cost(rows, centres))
