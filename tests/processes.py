"""Run the project's own command line as a user does, in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

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
    return started([*COMMAND, *map(str, arguments)], environment=environment(**changes))


def started(
    words: Sequence[str],
    *,
    environment: Mapping[str, str],
    cwd: Path | None = None,
    output: int | IO[bytes] = subprocess.PIPE,
) -> "subprocess.Popen[str]":
    """Start any program so; one that says much needs a file to say it to, or it waits for a reader."""
    return subprocess.Popen(
        words,
        cwd=cwd,
        env=environment,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def kill(process: "subprocess.Popen[str]") -> None:
    """Kill -9 a started command and its JVM; one that has ended by itself was not killed, and fails."""
    os.killpg(process.pid, signal.SIGKILL)
    output, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, f"it had ended with {process.returncode}: {output}"


def kill_when(
    process: "subprocess.Popen[str]", condition: Callable[[], object], *, within: float = 300
) -> None:
    """Wait for a condition, by looking, and kill -9 the process that has brought it about."""
    wait_for(process, condition, within=within)
    kill(process)


def wait_for(
    process: "subprocess.Popen[str]", condition: Callable[[], object], *, within: float = 300
) -> None:
    """Wait for a condition, by looking; a process that ends before it, or a deadline, is a failure."""
    deadline = time.monotonic() + within
    while not condition():
        assert process.poll() is None, f"it had ended with {process.returncode}: {process.communicate()[0]}"
        assert time.monotonic() < deadline, "the condition has not come about"
        time.sleep(0.01)
