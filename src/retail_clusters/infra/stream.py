"""A stream of Spark's whose batches a function takes: how it runs, how it is watched, how it stops."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.streaming.readwriter import DataStreamWriter

from retail_clusters.infra.locations import is_local, to_uri
from retail_clusters.infra.spark import WITHOUT_CHECKSUMS

#: Take what is there, and end.
DRAIN: Final[dict[str, Any]] = {"availableNow": True}

_POLL: Final = 0.2

#: For state on this machine's disks. Spark's usual way to rename has Hadoop start `readlink` for each name.
_ON_DISKS: Final = {
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
    **WITHOUT_CHECKSUMS,
}


def run_batches(
    arriving: DataFrame,
    *,
    checkpoint: str,
    process: Callable[[int, DataFrame], None],
    stopping: threading.Event,
) -> None:
    """Hand what is there to `process`, batch by batch, until done or told to stop.

    The session of `arriving` is the stream's own: `small_session` makes one. `stopping` ends the stream before
    the next batch; an exception of `process` ends it at once, and is raised here.
    """
    failures: list[BaseException] = []

    def run_batch(frame: DataFrame, batch: int) -> None:
        if stopping.is_set():
            raise _StoppedError
        try:
            process(batch, frame)
        except BaseException as failure:
            failures.append(failure)
            raise

    writer = arriving.writeStream.foreachBatch(run_batch).trigger(**DRAIN)
    query = start(writer, session=arriving.sparkSession, checkpoint=checkpoint)
    try:
        with stopped(query):
            _wait(query, stopping)
    except StreamingQueryException:
        if failures:
            raise failures[0] from None
        if not stopping.is_set():
            raise


def start(writer: DataStreamWriter, *, session: SparkSession, checkpoint: str) -> StreamingQuery:
    """Start a query that keeps its state at a checkpoint; its session is the stream's own."""
    for key, value in (_ON_DISKS if is_local(checkpoint) else {}).items():
        session.conf.set(key, value)
    return writer.option("checkpointLocation", to_uri(checkpoint)).start()


@contextmanager
def stopped(query: StreamingQuery) -> Iterator[None]:
    """Stop the query however the block ends."""
    try:
        yield
    finally:
        query.stop()


def _wait(query: StreamingQuery, stopping: threading.Event) -> None:
    """Wait until a query ends, or is between two batches once it is to stop."""
    while not query.awaitTermination(_POLL):  # type: ignore[arg-type]
        if stopping.is_set() and not query.status["isTriggerActive"]:
            return


@contextmanager
def stop_on_signals(asked: Callable[[], None] = lambda: None) -> Iterator[threading.Event]:
    """Turn SIGTERM and Ctrl-C into an event, and call `asked` once; a second one acts as it does elsewhere.

    Outside of the main thread, where Python takes no signals, the event stays unset.
    """
    stopping = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()
        restore()
        asked()

    for number in before:
        signal.signal(number, stop)
    try:
        yield stopping
    finally:
        restore()


class _StoppedError(Exception):
    """Ends a stream before its next batch."""
