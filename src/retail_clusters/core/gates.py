"""What a clustering must show: the guardrails of a sweep, and the gates before `champion`."""

from dataclasses import dataclass

from retail_clusters.core.quality import Quality
from retail_clusters.settings import Guardrails, Promotion


@dataclass(frozen=True)
class Gate:
    """One condition: what was measured, what it is held against, and whether it holds."""

    name: str
    value: str
    bound: str
    passed: bool

    def __str__(self) -> str:
        return f"{self.name} is {self.value}, but must be {self.bound}"


def guardrails(quality: Quality, *, settings: Guardrails) -> list[Gate]:
    """Hold a clustering, measured on validation lines, against what makes it usable."""
    return _share_and_clusters(
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


def absolute_gates(quality: Quality, *, settings: Promotion) -> list[Gate]:
    """Hold a challenger, measured on test lines, against the bounds that need no champion."""
    silhouette = Gate(
        name="test_silhouette",
        value=f"{quality.silhouette:.4f}",
        bound=f"at least {settings.min_test_silhouette}",
        passed=quality.silhouette >= settings.min_test_silhouette,
    )
    others = _share_and_clusters(
        quality, max_share=settings.max_cluster_share, min_clusters=settings.min_clusters
    )
    return [silhouette, *others]


def _share_and_clusters(quality: Quality, *, max_share: float, min_clusters: int) -> list[Gate]:
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
