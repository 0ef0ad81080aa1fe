"""The scorer, one file a trigger and a drained backlog, against a batch job over the same files; the swap.

One process and one session; stream and batch job take turns, after one warm-up each. Prints Markdown rows.
"""

import argparse
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final

from pyspark.sql import SparkSession

from benchmarks import common
from benchmarks.baseline import checkout, python
from retail_clusters import schema
from retail_clusters.features.interface import open_model
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.search.train import train
from retail_clusters.serving import score
from retail_clusters.serving.commits import Record, committed, read_record
from retail_clusters.serving.source import ScoreRequest
from retail_clusters.settings import CHAMPION, Experiment, Scoring

OUTPUT: Final = "output"


def batch_job(spark: SparkSession, data: str, version: str) -> int:
    """Do what a person would write: no quarantine, no accounts, no checkpoint."""
    model = open_model(ModelRegistry(Experiment().model), version=version)
    lines = spark.read.schema(schema.INVOICE_LINE).options(header=True, escape='"').csv(data)
    model.score(lines).write.mode("overwrite").parquet(Path("batch").absolute().as_uri())
    return spark.read.parquet(Path("batch").absolute().as_uri()).count()


def stream(spark: SparkSession, data: str, files: int) -> int:
    """Drain the files through the scorer: a fresh checkpoint, an MLflow run, drift and all."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    request = ScoreRequest(source=data, output=OUTPUT, settings=Scoring(max_files_per_trigger=files))
    with common.chatter_aside():
        return score.run(spark, request).rows_scored


def main() -> None:
    """Let stream and batch job take turns; print medians and ratios, a batch of one file, and the swap."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=common.DATA)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--files", type=int, nargs="+", default=[100, 400], help="files a trigger")
    arguments = parser.parse_args()
    data = str(Path(arguments.data).absolute())
    with common.session() as spark:
        with common.chatter_aside():
            version = train(spark, data=data, experiment=Experiment()).version
            second = train(spark, data=data, experiment=Experiment(k=10)).version
        ModelRegistry(Experiment().model).set_alias(alias=CHAMPION, version=version)
        contestants: dict[str, Callable[[], int]] = {"batch job": partial(batch_job, spark, data, version)}
        for files in arguments.files:
            contestants[f"stream, {files} files a trigger"] = partial(stream, spark, data, files)
        taken = common.take_turns(contestants, times=arguments.repetitions)
        common.print_table("draining", taken, base="batch job")
        _print_one_file_a_trigger(spark, data, second)
    _print_beside_the_first(data)


def _print_one_file_a_trigger(spark: SparkSession, data: str, second: str) -> None:
    """Score one file a trigger, and let the champion move in the middle."""
    records = _seconds(spark, data, second)
    usual = [seconds for _, seconds in records]
    swaps = [
        seconds
        for (before, _), (after, seconds) in pairwise(records)
        if after.model_version != before.model_version
    ]
    print("\n| one file a trigger | seconds |\n|---|---:|")
    print(f"| a batch: median of {len(usual)} | {statistics.median(usual):.3f} |")
    print(f"| the batch that swaps | {', '.join(f'{seconds:.3f}' for seconds in swaps) or 'none'} |")


def _print_beside_the_first(data: str) -> None:
    """Let both versions score one file a trigger, each in a process of its own, by Spark's commits."""
    medians = {
        name: statistics.median(_gaps(data, project))
        for name, project in (("565f958", checkout()), ("this version", common.PROJECT))
    }
    print("\n| one file a trigger, a process of its own | a batch, median s |\n|---|---:|")
    for name, median in medians.items():
        print(f"| {name} | {median:.3f} |")


def _gaps(data: str, project: Path) -> list[float]:
    """Return the seconds between the commits of a stream of one file a trigger."""
    champion = (
        "import mlflow; mlflow.MlflowClient().set_registered_model_alias('retail-clusters', 'champion', '1')"
    )
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "experiments").symlink_to(project / "experiments")
        python(
            *("-m", "retail_clusters", "main", "--data", data, "--trials", "40"),
            folder=place,
            project=project,
        )
        python("-c", champion, folder=place, project=project)
        places = ("--source", data, "--output", "scored", "--checkpoint", "checkpoint")
        score = ("-m", "retail_clusters", "score", *places, "--max-files-per-trigger", "1")
        python(*score, folder=place, project=project)
        commits = sorted(place.glob("checkpoint/stream/commits/[0-9]*"), key=lambda file: int(file.name))
        return [after - before for before, after in pairwise(file.stat().st_mtime for file in commits)]


def _seconds(spark: SparkSession, data: str, second: str) -> list[tuple[Record, float]]:
    """Return each batch but the first, and the seconds since the one before was recorded."""
    half = Path(OUTPUT, "commits", f"{len(list(Path(data).glob('*.csv'))) // 2}.json")
    mover = threading.Thread(target=_move_champion, args=(half, second), daemon=True)
    shutil.rmtree(OUTPUT, ignore_errors=True)
    mover.start()
    stream(spark, data, 1)
    mover.join(timeout=10)
    records = [read_record(OUTPUT, number) for number in committed(OUTPUT)]
    return [(after, (after.timestamp - before.timestamp) / 1000) for before, after in pairwise(records)]


def _move_champion(when: Path, version: str) -> None:
    while not when.exists():
        time.sleep(0.05)
    ModelRegistry(Experiment().model).set_alias(alias=CHAMPION, version=version)


if __name__ == "__main__":
    main()
