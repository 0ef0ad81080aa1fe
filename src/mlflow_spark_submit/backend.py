"""The project backend `spark-submit`, which MLflow finds by its entry point."""

import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from mlflow import MlflowClient
from mlflow.exceptions import ExecutionException
from mlflow.projects import utils as projects
from mlflow.projects.backend.abstract_backend import AbstractBackend
from mlflow.utils.mlflow_tags import MLFLOW_PROJECT_BACKEND

from mlflow_spark_submit.submission import parse_command, prepare_submission, read_config
from mlflow_spark_submit.submitted import SparkSubmitRun

NAME = "spark-submit"


class SparkSubmitBackend(AbstractBackend):
    """Submits a project's entry point with spark-submit, and lets it log to the run that MLflow made."""

    def run(
        self,
        project_uri: str,
        entry_point: str,
        params: Mapping[str, str] | None,
        version: str | None,
        backend_config: Mapping[str, Any],
        tracking_uri: str,
        experiment_id: str,
    ) -> SparkSubmitRun:
        """Start the entry point's module on the cluster; return a handle of it.

        Everything is checked before a run is made. `mlflow run` asks every backend but its own to return at
        once, and would exit 0 while the job runs: there, the command waits when it has done the rest.
        """
        config = read_config(backend_config)
        params = dict(params or {})
        work_dir = projects.fetch_and_validate_project(project_uri, version, entry_point, params)
        project = projects.load_project(work_dir)
        if project.docker_env:
            raise ExecutionException("the backend spark-submit runs no projects with a docker_env")
        storage_dir = backend_config.get(projects.PROJECT_STORAGE_DIR)
        command = parse_command(
            " ".join(projects.get_entry_point_command(project, entry_point, params, storage_dir))
        )
        run = projects.get_or_create_run(
            None, project_uri, experiment_id, work_dir, version, entry_point, params
        )
        client = MlflowClient(tracking_uri)
        client.set_tag(run.info.run_id, MLFLOW_PROJECT_BACKEND, NAME)
        scratch = Path(tempfile.mkdtemp(prefix="mlflow-spark-submit-"))
        try:
            submission = prepare_submission(
                config,
                command,
                run_variables={
                    "MLFLOW_RUN_ID": run.info.run_id,
                    "MLFLOW_TRACKING_URI": tracking_uri,
                    "MLFLOW_EXPERIMENT_ID": str(experiment_id),
                },
                folder=scratch,
            )
            submitted = SparkSubmitRun(
                submission, run_id=run.info.run_id, client=client, work_dir=work_dir, scratch=scratch
            )
        except BaseException:
            client.set_terminated(run.info.run_id, "FAILED")
            raise
        _let_the_command_wait_for(submitted)
        return submitted


def _let_the_command_wait_for(submitted: SparkSubmitRun) -> None:
    """Where `mlflow run` itself called, let it end with the job, and fail with it."""
    context = click.get_current_context(silent=True)
    if context and getattr(context.command.callback, "__module__", "") == "mlflow.cli":
        context.with_resource(_lasting_as_long_as(submitted))


@contextmanager
def _lasting_as_long_as(submitted: SparkSubmitRun) -> Iterator[None]:
    try:
        yield
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        succeeded = submitted.wait()
    except BaseException:
        submitted.cancel()
        raise
    if not succeeded:
        sys.exit(1)
