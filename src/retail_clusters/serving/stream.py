"""The stream of files that arrive in a folder: what each batch of it holds."""

import threading
from collections.abc import Callable

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters.data import csv_files
from retail_clusters.infra.locations import to_uri
from retail_clusters.infra.streams import DRAIN, FOLLOW, run_batches
from retail_clusters.serving.records import InputFile

Process = Callable[[int, list[InputFile]], None]


def run_stream(
    spark: SparkSession,
    *,
    source: str,
    checkpoint: str,
    max_files_per_trigger: int,
    once: bool,
    process: Process,
    stopping: threading.Event,
) -> None:
    """Hand the files that arrive in `source` to `process`, batch by batch, until done or told to stop.

    A batch is the same files whenever it is replayed, but for those that are gone since. Files of length 0
    take part in a batch, and are not told of. An exception of `process` ends the stream and is raised here.
    """
    run_batches(
        csv_files.read_arriving(
            spark, source, max_files_per_trigger=max_files_per_trigger, ignoreMissingFiles="true"
        ),
        checkpoint=checkpoint,
        trigger=DRAIN if once else FOLLOW,
        process=lambda batch, frame: process(batch, arrived(frame)),
        stopping=stopping,
    )


def arrived(frame: DataFrame) -> list[InputFile]:
    """List the files of a batch's frame, by name; their content is not read."""
    facts = frame.select("path", "length", F.unix_millis("modificationTime")).collect()
    return sorted(
        (InputFile(to_uri(path), length, modified) for path, length, modified in facts),
        key=lambda file: file.location,
    )
