"""What `make` says when it cannot do what it is asked for."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make with the environment taken for made: that of the tests."""
    binaries = Path(sys.executable).parent
    return subprocess.run(
        ["make", "-o", ".venv/runtime", *arguments],
        cwd=PROJECT,
        env=os.environ | {"PATH": f"{binaries}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
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
