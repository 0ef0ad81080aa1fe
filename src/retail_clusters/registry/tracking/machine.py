"""What the machine does while a long run is under way: MLflow's system metrics, sampled beside the work.

MLflow's own monitor gives up when the store is away once, and writes the same number of points for ever.
"""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Final

import psutil
from mlflow.entities import Metric
from mlflow.environment_variables import (
    MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING,
    MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL,
)
from mlflow.exceptions import MlflowException
from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor
from mlflow.tracking import MlflowClient

#: By this prefix the UI knows system metrics.
PREFIX: Final = "system/"

#: Seconds between two looks at the machine.
_INTERVAL: Final = 10.0
#: A point is sent when this part of the time since the first look has passed: 360 points in the first hour
#: at ten seconds each, 2,800 in a month.
_RAREST: Final = 1 / 360

_sampling = threading.Lock()


@contextlib.contextmanager
def system_metrics(run_id: str) -> Iterator[None]:
    """Log what the machine does on a run until the end of the block; inside another such block do nothing.

    Each point is the mean since the last one, and its step the second of the run. Where the store does not
    take a point, there is a gap. `MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING=false` turns it off.
    """
    if not _wanted() or not _sampling.acquire(blocking=False):
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_sample, args=(run_id, ended), name="system metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        _sampling.release()


def _wanted() -> bool:
    said = MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING
    return not said.is_set() or bool(said.get())


def _sample(run_id: str, ended: threading.Event) -> None:
    interval = MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL.get() or _INTERVAL
    monitors = _monitors()
    psutil.cpu_percent()  # the next one is since this
    first = sent = time.monotonic()
    while not ended.wait(interval):
        for monitor in monitors:
            with contextlib.suppress(Exception):
                monitor.collect_metrics()
        now = time.monotonic()
        if is_due(since_first=now - first, since_sent=now - sent):
            _send(run_id, monitors)
            sent = now


def is_due(*, since_first: float, since_sent: float) -> bool:
    """Tell whether it is time for a point: the longer a run, the rarer they are."""
    return since_sent >= since_first * _RAREST


def _monitors() -> list[BaseMetricsMonitor]:
    """Return MLflow's monitors of processor, memory, disk and network; without those that fail here."""
    found: list[BaseMetricsMonitor] = []
    for kind in (CPUMonitor, DiskMonitor, NetworkMonitor):
        with contextlib.suppress(Exception):
            monitor: BaseMetricsMonitor = kind()
            monitor.collect_metrics()
            monitor.clear_metrics()
            found.append(monitor)
    return found


def _send(run_id: str, monitors: Sequence[BaseMetricsMonitor]) -> None:
    """Send what was seen since the last time, and forget it."""
    now = int(time.time() * 1000)
    values = {name: value for each in monitors for name, value in each.aggregate_metrics().items()}
    for monitor in monitors:
        monitor.clear_metrics()
    client = MlflowClient()
    with contextlib.suppress(MlflowException, OSError):
        step = (now - client.get_run(run_id).info.start_time) // 1000
        points = [Metric(f"{PREFIX}{name}", float(value), now, step) for name, value in values.items()]
        client.log_batch(run_id, metrics=points)
