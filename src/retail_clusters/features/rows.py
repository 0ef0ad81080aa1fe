"""Where the weighted rows are: in memory, or in the partitions of a Spark frame; sums over them, in order."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from retail_clusters.clustering.blocks import Block, Floats, InMemory, Rows, add_in_order, in_memory

T_co = TypeVar("T_co", covariant=True)
S = TypeVar("S")

#: The column of a frame that holds a row's feature vector as an array of double.
VALUES: Final = "_values"
_ROW: Final = "_row"

#: Columns of cells and rows beside the features, whose names begin with a letter.
SPLIT: Final = "_split"
CELL: Final = "_cell"
RECORDS: Final = "_records"
#: Before the name of a number that describes records: its sum, and how many have it.
SUM: Final = "_sum_"
COUNT: Final = "_count_"
#: Records are drawn anew by group, for refits: days are dealt into so many. Groups have as many days as one
#: another, and every weekday: 20 and 7 have no common divisor.
DAY_GROUPS: Final = 20


@dataclass(frozen=True, eq=False)
class WeightedRows:
    """Distinct feature values in memory, in canonical order, and how many records each stands for.

    Attributes:
        table: the features, a row for each distinct combination, and `_records`.
        cells: the rows by group and description: what `records.cells` gives, and `_row`.
        features: the names of the features, in their order.
    """

    table: pa.Table
    cells: pa.Table
    features: tuple[str, ...]

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def keys(self) -> pa.Table:
        """Return the features alone."""
        return self.table.select(list(self.features))

    @property
    def weights(self) -> Floats:
        """Return the records that each row stands for, n numbers."""
        return self.numbers(RECORDS)

    @property
    def weights_by_group(self) -> Floats:
        """Return the records that each row stands for in each group, n x g."""
        at = self.of_cells * DAY_GROUPS + self.cell_numbers(CELL).astype(np.int64) % DAY_GROUPS
        counted = np.bincount(at, self.cell_numbers(RECORDS), len(self) * DAY_GROUPS)
        return np.asarray(counted.reshape(len(self), DAY_GROUPS), dtype=np.float64)

    @property
    def of_cells(self) -> NDArray[np.int64]:
        """Return the row of each cell."""
        return np.asarray(self.cells[_ROW], dtype=np.int64)

    def numbers(self, name: str) -> Floats:
        """Return a column as n doubles."""
        return np.asarray(self.table[name], dtype=np.float64)

    def texts(self, name: str) -> list[str]:
        """Return a column as n texts."""
        return [str(value) for value in self.table[name].to_pylist()]

    def cell_numbers(self, name: str) -> Floats:
        """Return a column of the cells as doubles."""
        return np.asarray(self.cells[name], dtype=np.float64)


def weighted_rows(cells: pa.Table, features: Sequence[str]) -> WeightedRows:
    """Add up cells that have the same features; the order of cells does not matter."""
    others = [name for name in cells.column_names if name not in features and not _is_sum(name)]
    ordered = cells.sort_by([(name, "ascending") for name in (*features, *others)]).combine_chunks()
    new = np.zeros(len(ordered), dtype=bool)
    new[:1] = True
    for name in features:
        column = ordered[name]
        new[1:] |= np.asarray(pc.not_equal(column[1:], column[:-1]), dtype=bool)
    starts = np.flatnonzero(new)
    counted = np.asarray(ordered[RECORDS], dtype=np.int64)
    records = np.add.reduceat(counted, starts) if len(starts) else counted
    table = ordered.select(list(features)).take(starts).append_column(RECORDS, pa.array(records))
    return WeightedRows(table, ordered.append_column(_ROW, pa.array(np.cumsum(new) - 1)), tuple(features))


def merge(*parts: WeightedRows) -> WeightedRows:
    """Merge rows of several parts: those with one key become one, and their records add up."""
    cells = pa.concat_tables([part.cells.drop_columns(_ROW) for part in parts])
    return weighted_rows(cells, parts[0].features)


def _is_sum(name: str) -> bool:
    return name == RECORDS or name.startswith((SUM, COUNT))


@dataclass(frozen=True, eq=False)
class Partitions(Rows[T_co]):
    """Rows in the partitions of a Spark frame with `_values` and `_records`, in canonical layout.

    Partial sums are made where the rows are and added in the order of the partitions: the result follows
    from the partitioning alone, and is that of rows in memory where one partition holds all of them.
    """

    frame: DataFrame
    step: Callable[[Block], T_co]

    def map(self, step: Callable[[T_co], S]) -> "Partitions[S]":
        """Return what `step` will make of each block; nothing is computed before it is summed."""
        first = self.step
        return Partitions(self.frame, lambda block: step(first(block)))

    def sum(self, partial: Callable[[T_co], Floats]) -> Floats:
        """Add up what `partial` makes of each block: in the order of blocks, then of partitions."""
        step = self.step

        def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            if rows := _blocks_of(batches):
                total = rows.map(step).sum(partial)
                yield pa.RecordBatch.from_pydict({"shape": [list(total.shape)], "total": [total.ravel()]})

        parts = self.frame.mapInArrow(run, "shape array<bigint>, total array<double>").toArrow().to_pylist()
        return add_in_order(np.array(part["total"]).reshape(part["shape"]) for part in parts)


def partitions(frame: DataFrame) -> Rows[Block]:
    """Return the rows of a frame with `_values` and `_records`, in canonical layout."""
    return Partitions(frame.select(VALUES, RECORDS), lambda block: block)


def _blocks_of(batches: Iterable[pa.RecordBatch]) -> InMemory[Block] | None:
    """Lay out what Spark hands to a task; None for an empty partition."""
    received = [batch for batch in batches if batch.num_rows]
    if not received:
        return None
    table = pa.Table.from_batches(received)
    return in_memory(vectors_of(table[VALUES]), np.asarray(table[RECORDS], dtype=np.float64))


def vectors_of(arrays: Any) -> Floats:
    """Return a column of n arrays of d doubles as an n x d matrix."""
    flat = arrays.combine_chunks() if isinstance(arrays, pa.ChunkedArray) else arrays
    return np.asarray(flat.flatten(), dtype=np.float64).reshape(len(flat), -1)
