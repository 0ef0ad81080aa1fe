"""The stream of files that arrive in a folder: what each batch holds, how it runs, how it stops."""

import threading
from collections.abc import Callable
from typing import Any, Final

from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from retail_clusters.data import csv_files
from retail_clusters.infra.locations import is_local, literal, to_uri
from retail_clusters.serving.records import InputFile

Process = Callable[[int, list[InputFile]], None]

_FILES: Final = "path string, modificationTime timestamp, length long, content binary"
_FACTS: Final = ("path", "length", "modificationTime")
_POLL: Final = 0.2


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
    failures: list[BaseException] = []

    def run_batch(frame: DataFrame, batch_id: int) -> None:
        if stopping.is_set():
            raise _StoppedError
        try:
            process(batch_id, arrived(frame))
        except BaseException as failure:
            failures.append(failure)
            raise

    writer = (
        _files(spark, source, max_files_per_trigger)
        .writeStream.foreachBatch(run_batch)
        .option("checkpointLocation", to_uri(checkpoint))
    )
    trigger: dict[str, Any] = {"availableNow": True} if once else {"processingTime": "1 second"}
    query = writer.trigger(**trigger).start()
    try:
        _wait(query, stopping)
    except StreamingQueryException:
        if failures:
            raise failures[0] from None
        if not stopping.is_set():
            raise
    finally:
        query.stop()


class _StoppedError(Exception):
    """Ends a stream before its next batch."""


def arrived(frame: DataFrame) -> list[InputFile]:
    """List the files of a batch's frame, by name; their content is not read."""
    facts = frame.select("path", "length", F.unix_millis("modificationTime")).collect()
    return sorted(
        (InputFile(to_uri(path), length, modified) for path, length, modified in facts),
        key=lambda file: file.location,
    )


def _files(spark: SparkSession, source: str, max_files_per_trigger: int) -> DataFrame:
    reader = spark.readStream.format("binaryFile").schema(_FILES)
    reader = reader.options(**csv_files.NEVER_TOO_OLD, **csv_files.RECURSIVE)
    if is_local(source):
        reader = reader.options(**csv_files.WITHOUT_CHECKSUMS)
    reader = reader.options(
        pathGlobFilter=csv_files.NAME_PATTERN,
        maxFilesPerTrigger=max_files_per_trigger,
        ignoreMissingFiles="true",
    )
    return reader.load(literal(source)).select(*_FACTS)


def _wait(query: StreamingQuery, stopping: threading.Event) -> None:
    while not query.awaitTermination(_POLL):  # type: ignore[arg-type]
        if stopping.is_set() and not query.status["isTriggerActive"]:
            return
