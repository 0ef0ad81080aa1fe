"""Weighted vectors in memory, laid out for sums that are fast and whose bits depend on the rows alone."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[np.intp]

#: Rows in a block: a vector of so many doubles stays in a core's cache while all clusters pass over it.
BLOCK_ROWS: Final = 16_384

T_co = TypeVar("T_co", covariant=True)
S = TypeVar("S")


@dataclass(frozen=True, eq=False)
class Block:
    """Up to some thousand weighted vectors, in the order in which the caller gave them.

    Columns with many values are contiguous arrays. Columns with at most two values (slots of a one-hot
    encoding) repeat together: a row holds the number of its category, a category the values of those
    columns, so that all of them cost what one column costs.

    Attributes:
        numbers: one contiguous array for each column with many values.
        number_columns: where these stand in a vector.
        codes: the category of each row.
        categories: categories x columns with at most two values.
        category_columns: where these stand in a vector.
        weights: how many lines each row stands for.
    """

    numbers: tuple[Floats, ...]
    number_columns: tuple[int, ...]
    codes: Labels
    categories: Floats
    category_columns: tuple[int, ...]
    weights: Floats

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def width(self) -> int:
        """Return how many columns a vector has."""
        return len(self.number_columns) + len(self.category_columns)

    @property
    def values(self) -> Floats:
        """Return the vectors as they were given, n x d."""
        values = np.empty((len(self), self.width))
        for column, numbers in zip(self.number_columns, self.numbers, strict=True):
            values[:, column] = numbers
        for position, column in enumerate(self.category_columns):
            values[:, column] = self.categories[self.codes, position]
        return values

    def category_distances(self, centres: Floats) -> Floats:
        """Return the part of the squared distances that the category decides, centres x categories."""
        total = np.zeros((len(centres), len(self.categories)))
        for position, column in enumerate(self.category_columns):
            total += np.square(self.categories[:, position] - centres[:, column, None])
        return total

    def squared_distances(self, centre: Floats, by_category: Floats, *, out: Floats, scratch: Floats) -> None:
        """Write the squared distance of each row to `centre` into `out`, by differences.

        Expanded squares, |x|^2 - 2xc + |c|^2, would cancel the last digits of large numbers.

        Args:
            centre: d numbers.
            by_category: the row of `category_distances` that belongs to `centre`.
            out: n numbers, overwritten.
            scratch: n numbers, overwritten.
        """
        into = out
        for column, numbers in zip(self.number_columns, self.numbers, strict=True):
            np.subtract(numbers, centre[column], out=into)
            np.square(into, out=into)
            if into is scratch:
                np.add(out, scratch, out=out)
            into = scratch
        if into is out:
            out.fill(0.0)
        if self.category_columns:
            np.take(by_category, self.codes, out=scratch, mode="clip")
            np.add(out, scratch, out=out)


class Rows(Protocol[T_co]):
    """Rows to add up over: blocks in this process, or elsewhere."""

    def map(self, step: Callable[[T_co], S]) -> "Rows[S]":
        """Return what `step` makes of each block, where the block is."""
        ...

    def sum(self, partial: Callable[[T_co], Floats]) -> Floats:
        """Add up what `partial` makes of each block: in the order of blocks, then of partitions."""
        ...


@dataclass(frozen=True, eq=False)
class InMemory(Rows[T_co]):
    """Rows in this process. It can be pickled, and so be broadcast to the tasks of a cluster."""

    blocks: tuple[T_co, ...]

    def map(self, step: Callable[[T_co], S]) -> "InMemory[S]":
        """Return what `step` makes of each block."""
        return InMemory(tuple(step(block) for block in self.blocks))

    def sum(self, partial: Callable[[T_co], Floats]) -> Floats:
        """Add up what `partial` makes of each block, in their order."""
        return add_in_order(partial(block) for block in self.blocks)


def in_memory(values: Floats, weights: Floats, *, block_rows: int = BLOCK_ROWS) -> InMemory[Block]:
    """Lay out n x d vectors and their n weights in blocks; at least one row.

    The order of rows is kept, and decides the last bits of sums: give them in a canonical order.
    """
    return split(block(values, weights), block_rows=block_rows)


def split(whole: Block, *, block_rows: int = BLOCK_ROWS) -> InMemory[Block]:
    """Lay out the rows of one block in smaller ones, in their order."""
    starts = range(0, len(whole), block_rows)
    return InMemory(tuple(_part(whole, slice(start, start + block_rows), whole.weights) for start in starts))


def reweighted(whole: Block, weights: Floats) -> Block:
    """Return the rows with other weights, without those whose weight is 0."""
    return _part(whole, weights > 0, weights)


def block(values: Floats, weights: Floats) -> Block:
    """Lay out n x d vectors and their n weights in one block, whatever their number."""
    columns = [np.ascontiguousarray(column, dtype=np.float64) for column in values.T]
    few = [_has_two_values(column) for column in columns]
    category_columns = tuple(int(column) for column in np.flatnonzero(few))
    categories, codes = np.unique(values[:, category_columns], axis=0, return_inverse=True)
    return Block(
        numbers=tuple(numbers for numbers, is_category in zip(columns, few, strict=True) if not is_category),
        number_columns=tuple(int(column) for column in np.flatnonzero(np.logical_not(few))),
        codes=codes.reshape(-1),
        categories=np.asarray(categories, dtype=np.float64),
        category_columns=category_columns,
        weights=np.ascontiguousarray(weights, dtype=np.float64),
    )


def add_in_order(parts: Iterable[Floats]) -> Floats:
    """Add up arrays of one shape, one after the other."""
    remaining = iter(parts)
    total = next(remaining).copy()
    for part in remaining:
        total += part
    return total


def _part(whole: Block, here: slice | NDArray[np.bool_], weights: Floats) -> Block:
    return Block(
        numbers=tuple(numbers[here] for numbers in whole.numbers),
        number_columns=whole.number_columns,
        codes=whole.codes[here],
        categories=whole.categories,
        category_columns=whole.category_columns,
        weights=weights[here],
    )


def _has_two_values(column: Floats) -> bool:
    return bool(np.all((column == column.min()) | (column == column.max())))
