"""One trial of this project, of the notebook, and of scikit-learn; and where its time goes."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from pyspark import inheritable_thread_target
from pyspark.ml import Pipeline
from pyspark.ml.clustering import KMeans
from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.ml.feature import OneHotEncoder, StringIndexer, VectorAssembler
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import col, date_format
from sklearn.cluster import KMeans as ScikitKMeans
from sklearn.metrics import silhouette_score

from benchmarks.common import DATA, print_table, session, take_turns, workbench
from retail_clusters.training import clustering, context, lloyd, quality
from retail_clusters.training.context import TrainingContext
from retail_clusters.training.seeding import weighted_kmeans_plus_plus

K, SEED, PARALLEL = 20, 1, 16


def notebook_frames(spark: SparkSession) -> tuple[DataFrame, DataFrame]:
    """Build train and test features as the notebook's cells do (with the days that Spark 4 can index)."""
    static = spark.read.format("csv").option("header", "true").option("inferSchema", "true")
    lines = static.load(f"{DATA}/*.csv")
    prepped = lines.na.fill(0).withColumn("day_of_week", date_format(col("InvoiceDate"), "EEEE")).coalesce(5)
    train, test = prepped.where("InvoiceDate < '2011-07-01'"), prepped.where("InvoiceDate >= '2011-07-01'")
    stages = [
        StringIndexer().setInputCol("day_of_week").setOutputCol("day_of_week_index"),
        OneHotEncoder().setInputCol("day_of_week_index").setOutputCol("day_of_week_encoded"),
        VectorAssembler()
        .setInputCols(["UnitPrice", "Quantity", "day_of_week_encoded"])
        .setOutputCol("features"),
    ]
    fitted = Pipeline().setStages(stages).fit(train)
    return fitted.transform(train), fitted.transform(test)


def notebook_trial(train: DataFrame, test: DataFrame) -> float:
    """Fit and evaluate as the notebook's cells do."""
    model = KMeans().setK(K).setSeed(SEED).fit(train)
    return ClusteringEvaluator().evaluate(model.transform(test))


def main() -> None:
    """Measure trials in turns, then trials in parallel, then the parts of one."""
    with session() as spark:
        bench = workbench(spark)
        train, test = notebook_frames(spark)
        cached = [frame.select("features").cache() for frame in (train, test)]
        lines = np.array([row.features.toArray() for row in cached[0].toLocalIterator()])
        later = np.array([row.features.toArray() for row in cached[1].toLocalIterator()])
        sample = later[np.random.default_rng(0).choice(len(later), min(10_000, len(later)), replace=False)]

        def scikit() -> float:
            model = ScikitKMeans(K, n_init=1, random_state=SEED).fit(lines)
            return float(silhouette_score(sample, model.predict(sample), metric="sqeuclidean"))

        def floor() -> None:
            rows, weights = bench.training.values, bench.training.weights
            ScikitKMeans(K, n_init=1, random_state=SEED).fit(rows, sample_weight=weights)

        quick = {
            "this project, one trial": lambda: context.fit(bench, k=K, seed=SEED),
            "scikit-learn KMeans on all lines, silhouette_score on 10,000": scikit,
            "scikit-learn weighted KMeans on the distinct rows, no silhouette (the floor)": floor,
        }
        slow = {
            "the notebook with features cached": lambda: notebook_trial(*cached),
            "the notebook as written": lambda: notebook_trial(train, test),
        }
        seconds = take_turns(quick, times=7, warm_ups=5) | take_turns(slow, times=3)
        seconds["this project, a trial of 16 in 4 threads"] = parallel(bench)
        print_table(f"K={K}, {len(lines):,} training lines", seconds, base="this project, one trial")
        ratios(seconds)
        profile(bench)


def parallel(bench: TrainingContext) -> list[float]:
    """Fit and measure 16 candidates in 4 threads, three times: seconds a trial."""
    run = inheritable_thread_target(bench.training.rows.sparkSession)(
        lambda seed: context.fit(bench, k=K, seed=seed)
    )
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        with ThreadPoolExecutor(4) as executor:
            list(executor.map(run, range(PARALLEL)))
        taken.append((time.perf_counter() - started) / PARALLEL)
    return taken


def ratios(seconds: dict[str, list[float]]) -> None:
    """Print how many trials in parallel fit into one of the notebook."""
    ours = statistics.median(seconds["this project, a trial of 16 in 4 threads"])
    print("\n| a trial in parallel against | times as fast | aim |\n|---|---:|---:|")
    for name, aim in (("the notebook as written", "25"), ("the notebook with features cached", "5")):
        print(f"| {name} | {statistics.median(seconds[name]) / ours:.1f} | {aim} |")


def profile(bench: TrainingContext) -> None:
    """Print where the time of one trial goes."""
    spark, training = bench.training.rows.sparkSession, bench.training
    settings = bench.experiment.lloyd
    first = weighted_kmeans_plus_plus(training.values, training.weights, k=K, seed=SEED)
    fitted = clustering.fit(training, k=K, seed=SEED, settings=settings)
    parts = {
        "weighted k-means++ (driver)": lambda: weighted_kmeans_plus_plus(
            training.values, training.weights, k=K, seed=SEED
        ),
        f"Lloyd, {fitted.iterations} iterations, two Spark stages each": lambda: lloyd.iterate(
            training.points,
            first,
            spark=spark,
            max_iterations=settings.max_iterations,
            tolerance=settings.tolerance,
        ),
        "model from centres": lambda: lloyd.kmeans_model(fitted.centres, spark=spark),
        "assigning rows, training cost, validation sizes and silhouette": lambda: quality.evaluate(
            bench.evaluation, clustering=fitted
        ),
    }
    seconds = take_turns(parts, times=7)
    total = sum(statistics.median(runs) for runs in seconds.values())
    print("\n| where a trial's time goes | median s | share |\n|---|---:|---:|")
    for name, runs in seconds.items():
        median = statistics.median(runs)
        print(f"| {name} | {median:.3f} | {median / total:.0%} |")


if __name__ == "__main__":
    main()
