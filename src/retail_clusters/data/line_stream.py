"""Invoice lines as they arrive in a folder, and what a stream's checkpoint says about each batch."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pyspark.sql import DataFrame, SparkSession

from retail_clusters.data import csv_files
from retail_clusters.infra.spark import small_session

__all__ = ["small_session"]


@dataclass(frozen=True)
class BatchInput:
    """What a micro-batch read, and the watermark before which its lines came too late."""

    files: tuple[Path, ...]
    watermark: datetime


def read_stream(spark: SparkSession, data: str, *, max_files_per_trigger: int) -> DataFrame:
    """Read lines as files arrive: `line` and `source_file`, without headers and blank lines."""
    return csv_files.read_line_stream(spark, data, max_files_per_trigger=max_files_per_trigger)


def read_files(spark: SparkSession, files: tuple[Path, ...]) -> DataFrame:
    """Read the lines of files again, by the rule of `read_stream`."""
    return csv_files.read_lines(spark, [str(file) for file in files])


def last_batch(checkpoint: Path) -> int | None:
    """Return the last batch that the stream has committed; None before the first."""
    committed = [int(log.name) for log in checkpoint.glob("commits/*") if log.name.isdigit()]
    return max(committed, default=None)


def query_id(checkpoint: Path) -> str | None:
    """Return the stream's identity, which a restart keeps; None before its first start."""
    metadata = checkpoint / "metadata"
    return str(json.loads(metadata.read_text())["id"]) if metadata.is_file() else None


def batch_input(checkpoint: Path, batch: int) -> BatchInput:
    """Look up what a batch read. Spark writes both logs before it runs the batch.

    A line is late against the watermark that the batch before had: Spark closes windows at the new one
    only after the batch's own lines are in.
    """
    _, offset = _offsets(checkpoint, batch)
    watermark, previous = _offsets(checkpoint, batch - 1) if batch else (0, -1)
    names = [name for at, name in _source_log(checkpoint, offset) if at > previous]
    return BatchInput(tuple(map(_path, names)), _instant(watermark))


def committed_files(checkpoint: Path) -> tuple[Path, ...]:
    """List the files of every committed batch."""
    last = last_batch(checkpoint)
    if last is None:
        return ()
    _, offset = _offsets(checkpoint, last)
    return tuple(_path(name) for _, name in _source_log(checkpoint, offset))


def watermark(checkpoint: Path) -> datetime:
    """Return the watermark of the last committed batch: days that end by then are closed."""
    last = last_batch(checkpoint)
    return _instant(0 if last is None else _offsets(checkpoint, last)[0])


def _offsets(checkpoint: Path, batch: int) -> tuple[int, int]:
    _, metadata, source = (checkpoint / "offsets" / str(batch)).read_text().splitlines()
    offset = -1 if source == "-" else int(json.loads(source)["logOffset"])
    return int(json.loads(metadata)["batchWatermarkMs"]), offset


def _source_log(checkpoint: Path, until: int) -> list[tuple[int, str]]:
    """Read the file log up to an offset, from the last compaction before it on."""
    entries: list[dict[str, Any]] = []
    for at in range(until, -1, -1):
        compacted = checkpoint / "sources" / "0" / f"{at}.compact"
        single = checkpoint / "sources" / "0" / str(at)
        log = compacted if compacted.is_file() else single
        entries += [json.loads(entry) for entry in log.read_text().splitlines()[1:]]
        if log is compacted:
            break
    return sorted((int(entry["batchId"]), str(entry["path"])) for entry in entries)


def _path(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
