"""MLflow runs: open or adopt one, nest others in it, log records."""

import io
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import mlflow
import pandas as pd
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.spark_dataset_source import SparkDatasetSource
from mlflow.entities import Metric, Param, Run
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from retail_clusters.errors import InputError

DEFAULT_TRACKING_URI: Final = "sqlite:///mlflow.db"


def connect(*, experiment: str) -> None:
    """Choose the tracking store and the experiment that new runs go to.

    `MLFLOW_TRACKING_URI` wins over the project's sqlite file. A run that `mlflow run` has made is
    where its runs go; otherwise `MLFLOW_EXPERIMENT_NAME` wins over `experiment`.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    for chatty in ("mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        mlflow.set_tracking_uri(DEFAULT_TRACKING_URI)
    if not os.environ.get("MLFLOW_RUN_ID"):
        mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME") or experiment)
    mlflow.set_registry_uri(mlflow.get_tracking_uri())


@contextmanager
def run(name: str) -> Iterator[str]:
    """Open a run, nested in the one that is open, and give its id.

    The first run adopts the one that `mlflow run` has made. A failure inside marks the run failed.
    """
    with mlflow.start_run(run_name=name, nested=mlflow.active_run() is not None) as opened:
        mlflow.set_tag("mlflow.runName", name) if opened.info.run_name != name else None
        yield opened.info.run_id


@contextmanager
def separate_run(name: str) -> Iterator[str]:
    """Open a run beside the one that `mlflow run` has made, and leave that one to be adopted later."""
    made = os.environ.pop("MLFLOW_RUN_ID", None)
    try:
        with mlflow.start_run(run_name=name) as opened:
            yield opened.info.run_id
    finally:
        if made:
            os.environ["MLFLOW_RUN_ID"] = made


@contextmanager
def resumed_run(run_id: str) -> Iterator[str]:
    """Go on in an earlier run; a run that `mlflow run` has made for this only points to it."""
    if os.environ.get("MLFLOW_RUN_ID") not in {None, run_id}:
        with mlflow.start_run():
            mlflow.set_tag("resumes", run_id)
    with mlflow.start_run(run_id=run_id, nested=mlflow.active_run() is not None):
        yield run_id


def log_settings(settings: Mapping[str, str]) -> None:
    """Log params on the open run; those that it holds with the same value stay."""
    mlflow.log_params(dict(settings))


def log_metrics(metrics: Mapping[str, float]) -> None:
    """Log metrics on the open run."""
    mlflow.log_metrics(dict(metrics))


def set_tags(tags: Mapping[str, str]) -> None:
    """Set tags on the open run."""
    mlflow.set_tags(dict(tags))


def describe(markdown: str) -> None:
    """Set the open run's description, as the MLflow UI shows it."""
    mlflow.set_tag("mlflow.note.content", markdown)


def log_table(table: pd.DataFrame, name: str) -> None:
    """Log a table on the open run, as CSV."""
    mlflow.log_text(table.to_csv(index=False), f"{name}.csv")


def log_text(text: str, name: str) -> None:
    """Log a text on the open run."""
    mlflow.log_text(text, name)


def log_figure(figure: Any, name: str) -> None:
    """Log a matplotlib or plotly figure on the open run."""
    mlflow.log_figure(figure, name)


def log_input(*, data: str, digest: str, context: str) -> None:
    """Log the data set on the open run, under a digest of its content."""
    path = Path(data).absolute()
    source = SparkDatasetSource(path=str(path))
    dataset = MetaDataset(source, name=path.name, digest=digest)  # type: ignore[abstract]
    mlflow.log_input(dataset, context=context)


def exists(run_id: str) -> bool:
    """Tell whether the tracking store holds a run."""
    try:
        MlflowClient().get_run(run_id)
    except mlflow.MlflowException:
        return False
    return True


def can_resume(run_id: str) -> bool:
    """Tell whether a run is of the current experiment, not deleted, and not finished."""
    client = MlflowClient()
    try:
        found = client.get_run(run_id).info
    except mlflow.MlflowException as failure:
        if failure.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return (found.lifecycle_stage, found.experiment_id) == ("active", current_experiment()) and (
        found.status != "FINISHED"
    )


def current_experiment() -> str:
    """Return the id of the experiment that new runs go to."""
    active = mlflow.active_run()
    if active:
        return str(active.info.experiment_id)
    made = os.environ.get("MLFLOW_RUN_ID")
    if made:
        return str(MlflowClient().get_run(made).info.experiment_id)
    return str(mlflow.tracking.fluent._get_experiment_id())


def read_run(run_id: str) -> Run:
    """Look up a run.

    Raises:
        InputError: the tracking store holds no such run.
    """
    try:
        return MlflowClient().get_run(run_id)
    except mlflow.MlflowException as unknown:
        raise InputError(
            f"run_id must name a run in {mlflow.get_tracking_uri()}, but found no run {run_id!r}: "
            "copy it from the MLflow UI"
        ) from unknown


def read_table(run_id: str, name: str) -> pd.DataFrame:
    """Read a table that `log_table` has written, its numbers to the last bit.

    Raises:
        InputError: the run has no such table.
    """
    try:
        text: str = mlflow.artifacts.load_text(f"runs:/{run_id}/{name}.csv")
    except (mlflow.MlflowException, OSError) as missing:
        raise InputError(f"run {run_id} must hold the artifact {name}.csv, but it has none") from missing
    return pd.read_csv(io.StringIO(text), float_precision="round_trip")


def children(parent_id: str) -> list[Run]:
    """List the runs nested in a run, oldest first."""
    parent = MlflowClient().get_run(parent_id)
    found: Sequence[Run] = MlflowClient().search_runs(
        [parent.info.experiment_id],
        filter_string=f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent_id}'",
        order_by=["attributes.start_time ASC"],
        max_results=50_000,
    )
    return list(found)


def write_child(
    parent_id: str,
    name: str,
    *,
    params: Mapping[str, str],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    run_id: str | None = None,
) -> str:
    """Write a finished run nested in `parent_id`, or finish the half-written `run_id`; give its id."""
    client = MlflowClient()
    now = int(time.time() * 1000)
    if run_id is None:
        nested = {MLFLOW_PARENT_RUN_ID: parent_id} | dict(tags)
        run_id = client.create_run(_experiment_of(parent_id), run_name=name, tags=nested).info.run_id
    client.log_batch(
        run_id,
        metrics=[Metric(key, value, now, 0) for key, value in metrics.items()],
        params=[Param(key, value) for key, value in params.items()],
    )
    client.set_terminated(run_id)
    return run_id


@lru_cache(maxsize=1)
def _experiment_of(run_id: str) -> str:
    return str(MlflowClient().get_run(run_id).info.experiment_id)


def detached_run(name: str, *, run_id: str | None, params: Mapping[str, str]) -> str:
    """Go on in the run of an earlier process, or open a new one nested in the open run; give its id.

    It is nobody's active run, and stays open until `close_run`. A run that `mlflow run` or a parent
    holds ready for this step becomes the new one, or only points to the earlier one.
    """
    client = MlflowClient()
    if run_id is None or not _is_active(client, run_id):
        with run(name) as opened:
            log_settings(params)
        run_id = opened
    elif mlflow.active_run() or os.environ.get("MLFLOW_RUN_ID"):
        with run(name):
            set_tags({"resumes": run_id})
    client.update_run(run_id, status="RUNNING")
    return run_id


def _is_active(client: MlflowClient, run_id: str) -> bool:
    """Tell whether the store holds a run that is not deleted; a store that does not answer raises."""
    try:
        return str(client.get_run(run_id).info.lifecycle_stage) == "active"
    except mlflow.MlflowException as failure:
        if failure.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise


def store_uri() -> str:
    """Name the tracking store in use."""
    return mlflow.get_tracking_uri()


@contextmanager
def short_timeouts() -> Iterator[None]:
    """Let MLflow's HTTP client give up within seconds, not minutes, and show no progress of its own.

    What the environment says already stays.
    """
    hurry = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    ours = {name: value for name, value in hurry.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


def try_end_run(run_id: str, *, status: str) -> str | None:
    """Mark a lasting run FINISHED or FAILED; say what went wrong when the store does not answer."""
    return _problem(lambda: MlflowClient().set_terminated(run_id, status))


def try_log_points(run_id: str, points: Sequence[tuple[str, float, int, int]]) -> str | None:
    """Send points (name, value, milliseconds, step) in one batch; say what went wrong, None when nothing.

    To send a point again is harmless: the store knows it by all four.
    """
    metrics = [Metric(*point) for point in points]
    return _problem(lambda: MlflowClient().log_batch(run_id, metrics=metrics))


def try_log_figure(run_id: str, figure: Any, name: str) -> str | None:
    """Log a figure on a lasting run; say what went wrong, None when nothing."""
    return _problem(lambda: MlflowClient().log_figure(run_id, figure, name))


def _problem(action: Callable[[], object]) -> str | None:
    try:
        action()
    except (mlflow.MlflowException, OSError) as failure:
        return " ".join(str(failure).split())[:200]
    return None
