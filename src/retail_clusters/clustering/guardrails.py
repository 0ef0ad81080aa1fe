"""What makes a clustering usable: conditions of a sweep and of a promotion."""

from dataclasses import dataclass

from retail_clusters.clustering.metrics import Quality


@dataclass(frozen=True)
class Gate:
    """One condition: what was measured, its bound, and whether it holds."""

    name: str
    value: str
    bound: str
    passed: bool

    def __str__(self) -> str:
        return f"{self.name} is {self.value}, but must be {self.bound}"

    @property
    def verdict(self) -> str:
        """Return the verdict in a word."""
        return "passed" if self.passed else "FAILED"


def violations(quality: Quality, *, max_share: float, min_clusters: int) -> dict[str, float]:
    """Say by how much each guardrail is broken: above 0 it is, at or below 0 it holds."""
    return {
        "largest_cluster_share": quality.largest_cluster_share - max_share,
        "clusters": float(min_clusters - quality.clusters),
    }


def share_and_clusters(quality: Quality, max_share: float, min_clusters: int) -> list[Gate]:
    """Compare the largest cluster's share and the number of populated clusters with their bounds."""
    share, clusters = quality.largest_cluster_share, quality.clusters
    return [
        Gate("largest_cluster_share", f"{share:.4f}", f"at most {max_share}", share <= max_share),
        Gate("clusters", str(clusters), f"at least {min_clusters}", clusters >= min_clusters),
    ]
