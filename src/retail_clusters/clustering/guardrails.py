"""What makes a clustering usable: conditions of a sweep and of a promotion."""

import math
from dataclasses import dataclass

from retail_clusters.clustering.metrics import Quality


@dataclass(frozen=True)
class Gate:
    """One condition: what was measured, its bound, and whether it holds.

    A gate that cannot be decided, because its metrics do not compare, refuses nothing. `overrule` holds the
    options of a command that would let the value pass; it is empty where no setting would.
    """

    name: str
    value: str
    bound: str
    passed: bool
    decided: bool = True
    overrule: str = ""

    def __str__(self) -> str:
        return f"{self.name} is {self.value}, but must be {self.bound}"

    @property
    def verdict(self) -> str:
        """Return the verdict in a word or two."""
        if not self.decided:
            return "not decided"
        return "passed" if self.passed else "FAILED"


def violations(quality: Quality, *, max_share: float, min_clusters: int) -> dict[str, float]:
    """Say by how much each guardrail is broken: above 0 it is, at or below 0 it holds."""
    return {
        "largest_cluster_share": quality.largest_cluster_share - max_share,
        "clusters": float(min_clusters - quality.clusters),
    }


def share_and_clusters(quality: Quality, *, max_share: float, min_clusters: int, section: str) -> list[Gate]:
    """Compare the largest cluster's share and the number of populated clusters with a section's bounds."""
    share, clusters = quality.largest_cluster_share, quality.clusters
    return [
        Gate(
            name="largest_cluster_share",
            value=f"{share:.4f}",
            bound=f"at most {max_share}",
            passed=share <= max_share,
            overrule=f"--set {section}.max_cluster_share={math.ceil(share * 1e4) / 1e4}",
        ),
        Gate(
            name="clusters",
            value=str(clusters),
            bound=f"at least {min_clusters}",
            passed=clusters >= min_clusters,
            overrule=f"--set {section}.min_clusters={clusters}" if clusters >= 2 else "",
        ),
    ]
