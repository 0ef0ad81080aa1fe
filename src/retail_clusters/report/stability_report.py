"""Whether a version's clusters come back, beside those of shuffled columns: figures, table, one sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from retail_clusters.clustering import kmeans
from retail_clusters.clustering.blocks import Floats, block, in_memory
from retail_clusters.clustering.stability import Resampling, Stability, permute_columns, stability
from retail_clusters.settings import Lloyd
from retail_clusters.settings import Stability as Settings
from retail_clusters.wording import percent

#: By how much the share of clusters that come back must exceed that of shuffled columns, to call the clusters
#: more than slices of each column: with other draws it moves by about as much.
_CLEAR_MARGIN: Final = 0.15

#: Figures of the training lines, under their names in MLflow.
STABILITY_METRICS: Final = frozenset(
    {"stable_clusters", "stable_line_share", "null_stable_clusters", "null_stable_line_share"}
)


@dataclass(frozen=True)
class StabilityReport:
    """How well the clusters of the lines come back, and those of the same lines with shuffled columns."""

    real: Stability
    null: Stability

    @property
    def metrics(self) -> Mapping[str, float]:
        """Return the figures of a registered version, `STABILITY_METRICS`."""
        return {
            "stable_clusters": float(self.real.stable_clusters),
            "stable_line_share": self.real.stable_line_share,
            "null_stable_clusters": float(self.null.stable_clusters),
            "null_stable_line_share": self.null.stable_line_share,
        }

    @property
    def sentence(self) -> str:
        """Say in one sentence what the figures mean."""
        return say(self.metrics, clusters=len(self.real.sizes))

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


def say(metrics: Mapping[str, float], *, clusters: int) -> str:
    """Say in one sentence what the figures of `StabilityReport.metrics` mean."""
    share, null_share = metrics["stable_line_share"], metrics["null_stable_line_share"]
    more_clusters = (metrics["stable_clusters"] - metrics["null_stable_clusters"]) / clusters
    verdict = (
        "these clusters follow how the columns go together"
        if more_clusters > _CLEAR_MARGIN and share > null_share
        else "these clusters follow price and quantity each for itself"
    )
    return (
        f"{metrics['stable_clusters']:.0f} of {clusters} clusters come back ({percent(share)} of lines); "
        f"of shuffled columns {metrics['null_stable_clusters']:.0f} do ({percent(null_share)}): {verdict}"
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
    shuffled, groups = permute_columns(values, weights_by_group, columns=facts, seed=settings.seed)
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
