"""Whether a version's clusters are stable, beside those of permuted data: metrics, table, one sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from retail_clusters.clustering import kmeans
from retail_clusters.clustering.blocks import Floats, block, in_memory
from retail_clusters.clustering.stability import Resampling, Stability, permute_columns, stability
from retail_clusters.settings import Experiment
from retail_clusters.wording import percent, plural

#: By how much the share of stable clusters must exceed that of permuted data, to say that the clusters reflect
#: more than each feature by itself: with other draws it moves by about as much.
_CLEAR_MARGIN: Final = 0.15


@dataclass(frozen=True)
class StabilityReport:
    """How stable the clusters of the records are, and those of the same records with permuted features."""

    real: Stability
    permuted: Stability
    noun: str

    @property
    def metrics(self) -> Mapping[str, float]:
        """Return the metrics of a registered version, under their names in MLflow."""
        return {
            "stable_clusters": float(self.real.stable_clusters),
            "stable_line_share": self.real.stable_line_share,
            "null_stable_clusters": float(self.permuted.stable_clusters),
            "null_stable_line_share": self.permuted.stable_line_share,
        }

    @property
    def sentence(self) -> str:
        """Say in one sentence what the metrics mean."""
        return say(self.metrics, clusters=len(self.real.sizes), noun=self.noun)

    def table(self) -> pd.DataFrame:
        """Return a row a cluster: `cluster`, `records`, `jaccard`, `stable`."""
        table = pd.DataFrame({"records": self.real.sizes, "jaccard": self.real.jaccards})
        stable = (table["records"] > 0) & (table["jaccard"] >= self.real.stable_jaccard)
        return table.assign(stable=stable).rename_axis("cluster").reset_index()


def drawn_anew(noun: str) -> str:
    """Return what is drawn anew for a refit: the days of lines, or else groups of records."""
    return "days" if noun == "line" else f"groups of {plural(noun)}"


def say(metrics: Mapping[str, float], *, clusters: int, noun: str) -> str:
    """Say in one sentence what the metrics of `StabilityReport.metrics` mean."""
    share, permuted_share = metrics["stable_line_share"], metrics["null_stable_line_share"]
    more_clusters = (metrics["stable_clusters"] - metrics["null_stable_clusters"]) / clusters
    verdict = (
        "the clusters reflect how the features depend on one another"
        if more_clusters > _CLEAR_MARGIN and share > permuted_share
        else "the clusters are no more than slices of each feature by itself"
    )
    return (
        f"{metrics['stable_clusters']:.0f} of {clusters} clusters are stable ({percent(share)} of {plural(noun)}); of "
        f"permuted data {metrics['null_stable_clusters']:.0f} are ({percent(permuted_share)}): {verdict}"
    )


def compare_with_permuted(
    values: Floats,
    weights_by_group: Floats,
    centres: Floats,
    *,
    features: Sequence[Sequence[int]],
    seed: int,
    experiment: Experiment,
) -> StabilityReport:
    """Measure how stable the clusters are, and those of the same rows with permuted features.

    Args:
        values: n x d vectors in canonical order.
        weights_by_group: n x g, the records that each row stands for in each group.
        centres: k x d.
        features: the columns of each feature in a vector.
        seed: of the clustering of the permuted rows.
        experiment: how often to draw, what counts as stable, when iterations stop, what a record is called.
    """
    settings, lloyd = experiment.stability, experiment.lloyd
    how = Resampling(
        draws=settings.draws,
        stable_jaccard=settings.min_jaccard,
        max_iterations=lloyd.max_iterations,
        tolerance=lloyd.tolerance,
    )
    real = stability(values, weights_by_group, centres, seed=settings.seed, settings=how)
    permuted, groups = permute_columns(values, weights_by_group, columns=features, seed=settings.seed)
    weights = kmeans.row_sums(groups)
    fitted = kmeans.fit(
        in_memory(permuted, weights),
        block(permuted, weights),
        k=len(centres),
        seed=seed,
        max_iterations=lloyd.max_iterations,
        tolerance=lloyd.tolerance,
    )
    baseline = stability(permuted, groups, fitted.centres, seed=settings.seed, settings=how)
    return StabilityReport(real, baseline, experiment.noun)
