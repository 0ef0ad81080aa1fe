"""A move of `champion`, and what a list of moves says: who was champion, which cluster numbers were used."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from retail_clusters.infra.locks import LockOwner

UNDER_WAY: Final = "RUNNING"
DONE: Final = "FINISHED"
WITHDRAWN: Final = "KILLED"

#: How long a move may be under way whose process cannot be looked at, before it counts as dead.
LEASE: Final = timedelta(minutes=10)


@dataclass(frozen=True)
class Move:
    """One move of `champion`.

    Attributes:
        before: None when there was no champion.
        challenger: the version that stood before the gates: `after` itself, or the one that `after` was made
            from by renumbering.
        numbers: the numbers that the clusters of `after` have; empty where nobody noted them.
    """

    run_id: str
    number: int
    action: str
    before: str | None
    after: str
    challenger: str | None
    numbers: tuple[int, ...]
    who: str
    host: str
    process: LockOwner | None
    when: datetime
    reason: str
    state: str
    note: str

    @property
    def alive(self) -> bool:
        """Tell whether the process that makes it may still be at work."""
        if self.state != UNDER_WAY or (self.process and self.process.is_dead):
            return False
        return self.within_lease

    @property
    def within_lease(self) -> bool:
        """Tell whether it is so young that no other process takes it for dead."""
        return datetime.now(UTC) - self.when < LEASE


def numbers_of(text: str) -> tuple[int, ...]:
    """Read cluster numbers from a tag, such as `2,0,1`."""
    return tuple(int(number) for number in text.split(",") if number)


def in_order(moves: Sequence[Move]) -> list[Move]:
    """Sort moves, oldest first."""
    return sorted(moves, key=lambda move: (move.number, move.when, move.run_id))


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
