"""What goes to a tracking store that may not answer: at most seconds of waiting, never a raised failure."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import mlflow
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient


def store_uri() -> str:
    """Name the tracking store in use."""
    return mlflow.get_tracking_uri()


@contextmanager
def impatient() -> Iterator[None]:
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


def close_run(run_id: str, *, status: str) -> str | None:
    """Mark a lasting run FINISHED or FAILED; say what went wrong when the store does not answer."""
    return _problem(lambda: MlflowClient().set_terminated(run_id, status))


def send_points(run_id: str, points: Sequence[tuple[str, float, int, int]]) -> str | None:
    """Send points (name, value, milliseconds, step) in one batch; say what went wrong, None when nothing.

    To send a point again is harmless: the store knows it by all four.
    """
    metrics = [Metric(*point) for point in points]
    return _problem(lambda: MlflowClient().log_batch(run_id, metrics=metrics))


def send_figure(run_id: str, figure: Any, name: str) -> str | None:
    """Log a figure on a lasting run; say what went wrong, None when nothing."""
    return _problem(lambda: MlflowClient().log_figure(run_id, figure, name))


def _problem(action: Callable[[], object]) -> str | None:
    try:
        action()
    except (mlflow.MlflowException, OSError) as failure:
        return " ".join(str(failure).split())[:200]
    return None
