"""Calls to the tracking store that must not end a job: they say what went wrong instead of raising it."""

from collections.abc import Callable, Sequence
from typing import Any

import mlflow
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from retail_clusters.infra.failures import in_short
from retail_clusters.registry.tracking.records import NOTE
from retail_clusters.wording import pad_table


def try_end_run(run_id: str, *, status: str) -> str | None:
    """Mark a detached run FINISHED or FAILED; say what went wrong when the store does not answer."""
    return _problem(lambda: MlflowClient().set_terminated(run_id, status))


def try_log_points(run_id: str, points: Sequence[tuple[str, float, int, int]]) -> str | None:
    """Send points (name, value, milliseconds, step) in one batch; say what went wrong, None when nothing.

    To send a point again is harmless: the store knows it by all four.
    """
    metrics = [Metric(*point) for point in points]
    return _problem(lambda: MlflowClient().log_batch(run_id, metrics=metrics))


def try_describe(run_id: str, markdown: str) -> str | None:
    """Set the description of a detached run; say what went wrong, None when nothing."""
    return _problem(lambda: MlflowClient().set_tag(run_id, NOTE, pad_table(markdown)))


def try_log_chart(run_id: str, figure: Any, name: str) -> str | None:
    """Log a figure on a detached run; say what went wrong, None when nothing."""
    return _problem(lambda: MlflowClient().log_figure(run_id, figure, name))


def _problem(action: Callable[[], object]) -> str | None:
    try:
        action()
    except (mlflow.MlflowException, OSError) as failure:
        return in_short(failure)
    return None
