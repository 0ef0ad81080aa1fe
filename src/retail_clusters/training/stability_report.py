"""Whether a version's clusters come back, beside those of shuffled columns: figures, table, one sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from retail_clusters.settings import Lloyd
from retail_clusters.settings import Stability as Settings
from retail_clusters.training import kmeans
from retail_clusters.training.blocks import Floats, block, in_memory
from retail_clusters.training.stability import Resampling, Stability, shuffle_columns, stability
from retail_clusters.wording import percent

#: By how much the share of clusters that come back must exceed that of shuffled columns, to call the clusters
#: more than slices of each column: with other draws it moves by about as much.
_CLEAR_MARGIN: Final = 0.15


@dataclass(frozen=True)
class StabilityReport:
    """How well the clusters of the lines come back, and those of the same lines with shuffled columns."""

    real: Stability
    null: Stability

    @property
    def beyond_null(self) -> bool:
        """Tell whether clusters, and the lines in them, come back more often than in shuffled columns."""
        real, null = self.real, self.null
        clearly_more_clusters = _cluster_share(real) > _cluster_share(null) + _CLEAR_MARGIN
        return clearly_more_clusters and real.stable_line_share > null.stable_line_share

    @property
    def metrics(self) -> Mapping[str, float]:
        """Return the figures of a registered version, under their names in MLflow."""
        return {
            "stable_clusters": float(self.real.stable_clusters),
            "stable_line_share": self.real.stable_line_share,
            "null_stable_clusters": float(self.null.stable_clusters),
            "null_stable_line_share": self.null.stable_line_share,
        }

    @property
    def sentence(self) -> str:
        """Say in one sentence what the figures mean."""
        real, null = self.real, self.null
        verdict = (
            "these clusters follow how the columns go together"
            if self.beyond_null
            else "these clusters follow price and quantity each for itself"
        )
        return (
            f"{real.stable_clusters} of {len(real.sizes)} clusters come back "
            f"({percent(real.stable_line_share)} of lines); of shuffled columns "
            f"{null.stable_clusters} do ({percent(null.stable_line_share)}): {verdict}"
        )

    def table(self) -> pd.DataFrame:
        """Return a row a cluster: `cluster`, `lines`, `jaccard`, `stable`."""
        found = zip(self.real.sizes, self.real.jaccards, strict=True)
        return pd.DataFrame(
            [
                (cluster, lines, jaccard, lines > 0 and jaccard >= self.real.stable_jaccard)
                for cluster, (lines, jaccard) in enumerate(found)
            ],
            columns=["cluster", "lines", "jaccard", "stable"],
        )


def compare_with_shuffled(
    values: Floats,
    weights_by_group: Floats,
    centres: Floats,
    *,
    facts: Sequence[Sequence[int]],
    seed: int,
    settings: Settings,
    lloyd: Lloyd,
) -> StabilityReport:
    """Measure how well clusters come back, and do the same on rows whose facts are shuffled.

    Args:
        values: n x d vectors in canonical order.
        weights_by_group: n x g, the lines that each row stands for in each group of days.
        centres: k x d.
        facts: the columns of each fact, such as price (0,), quantity (1,), weekday (2, 3, 4).
        seed: of the clustering of the shuffled rows.
        settings: how often to draw, and what counts as stable.
        lloyd: when iterations stop.
    """
    how = Resampling(
        draws=settings.draws,
        stable_jaccard=settings.min_jaccard,
        max_iterations=lloyd.max_iterations,
        tolerance=lloyd.tolerance,
    )
    real = stability(values, weights_by_group, centres, seed=settings.seed, settings=how)
    shuffled, groups = shuffle_columns(values, weights_by_group, columns=facts, seed=settings.seed)
    weights = kmeans.row_sums(groups)
    fitted = kmeans.fit(
        in_memory(shuffled, weights),
        block(shuffled, weights),
        k=len(centres),
        seed=seed,
        max_iterations=lloyd.max_iterations,
        tolerance=lloyd.tolerance,
    )
    null = stability(shuffled, groups, fitted.centres, seed=settings.seed, settings=how)
    return StabilityReport(real=real, null=null)


def _cluster_share(found: Stability) -> float:
    return found.stable_clusters / sum(size > 0 for size in found.sizes)
