"""What a tracking server, a proxy or nobody answers is told as what it is; passwords are told by nothing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest

from retail_clusters.errors import InputError, RetailClustersError
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry
from tests.servers import mlflow_server
from tests.tied_metrics import assert_figures_keep_their_data_sets

PAGE = "<!DOCTYPE html><html><body><h1>Who are you?</h1></body></html>"


@contextmanager
def answering(status: int, text: str) -> Iterator[str]:
    """Run an HTTP server that gives every request one answer; status 0 is none at all."""
    release = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not status:
                release.wait(30)
                return
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://ann:s3cret@127.0.0.1:{server.server_port}"
    finally:
        release.set()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "text", "meaning"),
    [
        (401, "no", "it does not know who asks (401): set MLFLOW_TRACKING_USERNAME"),
        (403, PAGE, "it does not allow this (403)"),
        (404, PAGE, "is it an MLflow server?"),
        (502, PAGE, "it, or a proxy before it, failed (502)"),
        (500, "{}", "it, or a proxy before it, failed (500)"),
        (200, PAGE, "a page for people where MLflow answers"),
        (0, "", "no answer in time"),
    ],
)
def test_answer_is_told_in_one_line_as_what_it_is(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, status: int, text: str, meaning: str
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with answering(status, text) as uri:
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        for ask in (
            lambda: tracking.read_run("0" * 32),
            lambda: ModelRegistry("retail").version_named(alias="champion"),
        ):
            with pytest.raises(RetailClustersError) as told:
                ask()

            assert meaning in str(told.value)
            assert "s3cret" not in str(told.value)
            assert "\n" not in str(told.value)


@pytest.mark.soak
def test_real_server_is_told_apart_from_what_it_does_not_hold(
    workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with mlflow_server(tmp_path) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        mlflow.set_tracking_uri(server.uri)
        mlflow.set_registry_uri(server.uri)
        tracking.connect(experiment="there")
        with tracking.run("main") as parent:
            records = [
                tracking.ChildRun(f"trial {n}", {"k": str(n)}, {"silhouette": 0.1}, {"trial": str(n)})
                for n in range(20)
            ]
            tracking.ChildRuns(parent, kind="trial", key="trial").write(records)
        assert len(tracking.children(parent)) == 20
        assert_figures_keep_their_data_sets()
        with pytest.raises(InputError, match="found no run"):
            tracking.read_run("0" * 32)
        assert ModelRegistry("retail").version_named(alias="champion") is None

        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "another password")
        with pytest.raises(RetailClustersError, match=r"does not know who asks \(401\)"):
            tracking.read_run(parent)
