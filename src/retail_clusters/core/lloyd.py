"""Spark's own KMeans, started from given centres.

`pyspark.ml.clustering.KMeans` always seeds with k-means||, which ignores weights. The code that it hands
the rows to, `org.apache.spark.mllib.clustering.KMeans`, takes a first model; this is the way to it.
Why: docs/decisions/0002-seeding.md.
"""

from typing import Any

import numpy as np
from pyspark.ml.clustering import KMeansModel
from pyspark.sql import DataFrame, SparkSession

from retail_clusters import schema
from retail_clusters.core.seeding import Floats

JavaObject = Any


def weighted_points(rows: DataFrame) -> JavaObject:
    """Give `features` and `weight` as a cached JVM RDD[(mllib.Vector, Double)], partitions as they are."""
    jvm = _jvm(rows.sparkSession)
    mllib = jvm.org.apache.spark.mllib
    pairs = rows.selectExpr(schema.FEATURES, f"cast({schema.WEIGHT} as double)")
    no_columns = _gateway(rows.sparkSession).new_array(jvm.java.lang.String, 0)
    vectors = mllib.util.MLUtils.convertVectorColumnsFromML(pairs._jdf, no_columns)
    vector_type = mllib.linalg.VectorUDT()
    udt_encoder = getattr(jvm, "org.apache.spark.sql.catalyst.encoders.AgnosticEncoders$UDTEncoder")
    encoders = jvm.org.apache.spark.sql.Encoders
    pair = encoders.tuple(udt_encoder(vector_type, vector_type.getClass()), encoders.scalaDouble())
    return getattr(vectors, "as")(pair).rdd().cache()


def iterate(
    points: JavaObject, centres: Floats, *, spark: SparkSession, max_iterations: int, tolerance: float
) -> tuple[Floats, int]:
    """Run Lloyd's iterations from `centres` (k x d) until none moves more than `tolerance`.

    Returns the centres, k x d, and how many iterations it took.
    """
    jvm = _jvm(spark)
    algorithm = (
        jvm.org.apache.spark.mllib.clustering.KMeans()
        .setK(len(centres))
        .setMaxIterations(max_iterations)
        .setEpsilon(tolerance)
        .setInitialModel(_mllib_model(centres, spark=spark))
    )
    model = algorithm.runWithWeight(points, False, jvm.scala.Option.empty())
    return np.array([centre.toArray() for centre in model.clusterCenters()]), model.numIter()


def kmeans_model(centres: Floats, *, spark: SparkSession) -> KMeansModel:
    """Make the Spark ML model whose cluster i has centre `centres[i]`."""
    jvm = _jvm(spark)
    uid = jvm.org.apache.spark.ml.util.Identifiable.randomUID("kmeans")
    java = jvm.org.apache.spark.ml.clustering.KMeansModel(uid, _mllib_model(centres, spark=spark))
    model: KMeansModel = KMeansModel(java)._set(k=len(centres))
    return model.setFeaturesCol(schema.FEATURES).setPredictionCol(schema.PREDICTION)


def _mllib_model(centres: Floats, *, spark: SparkSession) -> JavaObject:
    jvm = _jvm(spark)
    vectors = _gateway(spark).new_array(jvm.org.apache.spark.mllib.linalg.Vector, len(centres))
    for row, centre in enumerate(centres.tolist()):
        vectors[row] = jvm.org.apache.spark.mllib.linalg.Vectors.dense(centre[0], _seq(centre[1:], spark))
    return jvm.org.apache.spark.mllib.clustering.KMeansModel(vectors)


def _seq(numbers: list[float], spark: SparkSession) -> JavaObject:
    return _jvm(spark).PythonUtils.toSeq(numbers)


def _jvm(spark: SparkSession) -> JavaObject:
    return spark.sparkContext._jvm


def _gateway(spark: SparkSession) -> JavaObject:
    return spark.sparkContext._gateway
