"""What the tracking store holds of earlier runs."""

import io
from collections.abc import Sequence

import mlflow
import pandas as pd
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from retail_clusters.errors import InputError
from retail_clusters.infra import project_run
from retail_clusters.infra.tracking.store import answered, store_uri

_UNKNOWN = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


def read_run(run_id: str) -> Run:
    """Look up a run; the params of one that `mlflow run` has made are as they were typed.

    Raises:
        InputError: the tracking store holds no such run.
        StoreError: it does not answer, or refuses.
    """
    with answered():
        try:
            found: Run = MlflowClient().get_run(run_id)
        except mlflow.MlflowException as unknown:
            if unknown.error_code not in _UNKNOWN:
                raise
            raise InputError(
                f"run_id must name a run in {store_uri()}, but found no run {run_id!r}: "
                "copy it from the MLflow UI"
            ) from unknown
        found.data.params.update(project_run.as_typed(found))
        return found


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


def children(parent_id: str) -> list[Run]:
    """List the runs nested in a run, oldest first."""
    with answered():
        client = MlflowClient()
        experiment = client.get_run(parent_id).info.experiment_id
        found: list[Run] = []
        token: str | None = None
        while True:
            page: Sequence[Run] = client.search_runs(
                [experiment],
                filter_string=f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent_id}'",
                order_by=["attributes.start_time ASC"],
                max_results=1000,
                page_token=token,
            )
            found += page
            token = getattr(page, "token", None)
            if not token:
                return found
