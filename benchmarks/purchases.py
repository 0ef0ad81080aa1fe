"""Draining daily files through `customer_purchases`: the notebook's cells as written, and this project.

Each repetition is a fresh process with a warm page cache; the two take turns. Prints Markdown table rows.
"""

# ruff: noqa: PLC0415 - a contestant imports what it needs in a process of its own
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

REAL: Final = Path(__file__).parents[2] / "shared" / "retail-data" / "by-day"
SAMPLE: Final = Path(__file__).parents[1] / "data" / "sample" / "by-day"


def notebook(data: str) -> dict[str, float]:
    """Run the cells: infer the schema, set 5 shuffle partitions, stream one file a trigger, sum doubles."""
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import col, window

    builder = SparkSession.builder.master(os.environ.get("SPARK_MASTER", "local[*]"))
    spark = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    started = time.perf_counter()
    static = spark.read.format("csv").option("header", "true").option("inferSchema", "true")
    schema = static.load(f"{data}/*.csv").schema
    spark.conf.set("spark.sql.shuffle.partitions", "5")
    streaming = spark.readStream.schema(schema).option("maxFilesPerTrigger", 1).format("csv")
    frame = streaming.option("header", "true").load(f"{data}/*.csv")
    purchases = (
        frame.selectExpr("CustomerId", "(UnitPrice * Quantity) as total_cost", "InvoiceDate")
        .groupBy(col("CustomerId"), window(col("InvoiceDate"), "1 day"))
        .sum("total_cost")
    )
    draining = time.perf_counter()
    writer = purchases.writeStream.format("memory").queryName("customer_purchases")
    query = writer.outputMode("complete").start()
    query.processAllAvailable()
    ended = time.perf_counter()
    rows = spark.table("customer_purchases").count()
    query.stop()
    spark.stop()
    return {"drain": ended - draining, "all": ended - started, "rows": rows}


def project(data: str, *, files: int = 1) -> dict[str, float]:
    """Drain the same files as `purchases -P mode=stream` does: text parsed by given types, exact decimals."""
    from retail_clusters.data import csv_files
    from retail_clusters.infra.spark import small_session, spark_session
    from retail_clusters.input_settings import Input
    from retail_clusters.purchases.job import TABLE, start_live, stream_lines
    from retail_clusters.settings import Purchases

    with spark_session("bench") as spark, tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        session = small_session(spark)
        settings = Purchases(max_files_per_trigger=files)
        layouts = csv_files.check_data(data)[1]
        lines = stream_lines(session, data, settings=settings, how=Input(), layouts=layouts)
        start_live(lines, checkpoint=f"{folder}/c").awaitTermination()
        ended = time.perf_counter()
        rows = session.table(TABLE).count()
    return {"drain": ended - started, "all": ended - started, "rows": rows}


CONTESTANTS: Final = {
    "notebook": notebook,
    "project": project,
    "project, 20 files a trigger": lambda data: project(data, files=20),
}


def main() -> None:
    """Let the contestants take turns; print the medians and the ratio to the notebook."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=str(REAL if REAL.is_dir() else SAMPLE))
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--one", choices=CONTESTANTS, help="run one contestant, print its seconds as JSON")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(CONTESTANTS[arguments.one](arguments.data)))
        return
    files = len(list(Path(arguments.data).glob("*.csv")))
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    for _ in range(arguments.repetitions):
        for name, taken in runs.items():
            taken.append(_run_alone(name, arguments.data))
    assert len({run["rows"] for taken in runs.values() for run in taken}) == 1, "the results differ"
    _print(runs, files=files)


def _run_alone(name: str, data: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", name, "--data", data]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    seconds: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def _print(runs: dict[str, list[dict[str, float]]], *, files: int) -> None:
    print(f"| purchases stream, {files} files | median s | all runs, s | against the notebook |")
    print("|---|---|---|---|")
    for what, title in (("drain", "drain"), ("all", "from reading on, schema included")):
        base = statistics.median(run[what] for run in runs["notebook"])
        for name, taken in runs.items():
            seconds = sorted(run[what] for run in taken)
            median = statistics.median(seconds)
            listed = ", ".join(f"{second:.1f}" for second in seconds)
            print(f"| {name}: {title} | {median:.1f} | {listed} | {base / median:.2f} × as fast |")


if __name__ == "__main__":
    main()
