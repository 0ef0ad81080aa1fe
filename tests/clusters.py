"""A standalone Spark cluster of real processes on this machine: pyspark's own master and workers.

    with standalone_cluster(tmp_path, workers=2) as cluster:
        subprocess.run(["spark-submit", "--master", cluster.master, …], env=os.environ | cluster.environment)
        cluster.kill_worker(0)

Every daemon has a working folder, a log and a process group of its own. A worker's executors are in its
group, so that killing it is what a lost machine is to the driver. Folders that are `hidden` are empty to
workers, as the driver's own disks are to other machines; where the system does not let them be, `can_hide`
says so.
"""

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

LOOPBACK = {"SPARK_LOCAL_IP": "127.0.0.1"}
# Daemons that live for a test: small, and started with the first compiler only.
_DAEMON = {
    "SPARK_DAEMON_MEMORY": "256m",
    "SPARK_DAEMON_JAVA_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}
_STARTED = re.compile(r"Starting Spark master at (spark://\S+)")
_OWN_DISKS = ("unshare", "--mount", "sh", "-c")
_BEGUN = re.compile(r"Executor: Running task ")
_ENDED = re.compile(r"Executor: (?:Finished|Executor killed|Exception in) task ")
_REGISTERED = re.compile(r"Successfully registered with master (spark://\S+)")


@dataclass(frozen=True)
class Daemon:
    """A master or a worker: its process, which leads a group, and its folder, which holds its log."""

    process: "subprocess.Popen[bytes]"
    folder: Path

    def logged(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def wait_for(self, pattern: re.Pattern[str]) -> str:
        """Wait until the log holds the pattern; return its first group."""

        def seen() -> str | None:
            if self.process.poll() is not None:
                raise AssertionError(f"{self.folder.name} ended early:\n{self.logged()[-2000:]}")
            found = pattern.search(self.logged())
            return found and found[1]

        return wait_until(seen, f"{pattern.pattern!r} in the log of {self.folder.name}")

    def kill(self) -> None:
        """Kill -9 the daemon and all that it started; a second time does nothing."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class Cluster:
    """A running master, and the workers that were started for it, dead ones too."""

    master: str
    folder: Path
    cores: int
    memory: str
    hidden: tuple[Path, ...] = ()
    workers: list[Daemon] = field(default_factory=list)

    # What a driver on this machine needs, as a process and as properties.
    environment = LOOPBACK
    conf = {"spark.driver.host": "127.0.0.1", "spark.ui.enabled": "false"}  # noqa: RUF012

    def start_worker(self) -> Daemon:
        """Start one more worker, and wait until the master knows it."""
        worker = _start(
            "org.apache.spark.deploy.worker.Worker",
            *("--cores", str(self.cores), "--memory", self.memory, self.master),
            folder=self.folder / f"worker-{len(self.workers)}",
            hidden=self.hidden,
        )
        self.workers.append(worker)
        worker.wait_for(_REGISTERED)
        return worker

    def kill_worker(self, index: int) -> None:
        """Kill -9 a worker and its executors, as if its machine had lost power."""
        self.workers[index].kill()

    def is_busy(self, index: int) -> bool:
        """Tell whether an executor of a worker has a task under way, by what it has logged."""
        logs = [log.read_text(errors="replace") for log in self.workers[index].folder.glob("app-*/*/stderr")]
        return any(len(_BEGUN.findall(log)) > len(_ENDED.findall(log)) for log in logs)

    def executors(self) -> list[Path]:
        """Return the working folders of every executor that a worker ever started, dead ones too."""
        return sorted(self.folder.glob("worker-*/app-*/[0-9]*"))


@contextmanager
def standalone_cluster(
    folder: Path, *, workers: int = 1, cores: int = 1, memory: str = "1g", hidden: Sequence[Path] = ()
) -> Iterator[Cluster]:
    """Run a master and workers below `folder`; kill them all at the end."""
    master = _start("org.apache.spark.deploy.master.Master", folder=folder / "master")
    started: list[Daemon] = []
    try:
        cluster = Cluster(master.wait_for(_STARTED), folder, cores, memory, tuple(hidden), started)
        for _ in range(workers):
            cluster.start_worker()
        yield cluster
    finally:
        for daemon in [*started, master]:
            daemon.kill()


def wait_until(condition: Callable[[], T | None], what: str, *, seconds: float = 60) -> T:
    """Return the condition's first true value; fail when none came in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")


def can_hide() -> bool:
    """Tell whether a process here may have disks of its own."""
    try:
        return subprocess.run([*_OWN_DISKS, "true", "true"], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def _start(name: str, *arguments: str, folder: Path, hidden: Sequence[Path] = ()) -> Daemon:
    folder.mkdir(parents=True)
    spark_home = Path(str(find_spec("pyspark").origin)).parent  # type: ignore[union-attr]
    words = [
        spark_home / "bin" / "spark-class",
        name,
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--webui-port",
        "0",
    ]
    if "Worker" in name:
        words += ["--work-dir", str(folder)]
    # What the tests' own process may import, and which Spark it uses, an executor must not inherit.
    inherited = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "SPARK_MASTER"}}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            list(map(str, [*_without(hidden), *words, *arguments])),
            cwd=folder,
            env=inherited | LOOPBACK | _DAEMON | {"SPARK_HOME": str(spark_home)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Daemon(process, folder)


def _without(hidden: Sequence[Path]) -> list[str]:
    """Return the words that start a program to which folders are empty."""
    mounts = "".join(f"mount -t tmpfs none {shlex.quote(str(folder))} && " for folder in hidden)
    return [*_OWN_DISKS, f'{mounts}exec "$@"', "sh"] if hidden else []
