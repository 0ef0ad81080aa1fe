"""A submitted run: the spark-submit process, watched to its end, and the state of its MLflow run."""

import atexit
import logging
import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

from mlflow import MlflowClient
from mlflow.projects.submitted_run import SubmittedRun

from mlflow_spark_submit.submission import Submission

_logger = logging.getLogger(__name__)
_GRACE_SECONDS = 20.0
_POLL_SECONDS = 0.05


class SparkSubmitRun(SubmittedRun):
    """One spark-submit process and all that it starts, in a process group of its own.

    A thread waits for the process, whether or not anyone calls `wait`: it reports the exit code, closes the
    MLflow run where the job could not, and removes `scratch`. The interpreter ends after that thread, so
    a run that nobody waited for is not lost; interrupted, the interpreter cancels it.
    """

    def __init__(
        self, submission: Submission, *, run_id: str, client: MlflowClient, work_dir: str, scratch: Path
    ) -> None:
        """Start the process in the project's folder, and the thread that waits for it."""
        super().__init__()
        self._run_id = run_id
        self._client = client
        self._scratch = scratch
        self._cancelled = False
        self._process = subprocess.Popen(
            submission.words,
            cwd=work_dir,
            env=submission.environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        atexit.register(self.cancel)
        # Not the thread is waited for, but this: an interrupted Thread.join marks a live thread as ended.
        self._recorded = threading.Event()
        threading.Thread(target=self._watch, name=f"spark-submit {run_id}").start()

    @property
    def run_id(self) -> str:
        """Return the id of the MLflow run that the job logs to."""
        return self._run_id

    def wait(self) -> bool:
        """Wait for the job to end, and its state to be recorded; return whether it succeeded."""
        self._recorded.wait()
        return self._process.returncode == 0

    def get_status(self) -> str:
        """Return RUNNING, FINISHED, FAILED or KILLED, as the process says."""
        code = self._process.poll()
        if code is None:
            return "RUNNING"
        if code == 0:
            return "FINISHED"
        return "KILLED" if self._cancelled else "FAILED"

    def cancel(self) -> None:
        """End the process group, by force where asking does not help, and wait for its end."""
        if self._process.poll() is None:
            self._cancelled = True
            self._signal_group(signal.SIGTERM)
            if not self._group_ends_within(_GRACE_SECONDS):
                self._signal_group(signal.SIGKILL)
        self._recorded.wait()
        atexit.unregister(self.cancel)

    def _watch(self) -> None:
        code = self._process.wait()
        try:
            self._record(code)
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._recorded.set()

    def _record(self, code: int) -> None:
        """Close the run as the exit code says; a run that its job closed as failed or killed stays so."""
        _logger.log(
            logging.INFO if code == 0 else logging.ERROR,
            "=== spark-submit of run '%s' ended with exit code %s ===",
            self._run_id,
            code,
        )
        recorded = self._client.get_run(self._run_id).info.status
        if recorded == "RUNNING" or (recorded == "FINISHED" and code != 0):
            self._client.set_terminated(self._run_id, self.get_status())

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # they have ended already
            os.killpg(self._process.pid, number)

    def _group_ends_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                os.killpg(self._process.pid, 0)
            except ProcessLookupError:
                return True
            time.sleep(_POLL_SECONDS)
        return False
