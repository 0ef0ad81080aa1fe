"""One try at a batch: written where no reader looks, counted, then moved to the batch's folders."""

import re
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame

from retail_clusters import schema
from retail_clusters.infra import storage
from retail_clusters.infra.locations import join, name, to_uri
from retail_clusters.infra.spark import WITHOUT_CHECKSUMS
from retail_clusters.serving.commits import CommitLog, Output, Record, batch_folder, read_record

#: Attempts of another machine are over after so many seconds; those of this one, once its lock is free.
_OVER_AFTER: Final = 24 * 3600
_QUARANTINED: Final = pa.schema([(each, pa.string()) for each in schema.QUARANTINED_LINE.names])
_ROWS_AT_ONCE: Final = 10_000
_PARQUET: Final = ".parquet"
#: Nobody reads the folder before it is whole: Spark need not move files into it once more, nor mark it.
_COMMITTER: Final = {
    "mapreduce.fileoutputcommitter.algorithm.version": "2",
    "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    **WITHOUT_CHECKSUMS,
}


@dataclass(frozen=True)
class Attempt:
    """The files of one try at a batch, under names that no other try has."""

    output: Output
    name: str

    @property
    def folder(self) -> str:
        """Name the hidden folder of the attempt."""
        return join(self.output.attempts, self.name)

    @property
    def scored(self) -> str:
        """Name the hidden folder of the scored lines."""
        return join(self.folder, "scored")

    @property
    def quarantine(self) -> str:
        """Name the hidden folder of the quarantined lines."""
        return join(self.folder, schema.QUARANTINE)

    def write(self, lines: DataFrame, folder: str) -> None:
        """Write lines to one of the two folders."""
        lines.write.options(**_COMMITTER).mode("append").parquet(to_uri(folder))

    def write_whole_files(self, rows: Iterator[dict[str, str | None]]) -> tuple[int, int]:
        """Write rows that stand for whole files; count those with a line, and those without."""
        lines = blank = 0
        storage.make_folder(self.quarantine)
        place = join(self.quarantine, f"files{_PARQUET}")
        with storage.open_write(place) as stream, pq.ParquetWriter(stream, _QUARANTINED) as writer:
            while piece := list(islice(rows, _ROWS_AT_ONCE)):
                writer.write_table(pa.Table.from_pylist(piece, schema=_QUARANTINED))
                without = sum(row[schema.LINE] is None for row in piece)
                lines, blank = lines + len(piece) - without, blank + without
        return lines, blank

    def count_rows(self, folder: str) -> int:
        """Count the rows of one of the two folders by the footers of its files."""
        rows = 0
        for file in _files(folder):
            with storage.open_read(file) as stream, pq.ParquetFile(stream) as opened:
                rows += opened.metadata.num_rows
        return rows

    def read_scored(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Read columns of the scored lines, piece by piece."""
        for file in _files(self.scored):
            with (
                storage.open_read(file) as stream,
                pq.ParquetFile(stream, coerce_int96_timestamp_unit="us") as opened,
            ):
                for batch in opened.iter_batches(batch_size=262_144, columns=list(columns)):
                    yield pa.Table.from_batches([batch])

    def publish(self, batch_id: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Move the files to the folders of a batch; return the names of the scored and the quarantined ones.

        They do not count there before a record names them.
        """
        quarantine = self._move(self.quarantine, batch_folder(self.output.quarantine, batch_id))
        return self._move(self.scored, batch_folder(self.output.scored, batch_id)), quarantine

    def withdraw(self, batch_id: int) -> None:
        """Remove the files from the folders of a batch that another scorer has recorded."""
        for lines in (self.output.scored, self.output.quarantine):
            for file in _files(batch_folder(lines, batch_id)):
                if self.name in name(file):
                    storage.remove(file)

    def _move(self, folder: str, place: str) -> tuple[str, ...]:
        moved = []
        for number, file in enumerate(_files(folder)):
            storage.make_folder(place)
            moved.append(f"part-{number:05}-{self.name}{_PARQUET}")
            storage.rename(file, join(place, moved[-1]))
        return tuple(moved)


@contextmanager
def attempted(output: Output) -> Iterator[Attempt]:
    """Lend an attempt, and remove what it has not published."""
    attempt = Attempt(output, f"{_host()}-{int(time.time())}-{uuid.uuid4().hex[:12]}")
    try:
        yield attempt
    finally:
        storage.remove(attempt.folder)


def prepare(log: CommitLog) -> None:
    """Make the output's folders, and remove what killed scorers left: for the one that this machine has.

    Raises:
        InputError: it cannot be written to.
    """
    output = log.output
    for folder in (output.scored, output.quarantine, output.commits, output.attempts):
        storage.make_folder(folder)
    for folder in storage.list_folders(output.attempts):
        host, began, _ = name(folder).rsplit("-", 2)
        if host == _host() or time.time() - int(began) > _OVER_AFTER:
            storage.remove(folder)
    if log.last >= 0:
        remove_dead(output, read_record(output, log.last))


def remove_dead(output: Output, record: Record) -> None:
    """Remove the files in a recorded batch's folders that its record does not name: of attempts that lost."""
    for lines, names in ((output.scored, record.scored_files), (output.quarantine, record.quarantine_files)):
        if names is not None:
            for file in _files(batch_folder(lines, record.batch_id)):
                if name(file) not in names:
                    storage.remove(file)


def _files(folder: str) -> list[str]:
    if not storage.is_folder(folder):
        return []
    return [file.location for file in storage.list_files(folder, suffixes=(_PARQUET,))]


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.]", "-", socket.gethostname()) or "unknown"
