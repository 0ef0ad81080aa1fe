import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession

from retail_clusters.training import quality
from retail_clusters.training.clustering import Clustering
from retail_clusters.training.lloyd import kmeans_model


def clustering_of(spark: SparkSession, centres: list[list[float]]) -> Clustering:
    array = np.array(centres)
    return Clustering(
        k=len(array), seed=0, centres=array, iterations=0, model=kmeans_model(array, spark=spark)
    )


def weighted(spark: SparkSession, points: list[tuple[list[float], int]]) -> DataFrame:
    rows = spark.createDataFrame(points, "values array<double>, weight long").coalesce(1)
    return rows.withColumn("features", array_to_vector("values"))


def test_silhouette_of_one_populated_cluster_is_zero(spark):
    rows = weighted(spark, [([0.0, 1.0], 3), ([1.0, 0.0], 2)])
    measured = quality.measure(rows, clustering=clustering_of(spark, [[0.5, 0.5], [99.0, 99.0]]))
    assert (measured.silhouette, measured.clusters, measured.sizes) == (0.0, 1, (5, 0))


def test_silhouette_of_a_line_alone_in_its_cluster_is_zero(spark):
    rows = weighted(spark, [([0.0, 0.0], 1), ([10.0, 0.0], 1)])
    measured = quality.measure(rows, clustering=clustering_of(spark, [[0.0, 0.0], [10.0, 0.0]]))
    assert measured.silhouette == 0.0


def test_silhouette_of_identical_lines_is_one(spark):
    rows = weighted(spark, [([74215.1, 0.1], 7), ([0.3, 0.1], 5)])
    measured = quality.measure(rows, clustering=clustering_of(spark, [[74215.1, 0.1], [0.3, 0.1]]))
    assert measured.silhouette == pytest.approx(1.0, abs=1e-12)


def test_silhouette_of_lines_that_all_coincide_is_zero_not_nan(spark):
    rows = weighted(spark, [([1.0, 1.0], 4), ([1.0, 1.0], 2)])
    measured = quality.measure(rows, clustering=clustering_of(spark, [[1.0, 1.0], [1.0, 1.0]]))
    assert measured.silhouette == 0.0


def test_cost_sums_squared_distances_over_lines(spark):
    rows = weighted(spark, [([3.0, 4.0], 2), ([10.0, 1.0], 3)])
    clustering = clustering_of(spark, [[0.0, 0.0], [10.0, 0.0]])
    assert quality.cost(rows, clustering=clustering) == 2 * 25 + 3 * 1
    assert quality.measure(rows, clustering=clustering).cost == 53


def test_measures_are_the_same_bits_for_any_arrow_batch_size(spark):
    rng = np.random.default_rng(3)
    points = [(rng.normal(size=2).tolist(), int(rng.integers(1, 5))) for _ in range(300)]
    rows = weighted(spark, points)
    clustering = clustering_of(spark, [[0.0, 0.0], [1.0, 1.0], [-1.0, 0.5]])
    whole = quality.measure(rows, clustering=clustering)
    kept = spark.conf.get("spark.sql.execution.arrow.maxRecordsPerBatch")
    try:
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "7")
        assert quality.measure(rows, clustering=clustering) == whole
    finally:
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", kept)


@given(sizes=st.lists(st.integers(0, 1000), min_size=1, max_size=20).filter(any))
def test_effective_clusters_lies_between_one_and_the_populated_clusters(sizes):
    measured = quality.Quality(silhouette=0.0, cost=0.0, sizes=tuple(sizes))
    assert 1 - 1e-9 <= measured.effective_clusters <= measured.clusters + 1e-9
    assert 0 < measured.largest_cluster_share <= 1


def test_effective_clusters_of_even_clusters_is_their_number():
    measured = quality.Quality(silhouette=0.0, cost=0.0, sizes=(5, 5, 5, 5))
    assert math.isclose(measured.effective_clusters, 4)


def test_measures_of_one_partition_are_those_of_workers_to_the_last_bit(spark, monkeypatch):
    rng = np.random.default_rng(4)
    points = [(rng.normal(size=2).tolist(), int(rng.integers(1, 5))) for _ in range(300)]
    rows = weighted(spark, points).cache()
    clustering = clustering_of(spark, [[0.0, 0.0], [1.0, 1.0], [-1.0, 0.5]])
    here = quality.measure(rows, clustering=clustering)
    others = weighted(spark, points[:90]).cache()
    small = quality.evaluate(quality.evaluation_rows(validation=rows, train=others), clustering=clustering)
    monkeypatch.setattr(quality, "_is_small", lambda _: False)
    assert quality.measure(rows, clustering=clustering) == here
    apart = quality.evaluation_rows(validation=rows, train=others)
    assert quality.evaluate(apart, clustering=clustering) == small
    assert small == (here, quality.cost(others, clustering=clustering))
    others.unpersist()
    rows.unpersist()


def test_rows_of_many_partitions_measure_the_same(spark):
    points = [([float(step % 7), float(step % 3)], 1 + step % 2) for step in range(60)]
    one = weighted(spark, points)
    many = spark.createDataFrame(points, "values array<double>, weight long").repartition(3)
    many = many.withColumn("features", array_to_vector("values"))
    clustering = clustering_of(spark, [[0.0, 0.0], [6.0, 1.0], [3.0, 2.0]])
    ours, theirs = (quality.measure(rows, clustering=clustering) for rows in (one, many))
    assert ours.sizes == theirs.sizes
    assert ours.silhouette == pytest.approx(theirs.silhouette, abs=1e-12)
