"""Scored and quarantined lines as Parquet: a folder a batch, whole or not at all."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame

from retail_clusters import schema

SCORED: Final = "scored"
_KINDS: Final = (schema.QUARANTINE, SCORED)
_WRITING: Final = ".writing"
_ROWS_AT_ONCE: Final = 10_000
_QUARANTINED: Final = pa.schema([(name, pa.string()) for name in schema.QUARANTINED_LINE.names])


@dataclass(frozen=True)
class Draft:
    """What a batch writes before anyone sees it."""

    folder: Path

    def write_scored(self, lines: DataFrame) -> None:
        """Write scored lines."""
        lines.write.mode("overwrite").parquet(str(self.folder / SCORED))

    def write_quarantine(self, lines: DataFrame) -> None:
        """Write quarantined lines."""
        lines.write.mode("overwrite").parquet(str(self.folder / schema.QUARANTINE))

    def write_unreadable_files(self, rows: Iterable[Mapping[str, str | None]]) -> int:
        """Write rows that stand for whole files, line by line or one without a line; count the lines.

        It writes a file even for no rows, so that the quarantine can always be read as Parquet.
        """
        folder = self.folder / schema.QUARANTINE
        folder.mkdir(parents=True, exist_ok=True)
        remaining, lines = iter(rows), 0
        with pq.ParquetWriter(folder / "files.parquet", _QUARANTINED) as writer:
            while piece := list(islice(remaining, _ROWS_AT_ONCE)):
                writer.write_table(pa.Table.from_pylist(piece, schema=_QUARANTINED))
                lines += sum(row[schema.LINE] is not None for row in piece)
        return lines

    def count_scored(self) -> int:
        """Count the scored lines that were written."""
        return _rows(self.folder / SCORED)

    def count_quarantined(self) -> int:
        """Count the quarantined lines that were written; a row that stands for a file is none."""
        tables = _tables(self.folder / schema.QUARANTINE, [schema.LINE])
        return sum(table.num_rows - table[schema.LINE].null_count for table in tables)

    @property
    def scored_folder(self) -> str:
        """Name the folder of the scored lines."""
        return str(self.folder / SCORED)

    def read_scored(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Read columns of the scored lines that were written, piece by piece."""
        return _tables(self.folder / SCORED, columns)


def prepare_output(output: Path) -> None:
    """Make the output's folders, and remove what a killed scorer left half written."""
    for kind in (*_KINDS, _WRITING):
        (output / kind).mkdir(parents=True, exist_ok=True)
    for leftover in (output / _WRITING).iterdir():
        shutil.rmtree(leftover)


@contextmanager
def draft(output: Path, batch_id: int) -> Iterator[Draft]:
    """Lend a draft of a batch; when the block ends well it takes the place of an earlier one.

    Each folder is moved in one step, the quarantine first. A process that dies between the two leaves a
    batch which Spark replays, and whose folders then replace these: a reader never sees a line twice.
    """
    output = output.absolute()
    folder = Path(tempfile.mkdtemp(prefix=f"batch_id={batch_id}-", dir=output / _WRITING))
    try:
        yield Draft(folder)
        for kind in _KINDS:
            _move(folder / kind, output / kind / f"batch_id={batch_id}", aside=folder / f"old-{kind}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move(new: Path, place: Path, *, aside: Path) -> None:
    if place.exists():
        place.rename(aside)
    new.rename(place)


def _rows(folder: Path) -> int:
    return sum(pq.read_metadata(file).num_rows for file in folder.glob("*.parquet"))


def _tables(folder: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    for file in sorted(folder.glob("*.parquet")):
        with pq.ParquetFile(file, coerce_int96_timestamp_unit="us") as opened:
            for batch in opened.iter_batches(batch_size=262_144, columns=list(columns)):
                yield pa.Table.from_batches([batch])
