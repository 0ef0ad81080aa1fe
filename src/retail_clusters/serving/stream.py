"""The stream of files that arrive in a folder: what each batch of it holds."""

import threading
from collections.abc import Callable
from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters.data import csv_files
from retail_clusters.infra.locations import to_uri
from retail_clusters.infra.spark import small_session
from retail_clusters.infra.streams import DRAIN, FOLLOW, run_batches
from retail_clusters.serving.known_files import InputFile

Process = Callable[[int, list[InputFile]], None]

#: Spark keeps the names of the files that are at most so much older than the newest. Those that come later
#: and are older it passes by in silence: they are for the caller to find.
REMEMBERED: Final = "30d"


def run_stream(
    spark: SparkSession,
    *,
    source: str,
    checkpoint: str,
    max_files_per_trigger: int,
    process: Process,
    stopping: threading.Event,
    until: Callable[[], bool] | None = None,
) -> None:
    """Hand the files of `source` to `process`, batch by batch: those that are there, until it is to stop.

    With `until`, those that arrive, too; it is asked between two batches whether that is the end.

    A batch is the same files whenever it is replayed, but for those that are gone since. Files of length 0
    take part in a batch, and are not told of. An exception of `process` ends the stream and is raised here.
    """
    run_batches(
        csv_files.read_arriving(
            small_session(spark),
            source,
            max_files_per_trigger=max_files_per_trigger,
            ignoreMissingFiles="true",
            maxFileAge=REMEMBERED,
        ),
        checkpoint=checkpoint,
        trigger=FOLLOW if until else DRAIN,
        process=lambda batch, frame: process(batch, arrived(frame)),
        stopping=stopping,
        until=until or (lambda: False),
    )


def arrived(frame: DataFrame) -> list[InputFile]:
    """List the files of a batch's frame, by name; their content is not read."""
    facts = frame.select("path", "length", F.unix_millis("modificationTime")).collect()
    return sorted(
        (InputFile(to_uri(path), length, modified) for path, length, modified in facts),
        key=lambda file: file.location,
    )
