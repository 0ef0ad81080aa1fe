"""What makes a clustering usable: conditions that a sweep and a promotion hold it against."""

import math
from dataclasses import dataclass

from retail_clusters.clustering.metrics import Quality
from retail_clusters.settings import Guardrails


@dataclass(frozen=True)
class Gate:
    """One condition: what was measured, what it is held against, and whether it holds.

    A gate that cannot be decided, because its figures do not compare, refuses nothing. `overrule` holds the
    options of a command that would let the figure pass; it is empty where no setting would.
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


def guardrails(quality: Quality, *, settings: Guardrails) -> list[Gate]:
    """Hold a clustering, measured on validation lines, against what makes it usable."""
    return share_and_clusters(
        quality,
        max_share=settings.max_cluster_share,
        min_clusters=settings.min_clusters,
        section="guardrails",
    )


def is_usable(quality: Quality, *, settings: Guardrails) -> bool:
    """Tell whether every guardrail holds."""
    return all(gate.passed for gate in guardrails(quality, settings=settings))


def violations(quality: Quality, *, settings: Guardrails) -> dict[str, float]:
    """Say by how much each guardrail is broken: above 0 it is, at or below 0 it holds."""
    return {
        "largest_cluster_share": quality.largest_cluster_share - settings.max_cluster_share,
        "clusters": float(settings.min_clusters - quality.clusters),
    }


def share_and_clusters(quality: Quality, *, max_share: float, min_clusters: int, section: str) -> list[Gate]:
    """Hold the largest cluster's share and the number of populated clusters against a section's bounds."""
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
