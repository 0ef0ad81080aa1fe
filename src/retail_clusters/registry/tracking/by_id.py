"""What is added to any run by its id, open or ended, and read from it."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import mlflow
from mlflow.entities import LoggedModelInput
from mlflow.tracking import MlflowClient

from retail_clusters.registry.tracking.records import NOTE
from retail_clusters.registry.tracking.store import answered
from retail_clusters.wording import pad_table

#: What MLflow holds of a tag.
_LONGEST: Final = 8_000


def description(run_id: str) -> str:
    """Return a run's description."""
    with answered():
        return str(MlflowClient().get_run(run_id).data.tags.get(NOTE, ""))


def describe(run_id: str, markdown: str) -> None:
    """Set a run's description."""
    with answered():
        MlflowClient().set_tag(run_id, NOTE, pad_table(markdown)[:_LONGEST])


def log_metrics(run_id: str, metrics: Mapping[str, float]) -> None:
    """Log metrics on a run."""
    with answered():
        mlflow.log_metrics(dict(metrics), run_id=run_id)


def log_text(run_id: str, text: str, name: str) -> None:
    """Log a text on a run."""
    with answered():
        MlflowClient().log_text(run_id, text, name)


def use_model(run_id: str, source: str) -> None:
    """Note that a run used the logged model that a version was made of, so that its page shows it."""
    scheme, _, model_id = source.partition(":/")
    if scheme == "models":
        with answered():
            MlflowClient().log_inputs(run_id, models=[LoggedModelInput(model_id=model_id)])


def read_files(run_id: str, names: Sequence[str]) -> dict[str, bytes]:
    """Return those artifacts of a run that are there, by name."""
    with answered(), tempfile.TemporaryDirectory(prefix="retail-clusters-") as place:
        client = MlflowClient()
        folders = {str(Path(name).parent) for name in names}
        listed = [client.list_artifacts(run_id, None if each == "." else each) for each in folders]
        held = {each.path for found in listed for each in found}
        return {
            name: Path(client.download_artifacts(run_id, name, place)).read_bytes()
            for name in names
            if name in held
        }
