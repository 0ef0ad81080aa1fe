"""Who was champion when: each move of the alias is one MLflow run, the `promote` or `rollback` that made it.

The run says from which version to which, by whom and why, before the alias moves, and how it ended after.
Of a command that died in between, the alias and the next move say whether it moved.
What holds across machines: docs/decisions/0030-promotion.md.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import mlflow
from mlflow.entities import Run

from retail_clusters.errors import PromotionRefusedError
from retail_clusters.infra.locks import LockOwner, lock
from retail_clusters.registry import numbering, tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.settings import CHALLENGER, CHAMPION, PREVIOUS

DONE: Final = "FINISHED"
WITHDRAWN: Final = "KILLED"
#: The command has not said how the move ended: it is at work, or died before the alias moved.
UNDER_WAY: Final = "RUNNING"

#: How long to wait for another command on this machine, in seconds.
_WAIT: Final = 60.0
_MODEL: Final = "registered_model"
_OUTCOME: Final = "outcome"


@dataclass(frozen=True)
class Move:
    """One move of `champion`.

    Attributes:
        before: None when there was no champion.
        challenger: the version that was judged: `after` itself, or the one whose clusters `after` has under
            other numbers.
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
    when: datetime
    reason: str
    state: str
    note: str


def only_command(model: str) -> AbstractContextManager[object]:
    """Hold the one right to move the champion of a model, among the commands of this machine on this store.

    Raises:
        InputError: another command has held it for a minute.
    """
    purpose = f"one command moves the champion of {model} at a time"
    return lock(lock_file(mlflow.get_registry_uri(), model), purpose=purpose, wait=_WAIT)


def lock_file(store: str, model: str) -> str:
    """Return the location that stands for a model: beside an sqlite store, else at its address."""
    path = tracking.sqlite_file(store)
    return f"{path.resolve() if path else store.rstrip('/')}.{model}.promotion-lock"


def read_moves(model: str) -> list[Move]:
    """Read every move of a model's champion, oldest first, in whatever experiment its run is."""
    with tracking.answered():
        runs = mlflow.search_runs(
            search_all_experiments=True,
            filter_string=f"tags.`{_MODEL}` = '{model}' AND tags.`move` LIKE '%'",
            output_format="list",
        )
    moves = sorted(map(_from_run, runs), key=lambda move: (move.number, move.when, move.run_id))
    found_after = [*(move.before for move in moves[1:]), ModelRegistry(model).version_named(alias=CHAMPION)]
    return [
        replace(move, state=DONE) if move.state == UNDER_WAY and move.after == found else move
        for move, found in zip(moves, found_after, strict=False)
    ]


def champions(moves: Sequence[Move], *, now: str | None = None) -> list[str]:
    """Return the champions that a rollback can reach, the present one last.

    A promotion puts one on top, a rollback takes one off. A move from a version that is not on top, or another
    champion `now`, shows that the alias was set by hand in between: that version is put on top first.
    """
    stack: list[str] = []

    def put(version: str | None) -> None:
        if version and stack[-1:] != [version]:
            stack.append(version)

    for move in moves:
        if move.state == DONE:
            put(move.before)
            if move.action == "rollback":
                stack.pop()
            put(move.after)
    put(now)
    return stack


def used_numbers(moves: Sequence[Move]) -> list[int]:
    """List the cluster numbers that promoted versions have had, whatever became of them."""
    return [number for move in moves for number in move.numbers]


def move_champion(
    registry: ModelRegistry, *, action: str, before: str | None, after: str, reason: str, challenger: str = ""
) -> Move:
    """Let `champion` name another version, on the open run: told first, then done, then read back.

    Raises:
        PromotionRefusedError: `champion` is not `before` any more, or another command set it in the same
            moment; each of the two is in the history.
    """
    _check_unmoved(registry, action=action, before=before, after=after)
    moves, owner = read_moves(registry.name), LockOwner.here()
    version = registry.read_version(version=after)
    tracking.set_tags(
        {
            "move": str(1 + max((move.number for move in moves), default=0)),
            _MODEL: registry.name,
            "action": action,
            "from": before or "",
            "to": after,
            "challenger": challenger or after,
            "who": owner.user,
            "host": owner.host,
            "reason": reason,
            **{key: version.tags.get(key, "") for key in ("data_digest", "model_digest", "cluster_numbers")},
        }
    )
    registry.set_alias(alias=CHAMPION, version=after)
    named = registry.version_named(alias=CHAMPION)
    note = "" if named == after else f"another command set champion to version {named} just then"
    tracking.set_tags({"note": note, _OUTCOME: WITHDRAWN if note else DONE})
    if note:
        raise PromotionRefusedError(
            f"champion must be version {after} after it was set, but {note}: look at history, and run "
            f"{action} again if it should be version {after}"
        )
    _follow(registry, {after, challenger})
    return _from_run(tracking.active_run())


def _check_unmoved(registry: ModelRegistry, *, action: str, before: str | None, after: str) -> None:
    champion = registry.version_named(alias=CHAMPION)
    if champion != before:
        was, now = (f"version {each}" if each else "no version" for each in (before, champion))
        raise PromotionRefusedError(
            f"champion must still be {was}, which version {after} was compared with, but it is {now} by now: "
            f"nothing was changed; run {action} again"
        )


def _follow(registry: ModelRegistry, promoted: set[str]) -> None:
    """Let `previous` name where a rollback goes, and take `challenger` off what was promoted."""
    earlier = champions(read_moves(registry.name))[:-1]
    left = next((version for version in reversed(earlier) if registry.has(version=version)), None)
    if left:
        registry.set_alias(alias=PREVIOUS, version=left)
    elif registry.version_named(alias=PREVIOUS):
        registry.remove_alias(alias=PREVIOUS)
    if registry.version_named(alias=CHALLENGER) in promoted:
        registry.remove_alias(alias=CHALLENGER)


def _from_run(run: Run) -> Move:
    tags = run.data.tags
    return Move(
        run_id=run.info.run_id,
        number=int(tags["move"]),
        action=tags["action"],
        before=tags["from"] or None,
        after=tags["to"],
        challenger=tags.get("challenger"),
        numbers=numbering.from_text(tags.get("cluster_numbers", "")),
        who=tags["who"],
        host=tags["host"],
        when=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        reason=tags["reason"],
        state=tags.get(_OUTCOME, UNDER_WAY),
        note=tags.get("note", ""),
    )
