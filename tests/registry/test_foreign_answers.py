"""What a tracking server, a proxy or nobody answers is told in one line as what it is, without a password."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest

from retail_clusters.errors import RetailClustersError
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry

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

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://ann:s3cret@127.0.0.1:{server.server_port}"
        finally:
            release.set()
            server.shutdown()


@pytest.mark.parametrize(
    ("status", "text", "meaning"),
    [
        (401, "no", "it does not know who asks (401): set MLFLOW_TRACKING_USERNAME"),
        (403, PAGE, "it does not allow this (403)"),
        (502, PAGE, "it, or a proxy before it, failed"),
        (200, PAGE, "a page for people where MLflow answers"),
        (0, "", "no answer: is it up"),
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
