"""What makes a clustering usable: conditions that a sweep and a promotion hold it against."""

from dataclasses import dataclass

from retail_clusters.settings import Guardrails
from retail_clusters.training.quality import Quality


@dataclass(frozen=True)
class Gate:
    """One condition: what was measured, what it is held against, and whether it holds.

    A gate that cannot be decided, because its figures do not compare, refuses nothing.
    """

    name: str
    value: str
    bound: str
    passed: bool
    decided: bool = True

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
        quality, max_share=settings.max_cluster_share, min_clusters=settings.min_clusters
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


def share_and_clusters(quality: Quality, *, max_share: float, min_clusters: int) -> list[Gate]:
    """Hold the largest cluster's share and the number of populated clusters against their bounds."""
    return [
        Gate(
            name="largest_cluster_share",
            value=f"{quality.largest_cluster_share:.4f}",
            bound=f"at most {max_share}",
            passed=quality.largest_cluster_share <= max_share,
        ),
        Gate(
            name="clusters",
            value=str(quality.clusters),
            bound=f"at least {min_clusters}",
            passed=quality.clusters >= min_clusters,
        ),
    ]
