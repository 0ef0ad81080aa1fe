"""Who holds a lock: written down, read again, and known to be gone where the system can tell."""

import getpass
import json
import os
import socket
import uuid
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class LockOwner:
    """The process that holds a lock; `process` tells it from every other that ever ran, if the system can."""

    host: str
    pid: int
    user: str
    since: str
    process: str
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def here(cls) -> "LockOwner":
        """Describe this process."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(socket.gethostname(), os.getpid(), _user(), since, _process(os.getpid()))

    @classmethod
    def parse(cls, text: str) -> "LockOwner | None":
        """Read what a holder has written; None for anything else."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return None

    @property
    def text(self) -> str:
        """What stands in the lock file."""
        return json.dumps(asdict(self))

    @property
    def is_dead(self) -> bool:
        """Tell whether the process is known to have ended: it ran where this one runs, and does no longer."""
        space, _, _ = self.process.rpartition(" ")
        if not space or space != _process(os.getpid()).rpartition(" ")[0]:
            return False
        now = _process(self.pid)
        return now != self.process if now else not _exists(self.pid)

    def __str__(self) -> str:
        """Name the process for people."""
        return f"process {self.pid} of {self.user} on {self.host}, since {self.since}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def _process(pid: int) -> str:
    """Tell a process from every other that ever ran: boot, space of numbers, number, start.

    Machines and containers with one host name differ in the first two. Empty where the system hides it.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = Path("/proc/self/ns/pid").stat().st_ino
        line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *fields = line.rpartition(")")[2].split()
    return f"{boot} {space} {pid}@{'ended' if state in 'ZX' else fields[18]}"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
