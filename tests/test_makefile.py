"""What `make` says when it cannot do what it is asked for."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.clusters import wait_until

PROJECT = Path(__file__).parents[1]


#: make, with the environment taken for made: that of the tests.
MAKE = ("make", "-o", ".venv/runtime")
ENVIRONMENT = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MAKE, *arguments], cwd=PROJECT, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_ui_on_a_taken_port_says_so_and_names_the_way_out():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = make("ui", f"PORT={port}")
    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == (
        f"port {port} is taken: choose another, as in make ui PORT={port + 1}"
    )


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_run_hands_over_paths_with_spaces_whole():
    done = make("-n", "run", "DATA=my data", "EXPERIMENT=my experiments/a b.yaml")
    assert '-P "data=my data" -P "experiment=my experiments/a b.yaml"' in done.stdout
    assert '--experiment-name "$(basename "my experiments/a b.yaml" .yaml)"' in done.stdout


@pytest.mark.soak  # MLflow's server takes a while to start
@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_ui_answers_at_its_port(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    server = subprocess.Popen(
        [*MAKE, "ui", f"PORT={port}"], cwd=PROJECT, env=ENVIRONMENT | store, start_new_session=True
    )
    try:
        page = wait_until(lambda: answer(f"http://127.0.0.1:{port}/"), "an answer of the UI", seconds=120)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    assert b"<title>MLflow</title>" in page


def answer(url: str) -> bytes | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as page:
            return bytes(page.read())
    except OSError:
        return None
