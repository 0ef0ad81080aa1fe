"""A command in processes of its own: how long it takes, and the peak memory of driver and workers."""

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_EVERY: Final = 0.2
_EXECUTOR: Final = b"CoarseGrainedExecutorBackend"


@dataclass(frozen=True)
class Used:
    """What a command took: seconds, and peak resident memory in MB of driver (Python, JVM) and workers."""

    seconds: float
    driver: float
    workers: float


@dataclass
class _Watch:
    """The peak of each process below a command, in kB: of the driver, and of executors with their Python."""

    root: int
    driver: dict[int, int] = field(default_factory=dict)
    workers: dict[int, int] = field(default_factory=dict)

    def look(self) -> None:
        children: dict[int, list[int]] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            if (parent := _status(int(folder.name), "PPid:")) is not None:
                children.setdefault(parent, []).append(int(folder.name))
        for process, in_worker in _below(self.root, children, in_worker=False):
            if peak := _status(process, "VmHWM:"):
                (self.workers if in_worker else self.driver)[process] = peak


def run(command: Sequence[str | Path], *, folder: Path, environment: Mapping[str, str]) -> Used:
    """Run a command to its end, and watch the memory of all processes that it starts."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | environment, stdout=said, stderr=subprocess.STDOUT
        )
        watch = _Watch(process.pid)
        ended = threading.Event()
        watching = threading.Thread(target=_look_until, args=(watch, ended))
        watching.start()
        code = process.wait()
        seconds = time.perf_counter() - started
        ended.set()
        watching.join()
        if code:
            said.seek(0)
            raise SystemExit(f"{command} ended with {code}:\n{said.read()[-3000:].decode()}")
    return Used(seconds, *(sum(peaks.values()) / 1024 for peaks in (watch.driver, watch.workers)))


def _look_until(watch: _Watch, ended: threading.Event) -> None:
    while not ended.wait(_EVERY):
        watch.look()


def _below(root: int, children: Mapping[int, list[int]], *, in_worker: bool) -> Iterator[tuple[int, bool]]:
    in_worker = in_worker or _is_executor(root)
    yield root, in_worker
    for child in children.get(root, ()):
        yield from _below(child, children, in_worker=in_worker)


def _is_executor(process: int) -> bool:
    try:
        return _EXECUTOR in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False


def _status(process: int, name: str) -> int | None:
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), None)
