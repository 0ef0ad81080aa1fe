"""The life of an MLflow run: opened or adopted, nested, resumed, detached from its process, ended."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

import mlflow
from mlflow.tracking import MlflowClient

from retail_clusters.registry import project_run
from retail_clusters.registry.tracking.kinds import LONG, Kind, kind_tag
from retail_clusters.registry.tracking.machine import system_metrics
from retail_clusters.registry.tracking.processes import process_tag
from retail_clusters.registry.tracking.records import log_settings, set_tags
from retail_clusters.registry.tracking.store import answered


@contextmanager
def run(kind: Kind, *, name: str | None = None, resumes: str | None = None) -> Iterator[str]:
    """Open a run, nested in the one that is open, and give its id; a failure inside marks it failed.

    Its name is its kind unless one is given. One of a kind that takes long logs what the machine does.
    The first run adopts the one that `mlflow run` has made. `resumes` names an earlier run to go on in,
    whatever experiment it is in; the run that `mlflow run` has made for this only points to it. An earlier
    run that was deleted, or is of another store, is passed over.
    """
    with (
        _run(kind, name=name or kind, resumes=resumes) as run_id,
        system_metrics(run_id) if kind in LONG else nullcontext(),
    ):
        yield run_id


@contextmanager
def separate_run(kind: Kind) -> Iterator[str]:
    """Open a run beside the one that `mlflow run` has made, and leave that one to be adopted later."""
    made = os.environ.pop("MLFLOW_RUN_ID", None)
    try:
        with run(kind) as run_id:
            yield run_id
    finally:
        if made:
            os.environ["MLFLOW_RUN_ID"] = made


def detached_run(kind: Kind, *, run_id: str | None, params: Mapping[str, str]) -> str:
    """Go on in the run of an earlier process, or open a new one nested in the open run; give its id.

    It is nobody's active run, and stays open until `try_end_run`. A run that `mlflow run` or a parent
    holds ready for this step becomes the new one, or only points to the earlier one.
    """
    with answered():
        resumes = run_id is not None and is_active(run_id)
    if run_id is None or not resumes:
        with _run(kind, name=kind) as opened:
            log_settings(params)
        run_id = opened
    elif mlflow.active_run() or os.environ.get("MLFLOW_RUN_ID"):
        with _run(kind, name=kind):
            set_tags({"resumes": run_id})
    with answered():
        client = MlflowClient()
        project_run.link_placeholder_run(run_id)
        for key, value in (process_tag() | kind_tag(kind)).items():
            client.set_tag(run_id, key, value)
        client.update_run(run_id, status="RUNNING")
    return run_id


def is_active(run_id: str) -> bool:
    """Tell whether the store holds a run that is not deleted; a store that does not answer raises."""
    try:
        return str(MlflowClient().get_run(run_id).info.lifecycle_stage) == "active"
    except mlflow.MlflowException as failure:
        if failure.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return False
        raise


@contextmanager
def _run(kind: Kind, *, name: str, resumes: str | None = None) -> Iterator[str]:
    with answered():
        resumed = resumes if resumes and is_active(resumes) else None
        opened = _resume(kind, resumed) if resumed else _open(kind, name)
    with opened as active:
        yield active.info.run_id


def _open(kind: Kind, name: str) -> mlflow.ActiveRun:
    tags = project_run.inherited_tags() | process_tag() | kind_tag(kind)
    opened = mlflow.start_run(
        run_name=name, nested=mlflow.active_run() is not None, tags=tags, log_system_metrics=_by_mlflow(kind)
    )
    if opened.info.run_name != name:
        mlflow.set_tag("mlflow.runName", name)
    project_run.link_placeholder_run(opened.info.run_id)
    return opened


def _resume(kind: Kind, run_id: str) -> mlflow.ActiveRun:
    """Start a run again. Its experiment becomes the active one: MLflow resumes a run in no other."""
    client = MlflowClient()
    made = os.environ.get("MLFLOW_RUN_ID")
    if made and made != run_id:
        del os.environ["MLFLOW_RUN_ID"]
        client.set_tag(made, "resumes", run_id)
        client.set_terminated(made)
    named = os.environ.get("MLFLOW_EXPERIMENT_ID")
    mlflow.set_experiment(experiment_id=str(client.get_run(run_id).info.experiment_id))
    os.environ.pop("MLFLOW_EXPERIMENT_ID") if named is None else None
    project_run.link_placeholder_run(run_id)
    return mlflow.start_run(
        run_id=run_id,
        nested=mlflow.active_run() is not None,
        tags=process_tag() | kind_tag(kind),
        log_system_metrics=_by_mlflow(kind),
    )


def _by_mlflow(kind: Kind) -> bool | None:
    """Tell whether MLflow logs system metrics itself: not where this project does, else as it was told."""
    return False if kind in LONG else None
