"""What the benchmarks share: the data, a session with the training rows, medians of turns taken."""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Final

from pyspark.sql import SparkSession

from retail_clusters.infra.spark import spark_session
from retail_clusters.registry import tracking
from retail_clusters.search import context
from retail_clusters.search.context import TrainingContext
from retail_clusters.search.prepared import ensure_prepared
from retail_clusters.settings import Experiment

PROJECT: Final = Path(__file__).parents[1]
SAMPLE: Final = PROJECT / "data" / "sample" / "by-day"
REAL: Final = PROJECT.parent / "shared" / "retail-data" / "by-day"
DATA: Final = str(REAL if REAL.is_dir() else SAMPLE)


@contextmanager
def session() -> Iterator[SparkSession]:
    """Open a session in an empty working folder with a tracking store of its own."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        tracking.connect(experiment="benchmark")
        with spark_session("benchmark") as spark:
            yield spark


def training_context(spark: SparkSession) -> TrainingContext:
    """Prepare the data and hold its rows ready."""
    experiment = Experiment()
    with chatter_aside():
        prepared = ensure_prepared(spark, data=DATA, experiment=experiment)
    return context.training_context(prepared, experiment=experiment)


def chatter_aside() -> AbstractContextManager[Any]:
    """Send what jobs say to stderr: stdout is the report."""
    return redirect_stdout(sys.stderr)


def take_turns(
    contestants: Mapping[str, Callable[[], Any]], *, times: int, warm_ups: int = 1
) -> dict[str, list[float]]:
    """Run each until the JVM has compiled it, then in turns: seconds of each run."""
    for run in contestants.values():
        for _ in range(warm_ups):
            run()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(times):
        for name, run in contestants.items():
            seconds[name].append(timed(run))
    return seconds


def timed(run: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def print_table(what: str, seconds: Mapping[str, list[float]], *, base: str) -> None:
    """Print median, range and ratio to `base` as a Markdown table."""
    against = statistics.median(seconds[base])
    print(f"| {what} | median s | min to max | times the first |\n|---|---:|---|---:|")
    for name, runs in seconds.items():
        median = statistics.median(runs)
        print(f"| {name} | {median:.3f} | {min(runs):.3f} to {max(runs):.3f} | {median / against:.2f} |")


def verdict(ratio: float, aim: float, *, at_most: bool = True) -> str:
    """Say whether a ratio meets its aim."""
    met = ratio <= aim if at_most else ratio >= aim
    return "met" if met else "**missed**"
