"""One try at a batch: written where no reader looks, counted, then moved to the batch's folders."""

import re
import socket
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame

from retail_clusters import schema
from retail_clusters.infra import storage
from retail_clusters.infra.locations import join, name, to_uri
from retail_clusters.infra.spark import WITHOUT_CHECKSUMS
from retail_clusters.serving.commits import (
    COMMITS,
    KINDS,
    QUARANTINE,
    CommitLog,
    Record,
    batch_folder,
    read_record,
)

_ATTEMPTS: Final = ".attempts"
#: Attempts of another machine are over after so many seconds; those of this one, once its lock is free.
_OVER_AFTER: Final = 24 * 3600
_QUARANTINED: Final = pa.schema([(each, pa.string()) for each in schema.QUARANTINED_LINE.names])
_ROWS_AT_ONCE: Final = 10_000
_PARQUET: Final = ".parquet"
#: Nobody reads the folder before it is whole: Spark need not move files into it once more, nor mark it.
COMMITTER: Final = {
    "mapreduce.fileoutputcommitter.algorithm.version": "2",
    "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    **WITHOUT_CHECKSUMS,
}


class Attempt:
    """The files of one try at a batch, under names that no other try has; to be closed."""

    def __init__(self, output: str) -> None:
        """Write nothing yet."""
        self._output = output
        self._name = f"{_host()}-{int(time.time())}-{uuid.uuid4().hex[:12]}"
        self._folder = join(output, _ATTEMPTS, self._name)

    def folder(self, kind: str) -> str:
        """Name the hidden folder of scored or quarantined lines."""
        return join(self._folder, kind)

    def write(self, lines: DataFrame, kind: str) -> None:
        """Write scored or quarantined lines."""
        lines.write.options(**COMMITTER).mode("append").parquet(to_uri(self.folder(kind)))

    def write_whole_files(self, rows: Iterator[dict[str, str | None]]) -> tuple[int, int]:
        """Write quarantined rows that stand for whole files; count those with a line, and those without."""
        lines = blank = 0
        storage.make_folder(self.folder(QUARANTINE))
        place = join(self.folder(QUARANTINE), f"files{_PARQUET}")
        with storage.open_write(place) as stream, pq.ParquetWriter(stream, _QUARANTINED) as writer:
            while piece := list(islice(rows, _ROWS_AT_ONCE)):
                writer.write_table(pa.Table.from_pylist(piece, schema=_QUARANTINED))
                without = sum(row[schema.LINE] is None for row in piece)
                lines, blank = lines + len(piece) - without, blank + without
        return lines, blank

    def count(self, kind: str) -> int:
        """Count the rows that were written, by the footers of their files."""
        return sum(opened.metadata.num_rows for opened in self._opened(kind))

    def count_nulls(self, kind: str, column: str) -> int:
        """Count the rows that were written with nothing in a column, in the same way."""
        return sum(
            of_column.statistics.null_count
            for opened in self._opened(kind)
            for group in range(opened.metadata.num_row_groups)
            for at in range(opened.metadata.num_columns)
            if (of_column := opened.metadata.row_group(group).column(at)).path_in_schema == column
        )

    def count_days(self, kind: str) -> dict[str, int]:
        """Count the rows that were written of each day (ISO)."""
        days: Counter[str] = Counter()
        for opened in self._opened(kind):
            written = opened.read(columns=[schema.INVOICE_DATE])[schema.INVOICE_DATE]
            found, rows = np.unique(written.to_numpy().astype("datetime64[D]"), return_counts=True)
            days.update(dict(zip(found.astype(str).tolist(), rows.tolist(), strict=True)))
        return dict(days)

    def publish(self, batch_id: int) -> dict[str, list[str]]:
        """Move the files to the folders of a batch, where they do not count before a record has their names."""
        written: dict[str, list[str]] = {kind: [] for kind in KINDS}
        for kind, names in written.items():
            place = batch_folder(self._output, kind, batch_id)
            for number, file in enumerate(_files(self.folder(kind))):
                storage.make_folder(place)
                names.append(f"part-{number:05}-{self._name}{_PARQUET}")
                storage.rename(file, join(place, names[-1]))
        return written

    def close(self) -> None:
        """Remove what is not published."""
        storage.remove(self._folder)

    def _opened(self, kind: str) -> Iterator[Any]:
        for file in _files(self.folder(kind)):
            with (
                storage.open_read(file) as stream,
                pq.ParquetFile(stream, coerce_int96_timestamp_unit="us") as opened,
            ):
                yield opened


def prepare(log: CommitLog) -> None:
    """Make an output's folders, and remove what killed scorers left: for the one that this machine has.

    Raises:
        InputError: it cannot be written to.
    """
    for folder in (COMMITS, _ATTEMPTS):
        storage.make_folder(join(log.output, folder))
    for folder in storage.list_folders(join(log.output, _ATTEMPTS)):
        host, began, _ = name(folder).rsplit("-", 2)
        if host == _host() or time.time() - int(began) > _OVER_AFTER:
            storage.remove(folder)
    if log.last >= 0:
        remove_dead(log.output, read_record(log.output, log.last))


def remove_dead(output: str, record: Record) -> None:
    """Remove the files in a recorded batch's folders that its record does not name: of attempts that lost."""
    for kind, names in record.written.items():
        for file in _files(batch_folder(output, kind, record.batch_id)):
            if name(file) not in names:
                storage.remove(file)


def _files(folder: str) -> list[str]:
    if not storage.is_folder(folder):
        return []
    return [file.location for file in storage.list_files(folder, suffixes=(_PARQUET,))]


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.]", "-", socket.gethostname()) or "unknown"
