"""One pair of K and seed: of this project, of the notebook, and of scikit-learn."""

import statistics

import numpy as np
from pyspark.ml import Pipeline
from pyspark.ml.clustering import KMeans
from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.ml.feature import OneHotEncoder, StringIndexer, VectorAssembler
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import col, date_format
from sklearn.cluster import KMeans as ScikitKMeans
from sklearn.metrics import silhouette_score

from benchmarks.common import DATA, print_table, session, take_turns, training_context, verdict
from retail_clusters.clustering import kmeans, metrics
from retail_clusters.clustering.evaluation import Problem

K, SEED = 20, 1
_OURS = "this project: seeding, Lloyd, cost and every metric of the validation lines"
_WRITTEN = "the notebook as written"
_CACHED = "the notebook with features cached"
_SCIKIT = "scikit-learn KMeans on all lines, silhouette_score on 10,000"
_FLOOR = "scikit-learn weighted KMeans on the distinct rows, no silhouette"
_AIMS = {_WRITTEN: 300.0, _CACHED: 100.0, _SCIKIT: 50.0}


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
    """Measure one pair in turns, then where its time goes."""
    with session() as spark:
        context = training_context(spark)
        train, test = notebook_frames(spark)
        cached = [frame.select("features").cache() for frame in (train, test)]
        lines = np.array([row.features.toArray() for row in cached[0].toLocalIterator()])
        later = np.array([row.features.toArray() for row in cached[1].toLocalIterator()])
        sample = later[np.random.default_rng(0).choice(len(later), min(10_000, len(later)), replace=False)]
        rows = context.sample

        def scikit() -> float:
            model = ScikitKMeans(K, n_init=1, random_state=SEED).fit(lines)
            return float(silhouette_score(sample, model.predict(sample), metric="sqeuclidean"))

        quick = {
            _OURS: lambda: context.fit(k=K, seed=SEED),
            _FLOOR: lambda: ScikitKMeans(K, n_init=1, random_state=SEED).fit(
                rows.values, sample_weight=rows.weights
            ),
        }
        slow = {
            _SCIKIT: scikit,
            _CACHED: lambda: notebook_trial(*cached),
            _WRITTEN: lambda: notebook_trial(train, test),
        }
        seconds = take_turns(quick, times=15, warm_ups=3) | take_turns(slow, times=3)
        print_table(f"K={K}, {len(lines):,} training lines", seconds, base=_OURS)
        ours = statistics.median(seconds[_OURS])
        print("\n| this project against | times as fast | aim | |\n|---|---:|---:|---|")
        for name, aim in _AIMS.items():
            ratio = statistics.median(seconds[name]) / ours
            print(f"| {name} | {ratio:.0f} | {aim:.0f} | {verdict(ratio, aim, at_most=False)} |")
        ratio = ours / statistics.median(seconds[_FLOOR])
        print(f"\nOf {_FLOOR}: {ratio:.2f} times its time (aim: at most 1.5, {verdict(ratio, 1.5)}).\n")
        parts(context.problem)


def parts(problem: Problem) -> None:
    """Print where the time of one pair goes."""
    sample = problem.sample
    first = kmeans.seed_centres(sample, k=K, seed=SEED)
    lloyd = {"max_iterations": problem.max_iterations, "tolerance": problem.tolerance}
    fitted = kmeans.iterate(problem.train, first, **lloyd)
    runs = {
        "weighted k-means++": lambda: kmeans.seed_centres(sample, k=K, seed=SEED),
        f"Lloyd, {fitted.iterations} iterations, and the cost": lambda: kmeans.iterate(
            problem.train, first, **lloyd
        ),
        "silhouettes, indices, sizes of the validation lines": lambda: metrics.measure(
            problem.validation, fitted.centres
        ),
    }
    seconds = take_turns(runs, times=15)
    total = sum(statistics.median(taken) for taken in seconds.values())
    print("| where the time of a pair goes | median s | share |\n|---|---:|---:|")
    for name, taken in seconds.items():
        median = statistics.median(taken)
        print(f"| {name} | {median:.4f} | {median / total:.0%} |")


if __name__ == "__main__":
    main()
