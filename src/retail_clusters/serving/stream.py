"""The stream of files that arrive in a folder: what each batch holds, how it runs, how it stops."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from retail_clusters.errors import InputError

Process = Callable[[int, list[Path]], None]

_FILES: Final = "path string, modificationTime timestamp, length long, content binary"
_OPTIONS: Final = {
    "pathGlobFilter": "*.{csv,csv.gz,csv.bz2}",
    "recursiveFileLookup": "true",
    # A file that arrives late may be older than every other: by default Spark skips it after a week.
    "maxFileAge": "36500d",
}
_POLL: Final = 0.2


def run_stream(
    spark: SparkSession,
    *,
    source: Path,
    checkpoint: Path,
    max_files_per_trigger: int,
    once: bool,
    process: Process,
    stopping: threading.Event,
) -> None:
    """Hand the files that arrive in `source` to `process`, batch by batch, until done or told to stop.

    A batch is the same files whenever it is replayed: Spark's log in `checkpoint` holds their paths. The
    stream is one of files, and no job reads it: an empty file is in the log, but not in its frame. An
    exception of `process` ends the stream and is raised here.
    """
    failures: list[BaseException] = []

    def run_batch(_: DataFrame, batch_id: int) -> None:
        if stopping.is_set():
            raise _StoppedError
        try:
            process(batch_id, batch_files(checkpoint, batch_id))
        except BaseException as failure:
            failures.append(failure)
            raise

    files = spark.readStream.format("binaryFile").schema(_FILES).options(**_OPTIONS)
    stream = files.option("maxFilesPerTrigger", max_files_per_trigger).load(literal(source)).select("path")
    writer = stream.writeStream.foreachBatch(run_batch).option(
        "checkpointLocation", str(checkpoint.absolute())
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


def batch_files(checkpoint: Path, batch_id: int) -> list[Path]:
    """Read in Spark's log which files a batch holds, in the order of their names."""
    first = _log_offset(checkpoint, batch_id - 1) + 1 if batch_id else 0
    numbers = range(first, _log_offset(checkpoint, batch_id) + 1)
    return sorted(file for number in numbers for file in _logged(checkpoint, number))


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Turn SIGTERM and Ctrl-C into an event; a second one acts as it does elsewhere."""
    stopping = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def stop(number: int, _: FrameType | None) -> None:
        stopping.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, stop)
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(query: StreamingQuery, stopping: threading.Event) -> None:
    while not query.awaitTermination(_POLL):  # type: ignore[arg-type]
        if stopping.is_set() and not query.status["isTriggerActive"]:
            return


def literal(path: Path) -> str:
    """Return an absolute path with everything escaped that Hadoop would expand as a pattern."""
    return "".join(f"\\{sign}" if sign in "[]{}*?\\" else sign for sign in str(path.absolute()))


def _log_offset(checkpoint: Path, batch_id: int) -> int:
    """Return the last number in the log of files that a batch reaches: the third line of its offset file."""
    lines = _versioned(checkpoint / "offsets" / str(batch_id))
    return int(json.loads(lines[1])["logOffset"])


def _logged(checkpoint: Path, number: int) -> Iterator[Path]:
    log = checkpoint / "sources" / "0"
    plain, compacted = log / str(number), log / f"{number}.compact"
    for line in _versioned(plain if plain.exists() else compacted):
        entry = json.loads(line)
        if entry["batchId"] == number:
            yield Path(unquote(urlsplit(entry["path"]).path))


def _versioned(file: Path) -> list[str]:
    version, *lines = file.read_text(encoding="utf-8").strip("\n").split("\n")
    if version != "v1":
        raise InputError(
            f"a checkpoint's log must be of version v1, but {file} is of {version!r}: start a new one"
        )
    return lines
