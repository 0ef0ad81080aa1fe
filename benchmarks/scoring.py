"""The drained stream against a plain Spark batch job that reads, scores and writes the same files; the swap.

One process and one session; stream and batch job take turns, after one warm-up each. Prints Markdown rows.
"""

import argparse
import contextlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pyspark.sql import SparkSession

from retail_clusters import schema
from retail_clusters.data.prepare import prepare
from retail_clusters.infra import registry, tracking
from retail_clusters.infra.spark import spark_session
from retail_clusters.serving.batch import serve
from retail_clusters.serving.score import score
from retail_clusters.settings import Experiment, Scoring
from retail_clusters.training.context import fit, publish, workbench

REAL: Final = Path(__file__).parents[2] / "shared" / "retail-data" / "by-day"
SAMPLE: Final = Path(__file__).parents[1] / "data" / "sample" / "by-day"


def batch_job(spark: SparkSession, source: Path, version: str) -> int:
    """Do what a person would write: no quarantine, no accounts, no checkpoint."""
    model = registry.open_version(version).model
    lines = (
        spark.read.schema(schema.INVOICE_LINE).options(header=True, escape='"').csv(str(source.absolute()))
    )
    model.transform(lines).write.mode("overwrite").parquet(str(Path("batch").absolute()))
    return spark.read.parquet(str(Path("batch").absolute())).count()


def stream(spark: SparkSession, source: Path, files: int) -> int:
    """Drain the files through the scorer: a fresh checkpoint, an MLflow run, drift and all."""
    for folder in ("output", "checkpoint"):
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.redirect_stdout(sys.stderr):
        summary = score(
            spark,
            source=source,
            output=Path("output"),
            checkpoint=Path("checkpoint"),
            once=True,
            alias=registry.CHAMPION,
            settings=Scoring(max_files_per_trigger=files),
        )
    return summary.rows_scored


def timed(action: Callable[[], int]) -> tuple[float, int]:
    """Return the seconds that an action took, and the lines it wrote."""
    started = time.perf_counter()
    lines = action()
    return time.perf_counter() - started, lines


def main() -> None:
    """Let stream and batch job take turns; print medians, ratios, and the pause of a swap."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=REAL if REAL.is_dir() else SAMPLE)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--files", type=int, nargs="+", default=[20, 100, 305], help="files a trigger")
    arguments = parser.parse_args()
    source = arguments.data.absolute()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        tracking.connect(experiment="benchmark")
        with spark_session("benchmark") as spark:
            with contextlib.redirect_stdout(sys.stderr):
                version = _champion(spark, source)
            contestants: dict[str, Callable[[], int]] = {
                "batch job": lambda: batch_job(spark, source, version)
            } | {
                f"stream, {files} files a trigger": lambda files=files: stream(spark, source, files)  # type: ignore[misc]
                for files in arguments.files
            }
            _print(_take_turns(contestants, arguments.repetitions), source)
            pauses = sorted(timed(lambda: int(serve(spark, version).version))[0] for _ in range(5))
            print("\n| swap: load and check a version | seconds |")
            print("|---|---|")
            print(f"| median of 5 | {statistics.median(pauses):.2f} |")


def _champion(spark: SparkSession, source: Path) -> str:
    experiment = Experiment()
    with tracking.run("train"):
        bench = workbench(prepare(spark, data=str(source), experiment=experiment), experiment=experiment)
        version = publish(bench, fit(bench, k=experiment.k, seed=experiment.seed)).version
        bench.release()
    registry.set_alias(registry.CHAMPION, version)
    return version


def _take_turns(
    contestants: dict[str, Callable[[], int]], repetitions: int
) -> dict[str, list[tuple[float, int]]]:
    taken: dict[str, list[tuple[float, int]]] = {name: [] for name in contestants}
    for repetition in range(repetitions + 1):
        for name, action in contestants.items():
            run = timed(action)
            print(f"{name}: {run[0]:.1f} s", file=sys.stderr)
            if repetition:
                taken[name].append(run)
    assert len({lines for runs in taken.values() for _, lines in runs}) == 1, "the results differ"
    return taken


def _print(taken: dict[str, list[tuple[float, int]]], source: Path) -> None:
    files = len(list(source.glob("*.csv")))
    lines = taken["batch job"][0][1]
    base = statistics.median(seconds for seconds, _ in taken["batch job"])
    print(f"| scoring {lines:,} lines, {files} files | median s | all runs, s | lines/s | of a batch job |")
    print("|---|---|---|---|---|")
    for name, runs in taken.items():
        seconds = sorted(run[0] for run in runs)
        median = statistics.median(seconds)
        listed = ", ".join(f"{second:.1f}" for second in seconds)
        print(f"| {name} | {median:.1f} | {listed} | {lines / median:,.0f} | {base / median:.2f} |")


if __name__ == "__main__":
    main()
