"""Which cluster of a new version is which of the champion's, and the number that each gets."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
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
) -> pd.DataFrame:
    """Return each new cluster the number of the champion's cluster that it matches, else an unused one.

    Hungarian assignment pairs as many as it can, but a pair can be two clusters far apart. A pair matches
    when most lines of each are lines of the other; and pairs match, best overlap first, only as long as 95 %
    of the lines in them, before and after, keep their number. Why: docs/decisions/0030-promotion.md.

    Args:
        new: k x d centres.
        champion: m x d centres in the same space.
        numbers: the champion's numbers, one for each centre.
        moved: the lines behind both, with i as the new number of cluster i.
        unused_from: the first number that no cluster has had; clusters without a match get it and the next.

    Returns:
        A row for each new cluster, in their order: `trained_as`, `number`, `matched`, and, of the one that it is
        paired with, `paired_with`, `distance`, `overlap`, `shared_lines`, `lines` and `champion_lines`.
    """
    pairs = _pairs(new, champion, numbers=numbers, moved=moved)
    best = pairs.sort_values("overlap", ascending=False, kind="stable")
    lines = np.maximum(best["lines"].cumsum(), best["champion_lines"].cumsum())
    kept = best["shared_lines"].cumsum() >= MIN_RETAINED_SHARE * lines
    matched = best[((best["overlap"] > 0.5) & kept).cummin()].set_index("trained_as")["paired_with"]
    unused = itertools.count(unused_from)
    given = [
        (
            cluster,
            int(matched[cluster]) if cluster in matched.index else next(unused),
            cluster in matched.index,
        )
        for cluster in range(len(new))
    ]
    table = pd.DataFrame(given, columns=["trained_as", "number", "matched"])
    return table.merge(pairs.convert_dtypes(), how="left", on="trained_as")


def _pairs(new: Floats, champion: Floats, *, numbers: Sequence[int], moved: Migration) -> pd.DataFrame:
    """Pair new centres with the champion's, so that lines move least in all.

    What is least is the sum, over the new clusters, of lines times distance to the paired centre. An empty
    cluster counts as one line. Distance, not its square: one enormous order must not outweigh a hundred
    thousand lines. `overlap` is the share of lines that both have, of the larger of the two; where neither has
    a line the centres decide: 1 when each is the other's nearest, else 0.
    """
    distances = np.sqrt(np.square(new[:, None, :] - champion[None, :, :]).sum(axis=2))
    sizes = moved.lines.sum(axis=0)
    one, other = linear_sum_assignment(np.maximum(sizes, 1)[:, None] * distances)
    number = np.array(numbers)[other]
    before = moved.lines[[moved.old.index(each) for each in number]]
    shared, larger = before[range(len(one)), one], np.maximum(sizes[one], before.sum(axis=1))
    nearest = (other == distances[one].argmin(axis=1)) & (one == distances[:, other].argmin(axis=0))
    return pd.DataFrame(
        {
            "trained_as": one,
            "paired_with": number,
            "distance": distances[one, other],
            "overlap": np.where(larger > 0, shared / np.maximum(larger, 1), nearest),
            "shared_lines": shared,
            "lines": sizes[one],
            "champion_lines": before.sum(axis=1),
        }
    )


def summary(matching: pd.DataFrame, moved: Migration) -> str:
    """Say how many clusters keep a number of the champion's, and how many of the lines."""
    kept = moved.renumbered(matching["number"].tolist()).kept
    return (
        f"{matching['matched'].sum()} of {len(matching)} clusters keep a number of the champion's, "
        f"with {kept:,} of {moved.total:,} test lines"
    )
