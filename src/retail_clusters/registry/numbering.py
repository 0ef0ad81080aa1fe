"""Which cluster of a new version is which of the champion's, and the number that each gets."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from retail_clusters.clustering.blocks import Floats, Labels

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
        return Migration(self.old, tuple(sorted(numbers)), self.lines[:, np.argsort(numbers)])

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
    """A new cluster and the one of the champion's that Hungarian assignment pairs it with.

    `overlap` is the share of lines that both have, of the larger of the two. Where neither has a line the
    centres decide: 1 when each is the other's nearest, else 0.
    """

    trained_as: int
    paired_with: int
    distance: float
    overlap: float
    shared_lines: int
    lines: int
    champion_lines: int


@dataclass(frozen=True)
class Matching:
    """The pairs of an assignment, those of them that match, and the number that each new cluster gets."""

    pairs: tuple[Pair, ...]
    matched: tuple[Pair, ...]
    numbers: tuple[int, ...]

    def summary(self, moved: Migration) -> str:
        """Say how many clusters keep a number of the champion's, and how many of the lines."""
        kept = moved.renumbered(self.numbers).kept
        return (
            f"{len(self.matched)} of {len(self.numbers)} clusters keep a number of the champion's, "
            f"with {kept:,} of {moved.total:,} test lines"
        )

    def table(self) -> pd.DataFrame:
        """Return a row for each new cluster: its number, whether it matched, and what it was paired with."""
        matched = {pair.trained_as for pair in self.matched}
        given = pd.DataFrame(
            [(cluster, number, cluster in matched) for cluster, number in enumerate(self.numbers)],
            columns=["trained_as", "number", "matched"],
        )
        pairs = pd.DataFrame([asdict(pair) for pair in self.pairs])
        whole = given.merge(pairs, how="left", on="trained_as")
        return whole.astype(
            dict.fromkeys(("paired_with", "shared_lines", "lines", "champion_lines"), "Int64")
        )


def to_text(numbers: Sequence[int]) -> str:
    """Write cluster numbers as a tag, such as `2,0,1`."""
    return ",".join(str(number) for number in numbers)


def from_text(text: str) -> tuple[int, ...]:
    """Read cluster numbers from a tag."""
    return tuple(int(number) for number in text.split(",") if number)


def migration(before: Labels, after: Labels, weights: Floats, *, old: Sequence[int], k: int) -> Migration:
    """Count lines by their cluster before and after, the empty clusters too.

    Args:
        before: n labels, each a place in `old`.
        after: n labels below `k`; cluster i stands under number i.
        weights: the lines that each of the n rows stands for.
        old: the numbers of the clusters before.
        k: how many clusters there are after.
    """
    counts = np.bincount(before * k + after, weights, len(old) * k).reshape(len(old), k)
    return Migration(tuple(sorted(old)), tuple(range(k)), counts[np.argsort(old)].astype(np.int64))


def match(
    new: Floats, champion: Floats, *, numbers: Sequence[int], moved: Migration, unused_from: int
) -> Matching:
    """Return each new cluster the number of the champion's cluster that it matches.

    Hungarian assignment pairs as many as it can, but a pair can be two clusters far apart. A pair matches
    when most lines of each are lines of the other; and pairs match, best overlap first, only as long as 95 %
    of the lines in them, before and after, keep their number. Why: docs/decisions/0030-promotion.md.

    Args:
        new: k x d centres.
        champion: m x d centres in the same space.
        numbers: the champion's numbers, one for each centre.
        moved: the lines behind both, with i as the new number of cluster i.
        unused_from: the first number that no cluster has had; clusters without a match get it and the next.
    """
    pairs = tuple(_pairs(new, champion, numbers=numbers, moved=moved))
    matched = _matching(pairs)
    kept = {pair.trained_as: pair.paired_with for pair in matched}
    unused = itertools.count(unused_from)
    given = (kept[cluster] if cluster in kept else next(unused) for cluster in range(len(new)))
    return Matching(pairs=pairs, matched=matched, numbers=tuple(given))


def assign(new: Floats, champion: Floats, *, lines: Lines) -> list[tuple[int, int]]:
    """Pair new centres (k x d) with the champion's (m x d), so that lines move least in all.

    What is least is the sum, over the new clusters, of lines times distance to the paired centre (Hungarian
    method). An empty cluster counts as one line. Of unlike numbers, min(k, m) are paired.
    Distance, not its square: one enormous order must not outweigh a hundred thousand lines.
    """
    rows, columns = linear_sum_assignment(np.maximum(lines, 1)[:, None] * _distances(new, champion))
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def _pairs(new: Floats, champion: Floats, *, numbers: Sequence[int], moved: Migration) -> Iterator[Pair]:
    distances = _distances(new, champion)
    sizes = moved.lines.sum(axis=0)
    for cluster, of in assign(new, champion, lines=sizes):
        row = moved.lines[moved.old.index(numbers[of])]
        nearest = of == distances[cluster].argmin() and cluster == distances[:, of].argmin()
        larger = max(int(sizes[cluster]), int(row.sum()))
        yield Pair(
            trained_as=cluster,
            paired_with=numbers[of],
            distance=float(distances[cluster, of]),
            overlap=float(row[cluster] / larger) if larger else float(nearest),
            shared_lines=int(row[cluster]),
            lines=int(sizes[cluster]),
            champion_lines=int(row.sum()),
        )


def _matching(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Take the pairs that share most of their lines, best overlap first, while enough of all lines keep."""
    taken: tuple[Pair, ...] = ()
    for pair in sorted(pairs, key=lambda pair: -pair.overlap):
        if pair.overlap <= 0.5 or _kept_share([*taken, pair]) < MIN_RETAINED_SHARE:
            break
        taken = (*taken, pair)
    return taken


def _kept_share(pairs: Sequence[Pair]) -> float:
    """Return the share of the lines in some pairs, before and after, that both clusters of a pair have."""
    lines = max(sum(pair.lines for pair in pairs), sum(pair.champion_lines for pair in pairs))
    return sum(pair.shared_lines for pair in pairs) / lines if lines else 1.0


def _distances(one: Floats, other: Floats) -> Floats:
    distances: Floats = np.sqrt(np.square(one[:, None, :] - other[None, :, :]).sum(axis=2))
    return distances
