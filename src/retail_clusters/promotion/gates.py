"""What a version must show before `champion` names it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import pandas as pd

from retail_clusters.clustering.guardrails import Gate, share_and_clusters
from retail_clusters.clustering.metrics import Quality
from retail_clusters.settings import Guardrails, Promotion

FEATURE_SPACE: Final = "feature_space"


@dataclass(frozen=True)
class Verdict:
    """Every gate that a challenger was held against."""

    gates: tuple[Gate, ...]

    @property
    def failing(self) -> tuple[Gate, ...]:
        """Return the gates that refuse the challenger."""
        return tuple(gate for gate in self.gates if not gate.passed)

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
    least, value = settings.min_test_silhouette, test.silhouette
    silhouette = Gate("test_silhouette", f"{value:.4f}", f"at least {least}", value >= least)
    return [silhouette, *share_and_clusters(test, settings.max_cluster_share, settings.min_clusters)]


def usable_gates(validation: Quality, *, settings: Guardrails) -> list[Gate]:
    """Hold a challenger against the guardrails of a sweep, so that none is promoted that none would take."""
    gates = share_and_clusters(validation, settings.max_cluster_share, settings.min_clusters)
    return [replace(each, name=f"validation_{each.name}") for each in gates]


def comparing_gates(
    test: Quality | None, *, champion: Quality | None, same_space: bool, settings: Promotion
) -> list[Gate]:
    """Hold a challenger, measured in the champion's space, against it; None where one cannot be measured.

    A silhouette belongs to its feature space: of another question they are not compared, and a person has to
    accept the new space.
    """
    space = Gate(
        FEATURE_SPACE,
        "the champion's" if same_space else "another feature space",
        "the champion's, or accepted with --accept-new-space true",
        passed=same_space or settings.accept_new_space,
    )
    if not same_space or champion is None or test is None:
        return [space]
    floor = champion.silhouette - settings.margin
    bound = f"at least {floor:.4f}, the champion's {champion.silhouette:.4f} less {settings.margin}"
    return [Gate("not_worse", f"{test.silhouette:.4f}", bound, test.silhouette >= floor), space]


def stability_gate(share: float | None, *, settings: Promotion) -> list[Gate]:
    """Hold the share of records in stable clusters against its bound; no gate where the bound is 0."""
    least = settings.min_stable_line_share
    value = "not measured" if share is None else f"{share:.4f}"
    gate = Gate("stable_line_share", value, f"at least {least}", share is not None and share >= least)
    return [gate] if least else []
