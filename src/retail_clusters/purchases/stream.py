"""What the two streams of `purchases` share: files, what a person sees of them, how they stop."""

import contextlib
import io
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from retail_clusters.data import csv_files
from retail_clusters.infra import locations, storage
from retail_clusters.purchases import charts

Trigger = dict[str, Any]

#: Take the files that are there, and end.
DRAIN: Final[Trigger] = {"availableNow": True}
#: Take files as they arrive, for ever.
FOLLOW: Final[Trigger] = {"processingTime": "1 second"}

_POLL: Final = 0.2
_FILES: Final = "path string, modificationTime timestamp, length long, content binary"

#: A batch of so few files is one task, without a shuffle.
FEW_FILES: Final = 4


@contextlib.contextmanager
def stopped(query: StreamingQuery) -> Iterator[None]:
    """Stop the query however the block ends."""
    try:
        yield
    finally:
        query.stop()


def watch(
    query: StreamingQuery,
    *,
    headline: Callable[[], str],
    body: Callable[[], str] = str,
    stopping: threading.Event | None = None,
) -> None:
    """Show how far the stream is, each time that its headline changes, until it ends or is to stop."""
    screen = charts.Screen()
    shown, drawn = "", time.monotonic()
    try:
        while not query.awaitTermination(_POLL):  # type: ignore[arg-type]
            if stopping and stopping.is_set() and not query.status["isTriggerActive"]:
                return
            text = headline()
            if text and text != shown and time.monotonic() - drawn >= screen.interval:
                shown, drawn = text, time.monotonic()
                screen.draw(text, body())
    finally:
        screen.clear()


def plan_of(query: StreamingQuery) -> str:
    """Return the physical plan of the last batch: Spark prints it, so it is caught."""
    with contextlib.redirect_stdout(io.StringIO()) as plan:
        query.explain()
    return plan.getvalue()


def arriving_files(spark: SparkSession, data: str, *, max_files_per_trigger: int) -> DataFrame:
    """Read the paths of files as they arrive, by the rules of `csv_files`.

    None is opened; empty ones are not seen.
    """
    reader = spark.readStream.format("binaryFile").schema(_FILES).options(**csv_files.NEVER_TOO_OLD)
    reader = reader.options(**csv_files.RECURSIVE, maxFilesPerTrigger=max_files_per_trigger)
    if locations.is_local(data):
        reader = reader.options(**csv_files.WITHOUT_CHECKSUMS)
    if not storage.is_file(data):
        reader = reader.option("pathGlobFilter", csv_files.NAME_PATTERN)
    place = locations.literal(data) if storage.exists(data) else locations.to_uri(data)
    return reader.load(place).select("path")


def run_file_stream(
    files: DataFrame,
    *,
    checkpoint: str,
    trigger: Trigger,
    process: Callable[[int, list[str]], None],
    headline: Callable[[], str],
    stopping: threading.Event,
) -> None:
    """Hand the paths of arriving files to `process`, batch by batch, in the order of their names.

    A batch that is done again after a kill is of the same files. `stopping` ends the stream before the next
    batch; an exception of `process` ends it at once, and is raised here.
    """
    failures: list[BaseException] = []

    def run_batch(frame: DataFrame, batch: int) -> None:
        if stopping.is_set():
            raise _StoppedError
        try:
            process(batch, sorted(row.path for row in frame.collect()))
        except BaseException as failure:
            failures.append(failure)
            raise

    writer = files.writeStream.foreachBatch(run_batch).option(
        "checkpointLocation", locations.to_uri(checkpoint)
    )
    query = writer.trigger(**trigger).start()
    try:
        with stopped(query):
            watch(query, headline=headline, stopping=stopping)
    except StreamingQueryException:
        if failures:
            raise failures[0] from None
        if not stopping.is_set():
            raise


class _StoppedError(Exception):
    """Ends a stream before its next batch."""
