"""A snapshot of a million customers, and of five: seconds, and peak memory of the driver and of the workers.

Each is a process of its own, with a driver of 1 GB and one executor of two cores and 2 GB beside it. A customer
has five lines.
"""

import argparse
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from benchmarks.common import PROJECT
from benchmarks.processes import run
from benchmarks.sizes import environment
from retail_clusters.experiment_file import load_experiment
from retail_clusters.features.interface import interface
from retail_clusters.features.model import ScoringModel
from retail_clusters.features.pipeline import fit_space
from retail_clusters.features.rows import CELL, RECORDS, weighted_rows
from retail_clusters.infra.spark import spark_session
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.registry.names import ClusterNames
from retail_clusters.serving.batch import ServedModel, serve
from retail_clusters.serving.commits import LINES, CommitLog, Record, batch_folder
from retail_clusters.serving.snapshot import write_snapshot

_LINES_EACH: Final = 5
_AS_OF: Final = date(2011, 7, 1)
_LINE: Final = (
    "CAST(id AS STRING) AS InvoiceNo", "'A' AS StockCode", "'CUP' AS Description",
    "CAST(1 + id % 12 AS INT) AS Quantity", "1.0D + (id % 977) / 10 AS UnitPrice",
    "timestamp_seconds(1294000000 + id % 14000000) AS InvoiceDate", "'UK' AS Country",
)  # fmt: skip


def main() -> None:
    """Measure each size once, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, nargs="+", default=[1_000_000, 5_000_000])
    parser.add_argument("--inside", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.inside:
        measure(chosen.inside)
        return
    print("| customers | lines | snapshot, s | driver MB | workers MB |\n|---:|---:|---:|---:|---:|")
    for customers in chosen.customers:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "benchmarks.segments", "--inside", str(customers)]
            path = {"PYTHONPATH": f"{PROJECT}:{PROJECT / 'src'}"}
            used = run(command, folder=Path(folder), environment=environment(Path(folder)) | path)
            seconds = float(Path(folder, "seconds").read_text(encoding="utf-8"))
        lines = customers * _LINES_EACH
        print(
            f"| {customers:,} | {lines:,} | {seconds:.1f} | {used.driver:,.0f} | {used.workers:,.0f} |",
            flush=True,
        )


def measure(customers: int) -> None:
    """Write the segments of generated customers; leave the seconds in a file."""
    tracking.connect(experiment="benchmark")
    with spark_session("benchmark") as spark:
        model = _model(spark)
        _write_lines(spark, customers)
        started = time.perf_counter()
        found = write_snapshot(spark, model, output="output", as_of=_AS_OF, names=ClusterNames())
        Path("seconds").write_text(str(time.perf_counter() - started), encoding="utf-8")
    if found.units != customers:
        raise SystemExit(f"{found.units} of {customers} customers have a segment")


def _model(spark: SparkSession) -> ServedModel:
    """Register a model of four clusters of customers."""
    question = load_experiment(PROJECT / "experiments" / "customers.yaml").question
    values = np.linspace(1, 180, 40)
    columns = dict.fromkeys(question.features, values) | {
        CELL: np.arange(40),
        RECORDS: np.ones(40, dtype=int),
    }
    space = fit_space(weighted_rows(pa.table(columns), list(question.features)), question, spark=spark)
    model = ScoringModel.of(space, np.linspace(-1, 1, 4)[:, None] * np.ones(len(space.names)))
    registry = ModelRegistry("benchmark")
    with tracking.run("train"):
        version = registry.register(
            model.pipeline(spark=spark), interface=interface(question), metadata=model.metadata, tags={}
        )
    return serve(spark, registry, version=version)


def _write_lines(spark: SparkSession, customers: int) -> None:
    """Write good lines as a scorer does, with the record of their batch."""
    lines = spark.range(customers * _LINES_EACH).selectExpr(
        *_LINE, f"CAST(id % {customers} AS STRING) AS CustomerID"
    )
    folder = Path(batch_folder("output", LINES, 0))
    lines.write.parquet(f"file://{folder.absolute()}")
    written = sorted(file.name for file in folder.glob("*.parquet"))
    counts = {"rows_in": lines.count(), "rows_scored": lines.count(), "rows_quarantined": 0}
    Path("output", "commits").mkdir()
    record = Record(0, 0, "1", (), metrics={}, written={LINES: written}, **counts)
    CommitLog("output").append(record)


if __name__ == "__main__":
    main()
