"""The life of an MLflow run: opened or adopted, nested, resumed, detached from its process, ended."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import mlflow
from mlflow.entities import RunInfo
from mlflow.tracking import MlflowClient

from retail_clusters.infra import project_run
from retail_clusters.infra.tracking.processes import process_tag
from retail_clusters.infra.tracking.records import log_settings, set_tags
from retail_clusters.infra.tracking.store import answered


@contextmanager
def run(name: str) -> Iterator[str]:
    """Open a run, nested in the one that is open, and give its id.

    The first run adopts the one that `mlflow run` has made. A failure inside marks the run failed.
    """
    with answered():
        opened = _start(name, tags=project_run.inherited_tags())
        project_run.lead_to(opened.info.run_id)
    with opened:
        yield opened.info.run_id


@contextmanager
def separate_run(name: str) -> Iterator[str]:
    """Open a run beside the one that `mlflow run` has made, and leave that one to be adopted later."""
    made = os.environ.pop(project_run.VARIABLE, None)
    try:
        with answered():
            opened = _start(name, tags={})
        with opened:
            yield opened.info.run_id
    finally:
        if made:
            os.environ[project_run.VARIABLE] = made


@contextmanager
def resumed_run(run_id: str) -> Iterator[str]:
    """Go on in an earlier run, whatever experiment it is in: later runs go there, too.

    A run that `mlflow run` has made for this only points to it.
    """
    with answered():
        client = MlflowClient()
        made = os.environ.get(project_run.VARIABLE)
        if made and made != run_id:
            del os.environ[project_run.VARIABLE]
            client.set_tag(made, "resumes", run_id)
            client.set_terminated(made)
        project_run.lead_to(run_id)
        named = os.environ.get("MLFLOW_EXPERIMENT_ID")
        mlflow.set_experiment(experiment_id=str(client.get_run(run_id).info.experiment_id))
        os.environ.pop("MLFLOW_EXPERIMENT_ID") if named is None else None
        nested = mlflow.active_run() is not None
        resumed = mlflow.start_run(run_id=run_id, nested=nested, tags=process_tag())
    with resumed:
        yield run_id


def detached_run(name: str, *, run_id: str | None, params: Mapping[str, str]) -> str:
    """Go on in the run of an earlier process, or open a new one nested in the open run; give its id.

    It is nobody's active run, and stays open until `try_end_run`. A run that `mlflow run` or a parent
    holds ready for this step becomes the new one, or only points to the earlier one.
    """
    if run_id is None or not exists(run_id):
        with run(name) as opened:
            log_settings(params)
        run_id = opened
    elif mlflow.active_run() or os.environ.get(project_run.VARIABLE):
        with run(name):
            set_tags({"resumes": run_id})
    with answered():
        client = MlflowClient()
        for key, value in process_tag().items():
            client.set_tag(run_id, key, value)
        client.update_run(run_id, status="RUNNING")
    return run_id


def exists(run_id: str) -> bool:
    """Tell whether the store holds a run that is not deleted."""
    found = _info(run_id)
    return found is not None and found.lifecycle_stage == "active"


def can_resume(run_id: str) -> bool:
    """Tell whether a run is of the current experiment, not deleted, and not finished."""
    found = _info(run_id)
    if found is None or found.lifecycle_stage != "active" or found.status == "FINISHED":
        return False
    return str(found.experiment_id) == current_experiment()


def is_finished(run_id: str) -> bool:
    """Tell whether the store holds a run that ended well."""
    found = _info(run_id) if run_id else None
    return found is not None and found.status == "FINISHED"


def current_experiment() -> str:
    """Return the id of the experiment that new runs go to."""
    active = mlflow.active_run()
    if active:
        return str(active.info.experiment_id)
    made = os.environ.get(project_run.VARIABLE)
    if made:
        return str(MlflowClient().get_run(made).info.experiment_id)
    return str(mlflow.tracking.fluent._get_experiment_id())


def _start(name: str, *, tags: Mapping[str, str]) -> mlflow.ActiveRun:
    nested = mlflow.active_run() is not None
    opened = mlflow.start_run(run_name=name, nested=nested, tags=process_tag() | dict(tags))
    if opened.info.run_name != name:
        mlflow.set_tag("mlflow.runName", name)
    return opened


def _info(run_id: str) -> RunInfo | None:
    """Look up a run; None when the store holds none of that id. One that does not answer raises."""
    with answered():
        try:
            return MlflowClient().get_run(run_id).info
        except mlflow.MlflowException as failure:
            if failure.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                return None
            raise
