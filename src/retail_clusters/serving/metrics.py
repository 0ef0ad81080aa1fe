"""What a batch is reported as: the points of MLflow, the line that a person follows, the sums at the end."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from retail_clusters.features.binned import Counts
from retail_clusters.features.drift import Drift
from retail_clusters.serving.batch import Accounts, Agreement, ServedModel
from retail_clusters.serving.records import Record
from retail_clusters.wording import pluralize


@dataclass
class Totals:
    """What this process has done so far."""

    batches: int = 0
    files: int = 0
    rows_in: int = 0
    rows_scored: int = 0
    rows_quarantined: int = 0
    model_versions: dict[str, None] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Add a batch."""
        self.batches += 1
        self.files += len(record.files)
        self.rows_in += record.rows_in
        self.rows_scored += record.rows_scored
        self.rows_quarantined += record.rows_quarantined
        self.model_versions[record.model_version] = None


def batch_metrics(
    accounts: Accounts, seconds: float, *, model: ServedModel, counts: Counts | None, files_changed: int
) -> dict[str, float]:
    """Return the points that every batch has."""
    metrics: dict[str, float] = asdict(accounts) | {
        "rows_per_second": accounts.rows_in / seconds,
        "model_version": float(model.version),
        "files_changed": files_changed,
    }
    if counts and model.baseline:
        metrics["rows_unseen_day"] = counts.on_unseen_days(model.baseline)
    return metrics


def drift_metrics(moved: Drift | None) -> dict[str, float]:
    """Return the points of drift, if there is any to tell."""
    if moved is None:
        return {}
    return {"drift_psi": moved.psi} | {f"drift/{name}": value for name, value in moved.indices.items()}


def agreement_metrics(agreement: Agreement | None) -> dict[str, float]:
    """Return the points of a comparison with the challenger, if there was one."""
    return {f"shadow/{name}": value for name, value in asdict(agreement).items()} if agreement else {}


def line_of(record: Record) -> str:
    """Say in one line what a batch did."""
    metrics: Mapping[str, float] = record.metrics
    parts = [
        f"batch {record.batch_id}",
        pluralize(len(record.files), "file"),
        pluralize(record.rows_in, "line"),
        f"{metrics['rows_per_second']:,.0f} lines/s",
        f"model version {record.model_version}",
    ]
    if record.rows_quarantined:
        parts.append(f"{record.rows_quarantined:,} quarantined")
    if "drift_psi" in metrics:
        parts.append(f"drift {metrics['drift_psi']:.2f}")
    return "score: " + " · ".join(parts)
