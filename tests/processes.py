"""Run the project's own command line as a user does, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

COMMAND = (sys.executable, "-m", "retail_clusters")


def environment(**changes: str) -> dict[str, str]:
    return os.environ | {"SPARK_MASTER": "local[2]"} | changes


def run(*arguments: str | Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its output is text, its failure not an exception."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=environment(**changes),
        capture_output=True,
        text=True,
        check=False,
    )


def start(*arguments: str | Path, **changes: str) -> "subprocess.Popen[str]":
    """Start a command in a process group of its own, to be killed with all that it started."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def kill(process: "subprocess.Popen[str]") -> None:
    """Kill -9 a started command and its JVM."""
    os.killpg(process.pid, 9)
    process.communicate()
