"""What a batch is reported as: the points of MLflow, the line that a person follows, the sums at the end."""

from dataclasses import asdict, dataclass, field

from retail_clusters.serving.batch import Accounts, Agreement, ServedModel
from retail_clusters.serving.drift import Counts, Drift
from retail_clusters.serving.state import Batch


@dataclass
class Totals:
    """What this process has done so far."""

    batches: int = 0
    files: int = 0
    rows_in: int = 0
    rows_scored: int = 0
    rows_quarantined: int = 0
    model_versions: dict[str, None] = field(default_factory=dict)

    def add(self, files: int, accounts: Accounts, version: str) -> None:
        """Add a batch."""
        self.batches += 1
        self.files += files
        self.rows_in += accounts.rows_in
        self.rows_scored += accounts.rows_scored
        self.rows_quarantined += accounts.rows_quarantined
        self.model_versions[version] = None


def batch_metrics(
    accounts: Accounts,
    seconds: float,
    model: ServedModel,
    counts: Counts | None,
    moved: Drift | None,
    agreement: Agreement | None,
) -> dict[str, float]:
    """Return the points of a batch."""
    metrics: dict[str, float] = asdict(accounts) | {
        "rows_per_second": accounts.rows_in / seconds,
        "model_version": float(model.version),
    }
    if counts and model.baseline:
        metrics["rows_unseen_day"] = counts.on_unseen_days(model.baseline)
    if moved:
        metrics["drift_psi"] = moved.psi
        metrics |= {f"drift_{name}": value for name, value in moved.indices.items()}
    if agreement:
        metrics |= {f"shadow_{name}": value for name, value in asdict(agreement).items()}
    return metrics


def line_of(batch: Batch) -> str:
    """Say in one line what a batch did."""
    metrics = batch.metrics
    parts = [
        f"batch {batch.batch_id}",
        f"{batch.files} files",
        f"{metrics['rows_in']:,.0f} lines",
        f"{metrics['rows_per_second']:,.0f} lines/s",
        f"model version {batch.model_version}",
    ]
    if metrics["rows_quarantined"]:
        parts.append(f"{metrics['rows_quarantined']:,.0f} quarantined")
    if "drift_psi" in metrics:
        parts.append(f"drift {metrics['drift_psi']:.2f}")
    return "score: " + " · ".join(parts)
