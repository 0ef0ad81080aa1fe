"""A headless Chromium, and an MLflow server on a free port: what a person sees, as text and as pictures."""

import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clusters import wait_until

#: Names a folder that keeps a picture of each page for a person to look at.
_PICTURES = "RETAIL_CLUSTERS_UI_PICTURES"
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
#: Another name of this machine. At its own, the UI opens an assistant over a third of the window.
_HOST = "mlflow.test"
_INSTALL = Path(__file__).with_name("install-chromium")


def chromium() -> str:
    """Return the browser; install it if there is none, and skip where that cannot be done."""
    found = next(filter(None, map(shutil.which, _PROGRAMS)), None)
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

    def missing(self, route: str, texts: Sequence[str]) -> list[str]:
        """Return those texts that a page at a route of the UI does not show, at the best of three looks.

        The window is wide, as columns that it cannot show are not in the page.
        """
        missing = list(texts)
        for _ in range(3):
            page = self._run("--dump-dom", "--window-size=2600,1600", route=route)
            missing = [text for text in texts if text not in page]
            if not missing:
                break
        if pictures := os.environ.get(_PICTURES):
            file = Path(pictures).absolute() / f"{re.sub(r'[^A-Za-z0-9.]+', '-', route[1:])[:100]}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            self._run(f"--screenshot={file}", "--window-size=1700,2000", route=route)
        return missing

    def _run(self, *arguments: str, route: str) -> str:
        mode = "&" if "?" in route else "?"
        return subprocess.run(
            [
                *(self.program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                f"--host-resolver-rules=MAP {_HOST} 127.0.0.1",
                "--virtual-time-budget=30000",
                f"--user-data-dir={self.profile}",
                *arguments,
                f"{self.server}/#{route}{mode}workflowType=machine_learning",
            ],
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
        ).stdout


@contextmanager
def mlflow_server(store: str, *, folder: Path) -> Iterator[str]:
    """Run an MLflow server on a store until the end of the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    server = f"http://{_HOST}:{port}"
    foreign = ("--allowed-hosts", f"127.0.0.1:*,{_HOST}:*", "--cors-allowed-origins", server)
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, "--workers", "1"]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", port, *foreign], stdout=log, stderr=log, cwd=folder
        )
        try:
            wait_until(
                lambda: _answers(f"http://127.0.0.1:{port}/health"), "an answer of MLflow", seconds=180
            )
            yield server
        finally:
            process.terminate()
            process.wait(timeout=60)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False
