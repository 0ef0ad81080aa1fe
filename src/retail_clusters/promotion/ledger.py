"""The promotion ledger: every move of `champion` is a run of its own, written first and closed after.

The run of a move is RUNNING while the move is under way, FINISHED when it is done, KILLED when it did not
happen. A command that dies in between leaves it RUNNING, for the next one to find.
Why, and what it cannot do: docs/decisions/0030-promotion.md.
"""

import fcntl
import getpass
import hashlib
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import mlflow
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from retail_clusters.errors import RegistryError

UNDER_WAY: Final = "RUNNING"
DONE: Final = "FINISHED"
WITHDRAWN: Final = "KILLED"

#: How long a move of another machine may be under way before it counts as dead.
LEASE: Final = timedelta(minutes=10)

_PATIENCE: Final = 60.0
_POLL: Final = 0.05


@dataclass(frozen=True)
class Move:
    """One move of `champion`.

    `before` is None when there was no champion. `challenger` is the version that stood before the gates:
    `after` itself, or the one that `after` was made from by renumbering.
    """

    run_id: str
    number: int
    action: str
    before: str | None
    after: str
    challenger: str | None
    who: str
    host: str
    when: datetime
    reason: str
    state: str
    note: str

    @property
    def here(self) -> bool:
        """Tell whether this machine made it."""
        return self.host == socket.gethostname()

    @property
    def fresh(self) -> bool:
        """Tell whether the process that made it may still be at work."""
        return datetime.now(UTC) - self.when < LEASE


def who() -> str:
    """Name the user of this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


@dataclass(frozen=True)
class Ledger:
    """The moves of one registered model's champion."""

    model: str

    @property
    def experiment(self) -> str:
        """Name the MLflow experiment that holds the moves."""
        return f"{self.model}-promotions"

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the one right to move `champion`, among the processes of this machine that use this store.

        The system takes it back from a process that dies.

        Raises:
            RegistryError: another process has held it for a minute.
        """
        descriptor = os.open(_lock_file(), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def announce(
        self,
        *,
        action: str,
        before: str | None,
        after: str,
        reason: str,
        facts: Mapping[str, str],
        texts: Mapping[str, str],
    ) -> Move:
        """Write that a move is about to happen, with its evidence: tags, and artifacts by file name."""
        client = MlflowClient()
        number = max((move.number for move in self.moves()), default=0) + 1
        tags = {
            "move": str(number),
            "action": action,
            "from": before or "",
            "to": after,
            "who": who(),
            "host": socket.gethostname(),
            "reason": reason,
        }
        run = client.create_run(self._experiment(), run_name=f"{action} {after}", tags=tags | dict(facts))
        for name, text in texts.items():
            client.log_text(run.info.run_id, text, name)
        return _move(run)

    def close(self, *, run_id: str, state: str, note: str) -> None:
        """Write how a move ended."""
        client = MlflowClient()
        client.set_tag(run_id, "note", note)
        client.set_terminated(run_id, state)

    def moves(self) -> list[Move]:
        """Read the ledger, oldest move first."""
        client = MlflowClient()
        found: list[Move] = []
        token: str | None = None
        while True:
            page = client.search_runs([self._experiment()], max_results=1000, page_token=token)
            found += [_move(run) for run in page if "move" in run.data.tags]
            token = page.token
            if not token:
                return sorted(found, key=lambda move: (move.number, move.when, move.run_id))

    def _experiment(self) -> str:
        client = MlflowClient()
        found = client.get_experiment_by_name(self.experiment)
        if found:
            return str(found.experiment_id)
        try:
            return str(client.create_experiment(self.experiment))
        except mlflow.MlflowException:
            made_meanwhile = client.get_experiment_by_name(self.experiment)
            if made_meanwhile is None:
                raise
            return str(made_meanwhile.experiment_id)


def champions(moves: Sequence[Move]) -> list[str]:
    """Return the champions that a rollback can reach, the present one last.

    A promotion puts one on top, a rollback takes one off. A move from a version that is not on top shows
    that the alias was set by hand in between: that version is put on top first.
    """
    stack: list[str] = []
    for move in moves:
        if move.state != DONE:
            continue
        if move.before and stack[-1:] != [move.before]:
            stack.append(move.before)
        if move.action == "rollback":
            stack.pop()
            if stack[-1:] != [move.after]:
                stack.append(move.after)
        else:
            stack.append(move.after)
    return stack


def _move(run: Run) -> Move:
    tags = run.data.tags
    return Move(
        run_id=run.info.run_id,
        number=int(tags["move"]),
        action=tags["action"],
        before=tags["from"] or None,
        after=tags["to"],
        challenger=tags.get("challenger"),
        who=tags["who"],
        host=tags["host"],
        when=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        reason=tags["reason"],
        state=run.info.status,
        note=tags.get("note", ""),
    )


def _lock_file() -> Path:
    """Return the file that stands for the store: beside an sqlite file, else in the temporary folder."""
    uri = mlflow.get_tracking_uri()
    if uri.startswith("sqlite:///"):
        return Path(f"{uri.removeprefix('sqlite:///')}.promotion-lock").absolute()
    digest = hashlib.sha256(uri.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"retail-clusters-{digest}.promotion-lock")


def _lock(descriptor: int) -> None:
    ends = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > ends:
                raise RegistryError(
                    "one command moves the champion at a time, but another has been at it for a minute: "
                    "wait for it, or end it"
                ) from None
            time.sleep(_POLL)
        else:
            return
