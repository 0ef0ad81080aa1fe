"""What a batch writes before anyone sees it: folders that are published whole."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame

from retail_clusters import schema
from retail_clusters.errors import LockLostError
from retail_clusters.infra import storage
from retail_clusters.infra.locations import join, name, to_uri
from retail_clusters.infra.spark_settings import WITHOUT_CHECKSUMS
from retail_clusters.infra.staging import staged_folder
from retail_clusters.serving.output import Output

_QUARANTINED: Final = pa.schema([(each, pa.string()) for each in schema.QUARANTINED_LINE.names])
_ROWS_AT_ONCE: Final = 10_000
#: The folder is published as a whole: Spark's committer need not move files into it once more, nor mark it.
_COMMITTER: Final = {
    "mapreduce.fileoutputcommitter.algorithm.version": "2",
    "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    **WITHOUT_CHECKSUMS,
}


class StagedBatch:
    """The folders of one batch, each staged when it is first written to.

    Its files have names of their own: in an object store they may stand beside another process's.
    """

    def __init__(self, output: Output, batch_id: int, stack: ExitStack) -> None:
        """Stage nothing yet."""
        self._output, self._batch_id, self._stack = output, batch_id, stack
        self._scored: str | None = None
        self._quarantine: str | None = None
        self._mark = f"part-{uuid.uuid4().hex[:12]}"
        self._options = _COMMITTER | {"mapreduce.output.basename": self._mark}

    def write_scored(self, lines: DataFrame) -> None:
        """Write scored lines."""
        self._scored = self._stack.enter_context(staged_folder(self._output.scored_batch(self._batch_id)))
        lines.write.options(**self._options).mode("append").parquet(to_uri(self._scored))

    def write_quarantine(self, lines: DataFrame) -> None:
        """Write quarantined lines."""
        lines.write.options(**self._options).mode("append").parquet(to_uri(self._staged_quarantine()))

    def write_whole_files(self, rows: Iterator[dict[str, str | None]]) -> int:
        """Write rows that stand for whole files, line by line or one without a line; count the lines."""
        lines, piece = 0, _next(rows)
        if not piece:
            return 0
        place = join(self._staged_quarantine(), "files.parquet")
        with storage.open_write(place) as stream, pq.ParquetWriter(stream, _QUARANTINED) as writer:
            while piece:
                writer.write_table(pa.Table.from_pylist(piece, schema=_QUARANTINED))
                lines += sum(row[schema.LINE] is not None for row in piece)
                piece = _next(rows)
        return lines

    @property
    def scored_folder(self) -> str | None:
        """Name the folder of the scored lines; None when there are none."""
        return self._scored

    def read_scored(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Read columns of the scored lines that were written, piece by piece."""
        if self._scored is None:
            return
        for file in storage.list_files(self._scored, suffixes=(".parquet",)):
            with (
                storage.open_read(file.location) as stream,
                pq.ParquetFile(stream, coerce_int96_timestamp_unit="us") as opened,
            ):
                for batch in opened.iter_batches(batch_size=262_144, columns=list(columns)):
                    yield pa.Table.from_batches([batch])

    def withdraw(self) -> None:
        """Remove this batch's files from folders that are another's by now, and leave the other's."""
        for folder in filter(None, (self._scored, self._quarantine)):
            for file in storage.list_files(folder) if storage.is_folder(folder) else ():
                if name(file.location).startswith(self._mark):
                    storage.remove(file.location)

    def _staged_quarantine(self) -> str:
        if self._quarantine is None:
            folder = staged_folder(self._output.quarantine_batch(self._batch_id))
            self._quarantine = self._stack.enter_context(folder)
        return self._quarantine


@contextmanager
def staged_batch(
    output: Output, batch_id: int, *, confirm: Callable[[], None] = lambda: None
) -> Iterator[StagedBatch]:
    """Stage a batch, and publish it if the block ends well: quarantined lines first, then scored ones.

    Neither counts before the batch has a record. `confirm` is asked at both ends whether the output is still
    this process's, and raises LockLostError when it is not: after a failure, too, since another that empties
    the folder makes this one's writing fail.
    """
    confirm()
    with ExitStack() as stack:
        batch = StagedBatch(output, batch_id, stack)
        try:
            try:
                yield batch
            finally:
                confirm()
        except LockLostError:
            batch.withdraw()
            raise


def prepare(output: Output, *, after: int) -> None:
    """Make the output's folders, and remove what a killed scorer left without a record.

    Raises:
        InputError: it cannot be written to.
    """
    for folder in (output.scored, output.quarantine, output.commits):
        storage.make_folder(folder)
        storage.remove_drafts(folder)
    for batch_id in output.begun():
        if batch_id > after:
            storage.remove(output.scored_batch(batch_id))
            storage.remove(output.quarantine_batch(batch_id))
    if not storage.list_folders(output.quarantine):
        _make_readable(output)


def _make_readable(output: Output) -> None:
    """Write quarantined lines of none, so that the folder can always be read as Parquet."""
    storage.make_folder(output.quarantine_batch(0))
    with storage.open_write(join(output.quarantine_batch(0), "files.parquet")) as stream:
        pq.write_table(_QUARANTINED.empty_table(), stream)


def _next(rows: Iterator[dict[str, str | None]]) -> list[dict[str, str | None]]:
    return [row for _, row in zip(range(_ROWS_AT_ONCE), rows, strict=False)]
