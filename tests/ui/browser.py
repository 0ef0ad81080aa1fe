"""A headless Chromium, and an MLflow server on a free port: what a person sees, as text and as pictures."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
#: Another name of this machine. At its own, the UI opens an assistant over a third of the window.
_HOST = "mlflow.test"
_INSTALL = Path(__file__).with_name("install-chromium")


def chromium() -> str:
    """Return the browser; install it if there is none, and skip where that cannot be done."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        done = subprocess.run([_INSTALL], capture_output=True, text=True, timeout=600, check=False)
        found = shutil.which("chromium")
        if done.returncode or found is None:
            pytest.skip(f"the pages need Chromium: {done.stderr.strip() or 'apt-get did not bring it'}")
    return found


@dataclass(frozen=True)
class Browser:
    """Opens pages of an MLflow server."""

    program: str
    server: str
    profile: Path

    def text(self, route: str, *, until: str = "") -> str:
        """Return the page at a route of the UI once its scripts have shown `until`; at most three looks.

        The window is wide, as columns that it cannot show are not in the page.
        """
        page = ""
        for _ in range(3):
            page = self._run("--dump-dom", "--window-size=2600,1600", self._url(route)).stdout
            if until in page:
                break
        return page

    def picture(self, route: str, file: Path, *, size: tuple[int, int] = (1400, 1000)) -> bytes:
        """Return what a window shows of the page, a PNG, and keep it in a file."""
        self._run(f"--screenshot={file}", f"--window-size={size[0]},{size[1]}", self._url(route))
        return file.read_bytes()

    def _url(self, route: str) -> str:
        mode = "&" if "?" in route else "?"
        return f"{self.server}/#{route}{mode}workflowType=machine_learning"

    def _run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
        return subprocess.run(
            [
                self.program,
                *options,
                f"--host-resolver-rules=MAP {_HOST} 127.0.0.1",
                "--virtual-time-budget=30000",
                f"--user-data-dir={self.profile}",
                *arguments,
            ],
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
        )


@contextmanager
def mlflow_server(store: str, *, folder: Path) -> Iterator[str]:
    """Run an MLflow server on a store until the end of the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    own, server = f"http://127.0.0.1:{port}", f"http://{_HOST}:{port}"
    foreign = ("--allowed-hosts", f"127.0.0.1:*,{_HOST}:*", "--cors-allowed-origins", server)
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, "--workers", "1"]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", port, *foreign],
            stdout=log,
            stderr=log,
            cwd=folder,
        )
        try:
            _wait_until_it_answers(f"{own}/health", process)
            yield server
        finally:
            process.terminate()
            process.wait(timeout=60)


def _wait_until_it_answers(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert process.poll() is None, "the MLflow server has ended"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"{url} does not answer")


def runs_view(experiment_id: str, view: str) -> str:
    """Return the route of a view of an experiment's runs."""
    return f"/experiments/{experiment_id}/runs?viewStateShareKey={view}"


def compare(experiment_ids: Sequence[str], run_ids: Sequence[str]) -> str:
    """Return the route of the page that compares runs."""
    runs, experiments = (urllib.parse.quote(json.dumps(list(each))) for each in (run_ids, experiment_ids))
    return f"/compare-runs?runs={runs}&experiments={experiments}"
