"""Which cluster of a challenger is which of the champion's, and the number that each gets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from retail_clusters.clustering.blocks import Floats

Lines = NDArray[np.int64]

#: Of the lines in matched clusters, before and after, the share that must keep their number.
MIN_RETAINED_SHARE: Final = 0.95


@dataclass(frozen=True, eq=False)
class Migration:
    """Lines by old and new cluster: `lines[i, j]` went from number `old[i]` to number `new[j]`."""

    old: tuple[int, ...]
    new: tuple[int, ...]
    lines: Lines

    @property
    def total(self) -> int:
        """Count the lines."""
        return int(self.lines.sum())

    @property
    def kept(self) -> int:
        """Count the lines whose number stays."""
        return int(sum(self.lines[self.old.index(n), self.new.index(n)] for n in {*self.old} & {*self.new}))

    def renumbered(self, numbers: Sequence[int]) -> "Migration":
        """Return the new clusters other numbers, and put them in their order."""
        order = np.argsort(numbers)
        return Migration(self.old, tuple(sorted(numbers)), self.lines[:, order])

    def table(self) -> pd.DataFrame:
        """Return a row for each pair of clusters that share lines: old_cluster, new_cluster, lines."""
        rows, columns = np.nonzero(self.lines)
        return pd.DataFrame(
            {
                "old_cluster": np.array(self.old)[rows],
                "new_cluster": np.array(self.new)[columns],
                "lines": self.lines[rows, columns],
            }
        )


@dataclass(frozen=True)
class Pair:
    """A cluster of the challenger and the one of the champion's that Hungarian assignment pairs it with."""

    cluster: int
    champion_number: int
    distance: float
    nearest: bool
    shared_lines: int
    lines: int
    champion_lines: int

    @property
    def overlap(self) -> float:
        """Return the share of lines that both have, of the larger of the two.

        Where neither has a line the centres decide: 1 when each is the other's nearest, else 0.
        """
        larger = max(self.lines, self.champion_lines)
        return self.shared_lines / larger if larger else float(self.nearest)


@dataclass(frozen=True)
class Matching:
    """The pairs of an assignment, those of them that match, and the number of each of the challenger's."""

    pairs: tuple[Pair, ...]
    matched: tuple[Pair, ...]
    numbers: tuple[int, ...]

    @property
    def kept(self) -> float:
        """Return the share of the lines in matched clusters, before and after, that keep their number."""
        lines = max(
            sum(pair.lines for pair in self.matched), sum(pair.champion_lines for pair in self.matched)
        )
        return sum(pair.shared_lines for pair in self.matched) / lines if lines else 1.0

    def table(self) -> pd.DataFrame:
        """Return a row for each cluster of the challenger: its number, and what it was paired with."""
        paired = {pair.cluster: pair for pair in self.pairs}
        rows = [(cluster, number, paired.get(cluster)) for cluster, number in enumerate(self.numbers)]
        return pd.DataFrame(
            [
                {
                    "trained_as": cluster,
                    "number": number,
                    "matched": pair in self.matched,
                    "paired_with": pair.champion_number if pair else None,
                    "distance": pair.distance if pair else None,
                    "overlap": pair.overlap if pair else 0.0,
                    "shared_lines": pair.shared_lines if pair else 0,
                    "lines": pair.lines if pair else None,
                    "champion_lines": pair.champion_lines if pair else None,
                }
                for cluster, number, pair in rows
            ]
        ).astype({"paired_with": "Int64", "lines": "Int64", "champion_lines": "Int64"})


def migration(counts: Iterable[tuple[int, int, int]], *, old: Sequence[int], new: Sequence[int]) -> Migration:
    """Arrange counts (old number, new number, lines) as a matrix of all clusters, the empty ones too."""
    old, new = sorted(old), sorted(new)
    lines = np.zeros((len(old), len(new)), dtype=np.int64)
    for one, other, count in counts:
        lines[old.index(one), new.index(other)] += count
    return Migration(tuple(old), tuple(new), lines)


def assign(challenger: Floats, champion: Floats, *, lines: Lines) -> list[tuple[int, int]]:
    """Pair challenger's centres (k x d) with champion's (m x d), so that lines move least in all.

    What is least is the sum, over the challenger's clusters, of lines times distance to the paired centre
    (Hungarian method). An empty cluster counts as one line. Of unlike numbers, min(k, m) are paired.
    Distance, not its square: one enormous order must not outweigh a hundred thousand lines.
    """
    distances = np.sqrt(_squared_distances(challenger, champion))
    rows, columns = linear_sum_assignment(np.maximum(lines, 1)[:, None] * distances)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def match(
    challenger: Floats, champion: Floats, *, numbers: Sequence[int], moved: Migration, unused_from: int
) -> Matching:
    """Return each cluster of a challenger the number of the champion's cluster that it matches.

    Hungarian assignment pairs as many as it can, but a pair can be two clusters far apart. A pair matches
    when most lines of each are lines of the other; and pairs match, best overlap first, only as long as 95 %
    of the lines in them, before and after, keep their number. Why: docs/decisions/0030-promotion.md.

    Args:
        challenger: k x d centres, cluster i of the challenger being row i.
        champion: m x d centres in the same space.
        numbers: the champion's numbers, one for each centre.
        moved: the lines behind both, with i as the new number of cluster i.
        unused_from: the first number that no cluster has had; clusters without a match get it and the next.
    """
    pairs = tuple(_pairs(challenger, champion, numbers=numbers, moved=moved))
    matched = _matching(pairs)
    kept = {pair.cluster: pair.champion_number for pair in matched}
    fresh = iter(range(unused_from, unused_from + len(challenger)))
    given = [kept[cluster] if cluster in kept else next(fresh) for cluster in range(len(challenger))]
    return Matching(pairs=pairs, matched=matched, numbers=tuple(given))


def _pairs(
    challenger: Floats, champion: Floats, *, numbers: Sequence[int], moved: Migration
) -> Iterable[Pair]:
    distances = np.sqrt(_squared_distances(challenger, champion))
    sizes = moved.lines.sum(axis=0)
    for cluster, of in assign(challenger, champion, lines=sizes):
        row = moved.lines[moved.old.index(numbers[of])]
        yield Pair(
            cluster=cluster,
            champion_number=numbers[of],
            distance=float(distances[cluster, of]),
            nearest=of == distances[cluster].argmin() and cluster == distances[:, of].argmin(),
            shared_lines=int(row[cluster]),
            lines=int(sizes[cluster]),
            champion_lines=int(row.sum()),
        )


def _matching(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Take the pairs that share most of their lines, best overlap first, while enough of all lines keep."""
    taken = Matching((), (), ())
    for pair in sorted(pairs, key=lambda pair: -pair.overlap):
        more = Matching((), (*taken.matched, pair), ())
        if pair.overlap <= 0.5 or more.kept < MIN_RETAINED_SHARE:
            break
        taken = more
    return taken.matched


def _squared_distances(one: Floats, other: Floats) -> Floats:
    distances: Floats = np.square(one[:, None, :] - other[None, :, :]).sum(axis=2)
    return distances
