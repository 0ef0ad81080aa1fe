"""One lock file on one machine, which the system takes back from a process that dies.

Across machines nothing is locked: there a record that is created only if absent says who was first.
"""

import getpass
import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from retail_clusters.errors import InputError
from retail_clusters.infra import storage
from retail_clusters.infra.locations import for_display, is_local, local_path, parent


@dataclass(frozen=True)
class LockOwner:
    """The process that holds a lock; `process` tells it from every other that ever ran, if the system can."""

    host: str
    pid: int
    user: str
    since: str
    process: str

    @classmethod
    def here(cls) -> "LockOwner":
        """Describe this process."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(socket.gethostname(), os.getpid(), _user(), since, _process(os.getpid()))

    @classmethod
    def parse(cls, text: str) -> "LockOwner | None":
        """Read what an owner has written; None for anything else."""
        try:
            told = json.loads(text)
            return cls(**{field.name: told[field.name] for field in fields(cls)})
        except (ValueError, TypeError, KeyError):
            return None

    @property
    def text(self) -> str:
        """What stands in the lock file."""
        return json.dumps(asdict(self))

    @property
    def is_dead(self) -> bool:
        """Tell whether the process is known to have ended: it ran where this one runs, and does no longer."""
        if self.is_elsewhere:
            return False
        now = _process(self.pid)
        return now != self.process if now else not Path(f"/proc/{self.pid}").exists()

    @property
    def is_elsewhere(self) -> bool:
        """Tell whether the process cannot be looked at: it ran on another machine, or before this one started."""
        system, _, _ = self.process.rpartition(" ")
        return not system or system != _process(os.getpid()).rpartition(" ")[0]


@contextmanager
def lock(location: str, *, purpose: str, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock at a location against every other process of this machine; its file stays.

    For a location that is not on this machine's disks it is a file of this user in the temporary folder.
    `purpose` says what the lock is for in a refusal ("one scorer at a time uses OUTPUT"); `wait` is in seconds.

    Raises:
        InputError: another process still holds it after `wait`.
    """
    file = _lock_file(location)
    try:
        held = FileLock(file, mode=0o666).acquire(timeout=wait)
    except Timeout:
        raise InputError(
            f"{purpose}, but another process holds {for_display(location)}: wait for it, or end it"
        ) from None
    except OSError as unusable:
        raise InputError(
            f"a lock must be a plain file of this user, but {for_display(str(file))} gave: "
            f"{unusable.strerror or unusable}; remove it"
        ) from unusable
    with held:
        yield


def _lock_file(location: str) -> Path:
    if is_local(location):
        storage.make_folder(parent(location))
        return Path(local_path(location))
    digest = hashlib.sha256(f"{os.getuid()} {location}".encode()).hexdigest()[:32]
    return Path(tempfile.gettempdir(), f"retail-clusters-{digest}.lock")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def _process(pid: int) -> str:
    """Tell a process from every other that ever ran: boot id, PID namespace, PID, start time.

    Machines and containers with one host name differ in the first two. Empty where the system hides it.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = Path("/proc/self/ns/pid").stat().st_ino
        line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *rest = line.rpartition(")")[2].split()
    return f"{boot} {namespace} {pid}@{'ended' if state in 'ZX' else rest[18]}"
