"""Training cost over ten seeds: weighted rows as this project fits them, against KMeans on every line."""

import statistics

from pyspark.ml.clustering import KMeans
from pyspark.sql import functions as F

from benchmarks.common import session, workbench
from retail_clusters import schema
from retail_clusters.training import clustering, quality


def main() -> None:
    """Print the median training costs and their ratio."""
    with session() as spark:
        bench = workbench(spark)
        rows = bench.training.rows
        copies = F.explode(F.sequence(F.lit(1), F.col(schema.WEIGHT)))
        lines = rows.withColumn("copy", copies).select(schema.FEATURES).repartition(5).cache()
        lines.count()
        print("| K | every line, KMeans' defaults | this project | ratio | allowed |")
        print("|---:|---:|---:|---:|---:|")
        for k in (10, 20, 40):
            theirs = [KMeans(k=k, seed=seed).fit(lines).summary.trainingCost for seed in range(10)]
            fits = [
                clustering.fit(bench.training, k=k, seed=seed, settings=bench.experiment.lloyd)
                for seed in range(10)
            ]
            ours = statistics.median(quality.cost(rows, clustering=fitted) for fitted in fits)
            base = statistics.median(theirs)
            print(f"| {k} | {base:,.0f} | {ours:,.0f} | {ours / base:.3f} | 1.05 |")


if __name__ == "__main__":
    main()
