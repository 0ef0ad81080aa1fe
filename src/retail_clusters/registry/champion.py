"""Who was champion when: each move of the alias is one MLflow run, the `promote` or `rollback` that made it.

The run says from which version to which, by whom and why, before the alias moves, and how it ended after.
A command that dies in between leaves the second out; the next one adds what the alias says.
What holds across machines: docs/decisions/0030-promotion.md.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import click
import mlflow
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from retail_clusters.errors import PromotionRefusedError
from retail_clusters.infra.locks import LockOwner, lock
from retail_clusters.registry import numbering, tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.settings import CHALLENGER, CHAMPION, PREVIOUS

DONE: Final = "FINISHED"
WITHDRAWN: Final = "KILLED"
UNDER_WAY: Final = "RUNNING"
#: The command died, or failed, before it said how the move ended.
ABANDONED: Final = "ABANDONED"

#: How long a move may be under way whose process cannot be looked at, before it counts as dead.
PATIENCE: Final = timedelta(hours=1)

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
    """Read every move of a model's champion, oldest first, in whatever experiment its run is.

    Earlier releases kept them in an experiment of their own, `MODEL-promotions`.
    """
    with tracking.answered():
        earlier = MlflowClient().get_experiment_by_name(f"{model}-promotions")
        runs = mlflow.search_runs(
            search_all_experiments=True, filter_string="tags.`move` LIKE '%'", output_format="list"
        )
    theirs = earlier.experiment_id if earlier else None
    return _in_order(
        _from_run(run)
        for run in runs
        if run.data.tags.get(_MODEL, model if run.info.experiment_id == theirs else None) == model
    )


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


def used_numbers(registry: ModelRegistry, moves: Sequence[Move]) -> list[int]:
    """List the cluster numbers that champions have had, whatever became of their versions.

    Moves of earlier releases may not tell; the tags of those versions that are still there do.
    """
    silent = {move.after for move in moves if not move.numbers}
    tags = [registry.read_version(version=name).tags for name in silent if registry.has(version=name)]
    told = [numbering.from_text(each.get("cluster_numbers", "")) for each in tags]
    return [number for numbers in (*(move.numbers for move in moves), *told) for number in numbers]


def close_abandoned(registry: ModelRegistry) -> list[Move]:
    """Close what a dead command left half done, as the alias says, and tell it; return every move.

    Call this, and `move_champion`, with `only_command` held.
    """
    moves = read_moves(registry.name)
    for left in [move for move in moves if move.state == ABANDONED]:
        champion = registry.version_named(alias=CHAMPION)
        if champion == left.after:
            closed = _finish(registry, left, moves, note="the command died after the alias had moved")
        else:
            named = f"version {champion}" if champion else "no version"
            closed = _close(left, WITHDRAWN, note=f"the command died; champion is {named}")
        with tracking.answered():
            MlflowClient().set_terminated(left.run_id, closed.state)
        click.secho(
            f"history: {left.action} to version {left.after} by {left.who}: {closed.note}",
            fg="yellow",
            err=True,
        )
        moves = [closed if move.run_id == left.run_id else move for move in moves]
    return moves


def move_champion(
    registry: ModelRegistry, *, action: str, before: str | None, after: str, reason: str, challenger: str = ""
) -> Move:
    """Let `champion` name another version, on the open run: told first, then done, then read back.

    Raises:
        PromotionRefusedError: `champion` is not `before` any more, or another command set it in the same
            moment; each of the two is in the history.
    """
    moves = close_abandoned(registry)
    _check_unmoved(registry, action=action, before=before, after=after)
    owner, version = LockOwner.here(), registry.read_version(version=after)
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
            "process": owner.text,
            "reason": reason,
            **{key: version.tags.get(key, "") for key in ("data_digest", "model_digest", "cluster_numbers")},
        }
    )
    move = _from_run(tracking.active_run())
    registry.set_alias(alias=CHAMPION, version=after)
    named = registry.version_named(alias=CHAMPION)
    if named == after:
        return _finish(registry, move, moves, note="")
    overtaken = _close(move, WITHDRAWN, note=f"another command set champion to version {named} just then")
    raise PromotionRefusedError(
        f"champion must be version {after} after it was set, but {overtaken.note}: look at history, and run "
        f"{action} again if it should be version {after}"
    )


def _check_unmoved(registry: ModelRegistry, *, action: str, before: str | None, after: str) -> None:
    champion = registry.version_named(alias=CHAMPION)
    if champion != before:
        was, now = (f"version {each}" if each else "no version" for each in (before, champion))
        raise PromotionRefusedError(
            f"champion must still be {was}, which version {after} was compared with, but it is {now} by now: "
            f"nothing was changed; run {action} again"
        )


def _finish(registry: ModelRegistry, move: Move, moves: Sequence[Move], *, note: str) -> Move:
    """Let `previous` follow, take `challenger` off what is champion now, and close the move."""
    others = [other for other in moves if other.run_id != move.run_id]
    earlier = champions(_in_order([*others, replace(move, state=DONE)]))[:-1]
    left = next((version for version in reversed(earlier) if registry.has(version=version)), None)
    if left:
        registry.set_alias(alias=PREVIOUS, version=left)
    elif registry.version_named(alias=PREVIOUS):
        registry.remove_alias(alias=PREVIOUS)
    if registry.version_named(alias=CHALLENGER) in {move.after, move.challenger}:
        registry.remove_alias(alias=CHALLENGER)
    return _close(move, DONE, note=note)


def _close(move: Move, state: str, *, note: str) -> Move:
    """Write how a move ended."""
    with tracking.answered():
        client = MlflowClient()
        client.set_tag(move.run_id, "note", note)
        client.set_tag(move.run_id, _OUTCOME, state)
    return replace(move, state=state, note=note)


def _in_order(moves: Iterable[Move]) -> list[Move]:
    return sorted(moves, key=lambda move: (move.number, move.when, move.run_id))


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
        state=_state(run),
        note=tags.get("note", ""),
    )


def _state(run: Run) -> str:
    """Return how a move ended, or whether the command that makes it may still be at work.

    The run of an earlier release ended with the move, and says so by its status.
    """
    tags, status = run.data.tags, str(run.info.status)
    if _OUTCOME in tags:
        return str(tags[_OUTCOME])
    if _MODEL not in tags and status != UNDER_WAY:
        return status
    owner = LockOwner.parse(tags.get("process", ""))
    young = datetime.now(UTC) - datetime.fromtimestamp(run.info.start_time / 1000, UTC) < PATIENCE
    alive = status == UNDER_WAY and young and not (owner and owner.is_dead)
    return UNDER_WAY if alive else ABANDONED
