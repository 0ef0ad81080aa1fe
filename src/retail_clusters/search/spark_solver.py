"""The notebook's own way to fit: pyspark.ml's KMeans, with its own seeding, on one row a line."""

import numpy as np
import pyarrow as pa
from pyspark.ml import PipelineModel
from pyspark.ml.clustering import KMeans
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.clustering import kmeans
from retail_clusters.clustering.blocks import Block, Rows
from retail_clusters.clustering.kmeans import Fit
from retail_clusters.features.rows import WeightedRows


def expanded_lines(rows: WeightedRows, *, pipeline: PipelineModel, spark: SparkSession) -> DataFrame:
    """Return `features`, one row for each line behind the weighted rows, in canonical order.

    They are one partition: k-means|| draws per partition, so another layout would give another model.
    """
    table: pa.Table = rows.table.select([*schema.ROW_KEY, schema.WEIGHT])
    vectors = pipeline.transform(spark.createDataFrame(table).coalesce(1))
    return vectors.select(schema.FEATURES, F.explode(F.sequence(F.lit(1), F.col(schema.WEIGHT)))).select(
        schema.FEATURES
    )


def fit(lines: DataFrame, rows: Rows[Block], *, k: int, seed: int) -> Fit:
    """Fit `pyspark.ml.clustering.KMeans` as the notebook does: K, seed, everything else at its default.

    The cost is that of `rows`, the same lines as weighted rows.
    """
    model = KMeans(featuresCol=schema.FEATURES).setK(k).setSeed(seed).fit(lines.cache())
    lines.unpersist()
    centres = np.array(model.clusterCenters())
    return Fit(centres=centres, iterations=model.summary.numIter, cost=kmeans.cost(rows, centres))
