"""What the machine does while a long run is under way, on a real store."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from retail_clusters.registry import tracking
from retail_clusters.registry.tracking import machine
from tests.clusters import wait_until

CPU = "system/cpu_utilization_percentage"
NAMES = {
    CPU,
    "system/system_memory_usage_megabytes",
    "system/system_memory_usage_percentage",
    "system/disk_usage_percentage",
    "system/disk_usage_megabytes",
    "system/disk_available_megabytes",
    "system/network_receive_megabytes",
    "system/network_transmit_megabytes",
}


@pytest.fixture
def watched(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store, and an eager look at the machine."""
    monkeypatch.delenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.01")
    tracking.connect(experiment="watched")


def points(run_id: str) -> list[Metric]:
    found: list[Metric] = MlflowClient().get_metric_history(run_id, CPU)
    return found


def sampling() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name == "system metrics"]


def test_outermost_long_run_says_what_the_machine_does_and_leaves_no_thread(watched: None):
    with tracking.run("main") as main:
        with tracking.run("sweep") as sweep:
            wait_until(lambda: len(points(main)) >= 2, "two points")
        assert sampling() == ["system metrics"]

    assert sampling() == []
    run = tracking.read_run(main)
    assert run.data.metrics.keys() == NAMES
    assert 0 <= run.data.metrics["system/system_memory_usage_percentage"] <= 100
    assert all(0 <= point.step <= (point.timestamp - run.info.start_time) / 1000 for point in points(main))
    assert tracking.read_run(sweep).data.metrics == {}
    assert tracking.metrics_of(run) == {}


def test_points_of_a_run_that_goes_on_follow_those_before(watched: None):
    with tracking.run("sweep") as sweep:
        wait_until(lambda: points(sweep), "a point")
    before = len(points(sweep))
    with tracking.run("sweep", resumes=sweep):
        wait_until(lambda: len(points(sweep)) > before, "another point")
    steps = [point.step for point in points(sweep)]
    assert steps == sorted(steps)


def test_short_run_and_one_that_was_told_not_to_have_none(watched: None, monkeypatch: pytest.MonkeyPatch):
    with tracking.run("train"):
        assert sampling() == []
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
    with tracking.run("main"):
        assert sampling() == []


def test_store_that_refuses_ends_nothing_and_is_told_of_by_nothing_here(
    watched: None, capfd: pytest.CaptureFixture[str]
):
    known = mlflow.get_tracking_uri()
    with tracking.run("main") as run_id, refusing() as (uri, asked):
        mlflow.set_tracking_uri(uri)
        assert asked.wait(60)
        mlflow.set_tracking_uri(known)
        wait_until(lambda: points(run_id), "a point, once the store takes it again")
    assert tracking.read_run(run_id).info.status == "FINISHED"
    assert capfd.readouterr().err == ""


@contextmanager
def refusing() -> Iterator[tuple[str, threading.Event]]:
    """Run an HTTP server that refuses every request; tell whether there was one."""
    asked = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(403)
            asked.set()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()


def test_points_get_rarer_so_that_a_month_is_no_burden():
    looks = sent = hour = 0
    month = 30 * 24 * 360
    for look in range(1, month):
        if machine.is_due(since_first=look * 10.0, since_sent=(look - looks) * 10.0):
            looks, sent = look, sent + 1
            hour += look <= 360
    assert hour == 360
    assert sent < 3_000
