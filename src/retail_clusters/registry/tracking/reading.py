"""What the tracking store holds of earlier runs."""

import io
from collections.abc import Sequence

import mlflow
import pandas as pd
from mlflow.entities import Run as Run  # noqa: PLC0414 - for those who only name its type
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from retail_clusters.errors import InputError
from retail_clusters.registry import project_run
from retail_clusters.registry.tracking.machine import PREFIX
from retail_clusters.registry.tracking.records import LATE_PARAM_TAG
from retail_clusters.registry.tracking.store import answered, store_uri

__all__ = [
    "Run",
    "can_resume",
    "children",
    "is_finished",
    "metrics_of",
    "read_run",
    "read_table",
    "settings_of",
]

_UNKNOWN = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


def read_run(run_id: str) -> Run:
    """Look up a run.

    Raises:
        InputError: the tracking store holds no such run.
        StoreError: it does not answer, or refuses.
    """
    with answered():
        try:
            return MlflowClient().get_run(run_id)
        except mlflow.MlflowException as unknown:
            if unknown.error_code not in _UNKNOWN:
                raise
            raise InputError(
                f"run_id must name a run in {store_uri()}, but found no run {run_id!r}: "
                "copy it from the MLflow UI"
            ) from unknown


def can_resume(run_id: str) -> bool:
    """Tell whether the store holds a run that is not deleted and did not end well."""
    return _status(run_id) not in {None, "FINISHED"}


def is_finished(run_id: str) -> bool:
    """Tell whether the store holds a run that ended well and is not deleted."""
    return _status(run_id) == "FINISHED"


def _status(run_id: str) -> str | None:
    """Return the status of a run; None of one that is deleted, or not there."""
    with answered():
        try:
            found = MlflowClient().get_run(run_id).info if run_id else None
        except mlflow.MlflowException as unknown:
            if unknown.error_code not in _UNKNOWN:
                raise
            return None
        return str(found.status) if found and found.lifecycle_stage == "active" else None


def settings_of(run: Run) -> dict[str, str]:
    """Return the params that `log_settings` gave a run, those that `mlflow run` had left empty, too."""
    later = {
        key.removeprefix(LATE_PARAM_TAG): value
        for key, value in run.data.tags.items()
        if key.startswith(LATE_PARAM_TAG)
    }
    return project_run.as_typed(run) | later


def metrics_of(run: Run) -> dict[str, float]:
    """Return the metrics of a run, without those of the machine that it ran on."""
    return {name: value for name, value in run.data.metrics.items() if not name.startswith(PREFIX)}


def read_table(run_id: str, name: str) -> pd.DataFrame:
    """Read a table that `log_table` has written, its numbers to the last bit.

    Raises:
        InputError: the run has no such table.
        StoreError: the store does not answer, or refuses.
    """
    with answered():
        client = MlflowClient()
        folder = name.rpartition("/")[0] or None
        if f"{name}.csv" not in {each.path for each in client.list_artifacts(run_id, folder)}:
            raise InputError(f"run {run_id} must hold the artifact {name}.csv, but it has none")
        text: str = mlflow.artifacts.load_text(f"runs:/{run_id}/{name}.csv")
    return pd.read_csv(io.StringIO(text), float_precision="round_trip")


def active_run() -> Run:
    """Look up the open run, with what it holds by now.

    Raises:
        InputError: no run is open.
    """
    opened = mlflow.active_run()
    if opened is None:
        raise InputError("a run must be open, but there is none: open one with run")
    return read_run(opened.info.run_id)


def children(parent_id: str, *, status: str | None = None) -> list[Run]:
    """List the runs nested in a run, oldest first: all, or those of a status."""
    wanted = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent_id}'"
    if status:
        wanted += f" AND attributes.status = '{status}'"
    with answered():
        client = MlflowClient()
        experiment = client.get_run(parent_id).info.experiment_id
        found: list[Run] = []
        token: str | None = None
        while True:
            page: Sequence[Run] = client.search_runs(
                [experiment],
                filter_string=wanted,
                order_by=["attributes.start_time ASC"],
                max_results=1000,
                page_token=token,
            )
            found += page
            token = getattr(page, "token", None)
            if not token:
                return found
