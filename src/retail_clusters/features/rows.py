"""Where the weighted rows are: in memory, or in the partitions of a Spark frame; sums over them, in order."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from retail_clusters import schema
from retail_clusters.clustering.blocks import Block, Floats, InMemory, Rows, add_in_order, in_memory

T_co = TypeVar("T_co", covariant=True)
S = TypeVar("S")

#: The column of a frame that holds a row's feature vector as an array of double.
VALUES: Final = "values"

#: A row has as many days as the data, at most: some megabytes of them at a time.
_ROWS_AT_ONCE: Final = 4_096
_ORDER: Final = [(name, "ascending") for name in schema.ROW_KEY]


@dataclass(frozen=True, eq=False)
class WeightedRows:
    """Distinct rows in memory, sorted by their key, and how many lines each stands for.

    Attributes:
        table: the columns of `schema.WEIGHTED_ROW`, a row for each distinct key.
    """

    table: pa.Table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def prices(self) -> Floats:
        """Return UnitPrice, n numbers."""
        return self.numbers(schema.UNIT_PRICE)

    @property
    def quantities(self) -> Floats:
        """Return Quantity, n numbers."""
        return self.numbers(schema.QUANTITY)

    @property
    def weights(self) -> Floats:
        """Return the lines that each row stands for, n numbers."""
        return self.numbers(schema.WEIGHT)

    @property
    def weekdays(self) -> NDArray[np.int64]:
        """Return the weekday of each row, 0 for Monday to 6 for Sunday."""
        names = self.table[schema.DAY_OF_WEEK].to_pylist()
        return np.array([schema.WEEKDAYS.index(name) for name in names], dtype=np.int64)

    def days(self) -> Iterator["Days"]:
        """Return the lines of each row on each day that it came on, a few thousand rows at a time."""
        for start in range(0, len(self), _ROWS_AT_ONCE):
            lists = self.table[schema.DAYS].slice(start, _ROWS_AT_ONCE).combine_chunks()
            parts = lists.flatten()
            counts = np.asarray(lists.value_lengths())
            yield Days(
                of=range(start, start + len(counts)),
                rows=np.repeat(np.arange(start, start + len(counts)), counts),
                days=np.asarray(parts.field(schema.DAY), dtype=np.int64),
                lines=np.asarray(parts.field(schema.LINES), dtype=np.float64),
            )

    @property
    def weights_by_group(self) -> Floats:
        """Return the lines that each row stands for in each group of days, n x g.

        Days are dealt by their number since 1970, modulo that of the groups. Groups have as many days as one
        another, and every weekday: 20 and 7 have no common divisor.
        """
        groups, parts = schema.DAY_GROUPS, []
        for found in self.days():
            cells = (found.rows - found.of.start) * groups + found.days % groups
            parts.append(np.bincount(cells, found.lines, len(found.of) * groups).reshape(-1, groups))
        return np.concatenate(parts)

    def numbers(self, name: str) -> Floats:
        """Return a column as n doubles."""
        return np.asarray(self.table[name], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Days:
    """How many lines a row has on a day, for each pair of them that occurs: row, day since 1970, lines.

    `of` are the rows that are told of.
    """

    of: range
    rows: NDArray[np.int64]
    days: NDArray[np.int64]
    lines: Floats


def weighted_rows(table: pa.Table) -> WeightedRows:
    """Sort rows by their key."""
    return WeightedRows(table.sort_by(_ORDER).combine_chunks())


def merge(*parts: WeightedRows) -> WeightedRows:
    """Merge rows of several splits: those with one key become one, and their lines add up."""
    sums = (schema.WEIGHT, schema.CANCELLATIONS)
    joined = pa.concat_tables([part.table.select([*schema.ROW_KEY, *sums]) for part in parts])
    merged = joined.group_by(list(schema.ROW_KEY)).aggregate([(name, "sum") for name in sums])
    return weighted_rows(merged.rename_columns([*schema.ROW_KEY, *sums]))


@dataclass(frozen=True, eq=False)
class Partitions(Rows[T_co]):
    """Rows in the partitions of a Spark frame with the columns `values` and `weight`, in canonical layout.

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
    """Return the rows of a frame with `values` and `weight`, in canonical layout."""
    return Partitions(frame.select(VALUES, schema.WEIGHT), lambda block: block)


def _blocks_of(batches: Iterable[pa.RecordBatch]) -> InMemory[Block] | None:
    """Lay out what Spark hands to a task; None for an empty partition."""
    received = [batch for batch in batches if batch.num_rows]
    if not received:
        return None
    table = pa.Table.from_batches(received)
    return in_memory(vectors_of(table[VALUES]), np.asarray(table[schema.WEIGHT], dtype=np.float64))


def vectors_of(arrays: Any) -> Floats:
    """Return a column of n arrays of d doubles as an n x d matrix."""
    flat = arrays.combine_chunks() if isinstance(arrays, pa.ChunkedArray) else arrays
    return np.asarray(flat.flatten(), dtype=np.float64).reshape(len(flat), -1)
