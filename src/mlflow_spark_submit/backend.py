"""The project backend `spark-submit`, which MLflow finds by its entry point, and a run that it submitted."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
from mlflow import MlflowClient
from mlflow.exceptions import ExecutionException
from mlflow.projects import utils as projects
from mlflow.projects.backend.abstract_backend import AbstractBackend
from mlflow.projects.submitted_run import SubmittedRun
from mlflow.utils.mlflow_tags import MLFLOW_PROJECT_BACKEND

from mlflow_spark_submit.submission import Submission, parse_command, prepare_submission, read_config

NAME = "spark-submit"

_logger = logging.getLogger(__name__)
_GRACE_SECONDS = 20.0


class SparkSubmitRun(SubmittedRun):
    """One spark-submit process and all that it starts, in a process group of its own; to be waited for."""

    def __init__(
        self, submission: Submission, *, run_id: str, client: MlflowClient, work_dir: str, scratch: Path
    ) -> None:
        """Start the process in the project's folder."""
        super().__init__()
        self._run_id, self._client, self._scratch = run_id, client, scratch
        self._cancelled = False
        self._process = subprocess.Popen(
            submission.words,
            cwd=work_dir,
            env=submission.environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def run_id(self) -> str:
        """Return the id of the MLflow run that the job logs to."""
        return self._run_id

    def wait(self) -> bool:
        """Wait for the job to end, and record its state; return whether it succeeded."""
        code = self._process.wait()
        level = logging.INFO if code == 0 else logging.ERROR
        _logger.log(level, "=== spark-submit of run '%s' ended with exit code %s ===", self._run_id, code)
        shutil.rmtree(self._scratch, ignore_errors=True)
        recorded = self._client.get_run(self._run_id).info.status
        if recorded == "RUNNING" or (recorded == "FINISHED" and code != 0):  # as its job has not closed it
            self._client.set_terminated(self._run_id, self.get_status())
        return code == 0

    def get_status(self) -> str:
        """Return RUNNING, FINISHED, FAILED or KILLED, as the process says."""
        code = self._process.poll()
        if code is None:
            return "RUNNING"
        if code == 0:
            return "FINISHED"
        return "KILLED" if self._cancelled else "FAILED"

    def cancel(self) -> None:
        """End the process group, by force where asking does not help."""
        if self._process.poll() is None:
            self._cancelled = True
            self._signal_group(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_SECONDS)
            self._signal_group(signal.SIGKILL)
        self.wait()

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # they have ended already
            os.killpg(self._process.pid, number)


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
        words = projects.get_entry_point_command(project, entry_point, params, storage_dir)
        command = parse_command(" ".join(words))
        run = projects.get_or_create_run(
            None, project_uri, experiment_id, work_dir, version, entry_point, params
        )
        run_id, client = run.info.run_id, MlflowClient(tracking_uri)
        client.set_tag(run_id, MLFLOW_PROJECT_BACKEND, NAME)
        of_the_run = {
            "MLFLOW_RUN_ID": run_id,
            "MLFLOW_TRACKING_URI": tracking_uri,
            "MLFLOW_EXPERIMENT_ID": str(experiment_id),
        }
        scratch = Path(tempfile.mkdtemp(prefix="mlflow-spark-submit-"))
        try:
            submission = prepare_submission(config, command, run_variables=of_the_run, folder=scratch)
            submitted = SparkSubmitRun(
                submission, run_id=run_id, client=client, work_dir=work_dir, scratch=scratch
            )
        except BaseException:
            client.set_terminated(run_id, "FAILED")
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
