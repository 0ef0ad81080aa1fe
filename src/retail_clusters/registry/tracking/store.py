"""Which MLflow store and experiment the project writes to."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import click
import mlflow
from mlflow.entities import Experiment
from mlflow.tracking import MlflowClient

from retail_clusters.errors import InputError, StoreError
from retail_clusters.infra.failures import must_answer
from retail_clusters.infra.secrets import masked
from retail_clusters.registry import project_run
from retail_clusters.registry.tracking.experiment_page import KIND, page_tags
from retail_clusters.registry.tracking.processes import end_abandoned_runs

DEFAULT_TRACKING_URI: Final = "sqlite:///mlflow.db"


def connect(*, experiment: str, beside_model: str | None = None) -> None:
    """Choose the tracking store and the experiment that new runs go to; end the runs of dead processes.

    `MLFLOW_TRACKING_URI` wins over the project's sqlite file, `MLFLOW_REGISTRY_URI` over that. A run that
    `mlflow run` has made in a named experiment is where its runs go; otherwise `MLFLOW_EXPERIMENT_NAME` or
    `MLFLOW_EXPERIMENT_ID` wins over `experiment`. What moves a registered model, and trains none, makes no
    experiment for itself: where there is no such one, it goes to that of the newest version.

    Raises:
        StoreError: the store does not answer, or refuses.
    """
    _choose_stores()
    with short_timeouts(), answered():
        if made := project_run.adopted():
            _describe(MlflowClient(), str(made.info.experiment_id))  # `mlflow run` makes it bare
            mlflow.set_experiment(experiment_id=made.info.experiment_id)
        else:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or experiment
            _choose_experiment(_name_beside(beside_model, name) if beside_model else name)
        for name in end_abandoned_runs():
            click.secho(f"tracking: ended the run {name}, whose process is gone", fg="yellow", err=True)


def connect_to_read() -> None:
    """Choose the stores as `connect` does, to read them only: nothing is made.

    Raises:
        InputError: there is no store yet.
    """
    _choose_stores()
    uri = mlflow.get_tracking_uri()
    path = sqlite_file(uri)
    if path and not path.exists():
        raise InputError(
            f"there must be a tracking store to read, but found no {path}: go to the project's folder, or "
            "name the store with MLFLOW_TRACKING_URI"
        )


def store_uri() -> str:
    """Name the tracking store in use, without its password."""
    return masked(mlflow.get_tracking_uri())


def sqlite_file(uri: str) -> Path | None:
    """Return the file of an sqlite store; None of any other.

    A space in its name is `%20` where MLflow has made the URI, and both spellings open one store.
    """
    scheme, found, path = uri.partition(":///")
    if not found or not scheme.startswith("sqlite"):
        return None
    return Path(unquote(path.partition("?")[0])).absolute()


@contextmanager
def answered() -> Iterator[None]:
    """Tell a failure of the tracking store inside in one line.

    Raises:
        StoreError: the store does not answer, or refuses.
    """
    with must_answer("the tracking store", mlflow.get_tracking_uri, StoreError):
        yield


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


def open_experiment(client: MlflowClient, name: str) -> str:
    """Return the id of an experiment; make it when there is none, as one of model training.

    Raises:
        InputError: it was deleted.
    """
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, tags=KIND))
        except mlflow.MlflowException:
            found = client.get_experiment_by_name(name)  # made meanwhile
            if found is None:
                raise
    _check_active(found)
    return str(found.experiment_id)


def _choose_stores() -> None:
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # It prints the address of a server with each run that ends, the password in it too.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    for chatty in ("mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        mlflow.set_tracking_uri(DEFAULT_TRACKING_URI)
    mlflow.set_registry_uri(os.environ.get("MLFLOW_REGISTRY_URI") or mlflow.get_tracking_uri())


def _choose_experiment(name: str) -> None:
    given = os.environ.get("MLFLOW_EXPERIMENT_ID")
    if given and not os.environ.get("MLFLOW_EXPERIMENT_NAME"):
        mlflow.set_experiment(experiment_id=given)
        return
    client = MlflowClient()
    experiment_id = open_experiment(client, name)
    _describe(client, experiment_id)
    mlflow.set_experiment(experiment_id=experiment_id)
    if given is None:
        os.environ.pop("MLFLOW_EXPERIMENT_ID", None)  # MLflow sets it: the next call would take it for a wish


def _name_beside(model: str, name: str) -> str:
    """Return the name of an experiment that there is: `name`, else that of the model's newest version."""
    client = MlflowClient()
    if client.get_experiment_by_name(name):
        return name
    newest = client.search_model_versions(f"name = '{model}'", 1, order_by=["version_number DESC"])
    if not newest or not newest[0].run_id:
        return name
    trained = client.get_run(newest[0].run_id).info.experiment_id
    return str(client.get_experiment(trained).name)


def _describe(client: MlflowClient, experiment_id: str) -> None:
    """Give an experiment its kind, unless it has one, and its page, unless somebody has described it."""
    held, page = client.get_experiment(experiment_id).tags, page_tags(experiment_id)
    kind = KIND if KIND.keys().isdisjoint(held) else {}
    for key, value in (kind | (page if page.keys().isdisjoint(held) else {})).items():
        client.set_experiment_tag(experiment_id, key, value)


def _check_active(found: Experiment) -> None:
    if found.lifecycle_stage != "active":
        raise InputError(
            f"an experiment must be there to take runs, but {found.name} was deleted: restore it in the "
            "MLflow UI, or name another with --experiment-name"
        )
