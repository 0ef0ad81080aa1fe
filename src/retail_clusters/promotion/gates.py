"""What a version must show before `champion` names it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from retail_clusters.clustering.guardrails import Gate, share_and_clusters
from retail_clusters.clustering.metrics import Quality
from retail_clusters.settings import Guardrails, Promotion


@dataclass(frozen=True)
class Verdict:
    """Every gate that a challenger was held against."""

    gates: tuple[Gate, ...]

    @property
    def failing(self) -> tuple[Gate, ...]:
        """Return the gates that refuse the challenger."""
        return tuple(gate for gate in self.gates if gate.decided and not gate.passed)

    @property
    def passed(self) -> bool:
        """Tell whether no gate refuses the challenger."""
        return not self.failing

    def table(self) -> pd.DataFrame:
        """Return a row for each gate: gate, value, bound, verdict."""
        rows = [(gate.name, gate.value, gate.bound, gate.verdict) for gate in self.gates]
        return pd.DataFrame(rows, columns=["gate", "value", "bound", "verdict"])

    def to_text(self) -> str:
        """Write the table with aligned columns, a gate a line."""
        return str(self.table().to_markdown(index=False, tablefmt="plain", disable_numparse=True))


def category_gate(refused: Sequence[str]) -> Gate:
    """Require a cluster for every record, whatever its categories."""
    value = f"without {', '.join(refused)}" if refused else "complete"
    return Gate("categories", value, "complete for the data's records", not refused)


def absolute_gates(test: Quality, *, settings: Promotion) -> list[Gate]:
    """Hold a challenger, measured on test records, against the bounds that need no champion."""
    silhouette = Gate(
        name="test_silhouette",
        value=f"{test.silhouette:.4f}",
        bound=f"at least {settings.min_test_silhouette}",
        passed=test.silhouette >= settings.min_test_silhouette,
        overrule=f"--set promotion.min_test_silhouette={_rounded_down(test.silhouette)}",
    )
    return [
        silhouette,
        *share_and_clusters(
            test,
            max_share=settings.max_cluster_share,
            min_clusters=settings.min_clusters,
            section="promotion",
        ),
    ]


def usable_gates(validation: Quality, *, settings: Guardrails) -> list[Gate]:
    """Hold a challenger against the guardrails of a sweep, so that none is promoted that none would take."""
    gates = share_and_clusters(
        validation,
        max_share=settings.max_cluster_share,
        min_clusters=settings.min_clusters,
        section="guardrails",
    )
    return [replace(each, name=f"validation_{each.name}") for each in gates]


def comparing_gates(
    test: Quality | None, *, champion: Quality | None, same_space: bool, settings: Promotion
) -> list[Gate]:
    """Hold a challenger, measured in the champion's space, against it; None where one cannot be measured.

    A silhouette belongs to its feature space: with another question the comparison is not decided, and a person
    has to accept the new space.
    """
    space = Gate(
        name="feature_space",
        value="the champion's" if same_space else "another feature space",
        bound="the champion's, or accepted with promotion.accept_new_space: true",
        passed=same_space or settings.accept_new_space,
        overrule="--accept-new-space true",
    )
    if not same_space:
        return [_not_decided("not_worse", "silhouettes of two feature spaces do not compare"), space]
    if champion is None or test is None:
        return [_not_decided("not_worse", "the champion cannot score these records"), space]
    floor = champion.silhouette - settings.margin
    not_worse = Gate(
        name="not_worse",
        value=f"{test.silhouette:.4f}",
        bound=f"at least {floor:.4f}, the champion's {champion.silhouette:.4f} less {settings.margin}",
        passed=test.silhouette >= floor,
        overrule=f"--set promotion.margin={-_rounded_down(test.silhouette - champion.silhouette)}",
    )
    return [not_worse, space]


def stability_gate(share: float | None, *, settings: Promotion) -> list[Gate]:
    """Hold the share of records in stable clusters against its bound; no gate where the bound is 0."""
    least = settings.min_stable_line_share
    if not least:
        return []
    value = "not measured" if share is None else f"{share:.4f}"
    return [
        Gate(
            name="stable_line_share",
            value=value,
            bound=f"at least {least}",
            passed=share is not None and share >= least,
            overrule=f"--set promotion.min_stable_line_share={_rounded_down(share or 0)}",
        )
    ]


def _rounded_down(value: float) -> float:
    return math.floor(value * 1e4) / 1e4


def _not_decided(name: str, why: str) -> Gate:
    return Gate(name, why, "comparable", passed=False, decided=False)
