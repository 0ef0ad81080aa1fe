"""Spark's own KMeans, started from given centres.

`pyspark.ml.clustering.KMeans` always seeds with k-means||, which ignores weights. The code that it hands
the rows to, `org.apache.spark.mllib.clustering.KMeans`, takes a first model; this is the way to it.
Why: docs/decisions/0002-seeding.md.
"""

from typing import Any, Final
from uuid import uuid4

import numpy as np
from pyspark.ml.clustering import KMeansModel
from pyspark.mllib.linalg import DenseVector
from pyspark.serializers import CPickleSerializer
from pyspark.sql import DataFrame, SparkSession

from retail_clusters import schema
from retail_clusters.training.seeding import Floats

JavaObject = Any

_PICKLE: Final[Any] = CPickleSerializer()
_SERDE: Final = "org.apache.spark.mllib.api.python.SerDe"


def weighted_points(rows: DataFrame) -> JavaObject:
    """Return `features` and `weight` as a cached JVM RDD[(mllib.Vector, Double)], partitions as they are.

    A local checkpoint cuts it off from the query that made it, which Spark would send along with every
    task of every iteration.
    """
    spark = rows.sparkSession
    pairs = rows.selectExpr(schema.FEATURES, f"cast({schema.WEIGHT} as double)")
    no_columns = _gateway(spark).new_array(_java("java.lang.String", spark), 0)
    utilities = _java("org.apache.spark.mllib.util.MLUtils", spark)
    vectors = utilities.convertVectorColumnsFromML(pairs._jdf, no_columns)
    vector_type = _java("org.apache.spark.mllib.linalg.VectorUDT", spark)()
    udt_encoder = _java("org.apache.spark.sql.catalyst.encoders.AgnosticEncoders$UDTEncoder", spark)
    encoders = _java("org.apache.spark.sql.Encoders", spark)
    pair = encoders.tuple(udt_encoder(vector_type, vector_type.getClass()), encoders.scalaDouble())
    points = getattr(vectors, "as")(pair).rdd().localCheckpoint()
    points.count()
    return points


def iterate(
    points: JavaObject, centres: Floats, *, spark: SparkSession, max_iterations: int, tolerance: float
) -> tuple[Floats, int]:
    """Run Lloyd's iterations from `centres` (k x d) until none moves more than `tolerance`.

    Returns the centres, k x d, and how many iterations it took.
    """
    algorithm = (
        _java("org.apache.spark.mllib.clustering.KMeans", spark)()
        .setK(len(centres))
        .setMaxIterations(max_iterations)
        .setEpsilon(tolerance)
        .setInitialModel(_mllib_model(centres, spark=spark))
    )
    model = algorithm.runWithWeight(points, False, _java("scala.Option", spark).empty())
    pickled = _java(_SERDE, spark).dumps(model.clusterCenters())
    vectors: list[DenseVector] = _PICKLE.loads(bytes(pickled))
    return np.array([vector.toArray() for vector in vectors]), model.numIter()


def kmeans_model(centres: Floats, *, spark: SparkSession, output: str = schema.PREDICTION) -> KMeansModel:
    """Make the Spark ML model whose cluster i has centre `centres[i]`, and whose result is in `output`."""
    uid = f"kmeans_{uuid4().hex[:12]}"
    java = _java("org.apache.spark.ml.clustering.KMeansModel", spark)(uid, _mllib_model(centres, spark=spark))
    java = java.setFeaturesCol(schema.FEATURES).setPredictionCol(output)
    model: KMeansModel = KMeansModel(java)._set(k=len(centres))
    return model.setFeaturesCol(schema.FEATURES).setPredictionCol(output)


def transform(model: KMeansModel, rows: DataFrame) -> DataFrame:
    """Do what `model.transform` does, without sending its params again, some 50 calls to the JVM."""
    java: JavaObject = model._java_obj
    return DataFrame(java.transform(rows._jdf), rows.sparkSession)


def _mllib_model(centres: Floats, *, spark: SparkSession) -> JavaObject:
    """Send all centres in one call: one call for each number costs more than the fit."""
    pickled = _PICKLE.dumps([DenseVector(centre) for centre in centres])
    vectors = _java(_SERDE, spark).loads(bytearray(pickled))
    return _java("org.apache.spark.mllib.clustering.KMeansModel", spark)(vectors)


def _java(name: str, spark: SparkSession) -> JavaObject:
    """Find a JVM class by its full name in one call, where dots would take one each."""
    return getattr(spark.sparkContext._jvm, name)


def _gateway(spark: SparkSession) -> JavaObject:
    return spark.sparkContext._gateway
