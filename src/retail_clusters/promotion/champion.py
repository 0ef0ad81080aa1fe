"""How `champion` moves, for promote and rollback alike: on the ledger first, then the alias, then the rest.

Call these with `Ledger.exclusive()` held.
"""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import click

from retail_clusters.errors import PromotionRefusedError, RegistryError
from retail_clusters.promotion.ledger import Ledger
from retail_clusters.promotion.moves import DONE, UNDER_WAY, WITHDRAWN, Move, champions, in_order
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.settings import CHALLENGER, CHAMPION, PREVIOUS

#: How often to try while another machine moves the champion, and how long to wait at first, in seconds: twice
#: as long each time, and between none and all of it, so that two do not keep step.
TRIES: Final = 5
FIRST_WAIT: Final = 0.5


@dataclass(frozen=True)
class Intent:
    """What a move is to do: for whom, from which version to which, why, and with what evidence."""

    action: str
    before: str | None
    after: str
    reason: str
    facts: Mapping[str, str]
    texts: Mapping[str, str]


def recover_interrupted(registry: ModelRegistry) -> list[Move]:
    """End what a dead process left half done, and say so; return the whole ledger as it is then.

    Whatever reached the alias is finished, the rest is withdrawn: ledger and alias agree afterwards. Moves of
    other machines that may be alive stay.
    """
    moves = Ledger(registry.name).moves()
    for left in [move for move in moves if move.state == UNDER_WAY and not move.alive]:
        ended = _recover_one(registry, left, moves)
        moves = [ended if move.run_id == left.run_id else move for move in moves]
    return moves


def move_champion(registry: ModelRegistry, intent: Intent) -> Move:
    """Let `champion` name another version, if it still names `before`.

    Of two machines that try at the same time neither goes on while it sees the other.

    Raises:
        PromotionRefusedError: the alias has moved meanwhile, or another machine keeps moving it.
    """
    moves = recover_interrupted(registry)
    number = 1 + max((move.number for move in moves), default=0)
    rivals = _alive(moves)
    for attempt in range(TRIES):
        _check_unmoved(registry, intent)
        if not rivals:
            announced = _announce(registry, intent, number=number + attempt)
            rivals = _rivals(registry, announced, intent)
            if not rivals:
                registry.set_alias(alias=CHAMPION, version=intent.after)
                return _finish(registry, announced, moves, note="")
        seen = rivals[0]
        time.sleep(random.uniform(0, FIRST_WAIT * 2**attempt))
        rivals = _alive(Ledger(registry.name).under_way())
    raise _busy(seen)


def _announce(registry: ModelRegistry, intent: Intent, *, number: int) -> Move:
    return Ledger(registry.name).print_header(
        number=number,
        action=intent.action,
        before=intent.before,
        after=intent.after,
        reason=intent.reason,
        facts=_tags_of(registry, intent) | dict(intent.facts),
        texts=intent.texts,
    )


def _rivals(registry: ModelRegistry, announced: Move, intent: Intent) -> list[Move]:
    """Return who else has announced a move; with any, or another champion by now, withdraw this one.

    Each announces before it looks, so of two at least one sees the other.
    """
    ledger = Ledger(registry.name)
    rivals = [other for other in _alive(ledger.under_way()) if other.run_id != announced.run_id]
    try:
        if rivals:
            raise _busy(rivals[0])
        _check_unmoved(registry, intent)
    except PromotionRefusedError as refused:
        ledger.close(announced, state=WITHDRAWN, note=str(refused))
        if not rivals:
            raise
    return rivals


def _alive(moves: Sequence[Move]) -> list[Move]:
    return [move for move in moves if move.alive]


def _recover_one(registry: ModelRegistry, left: Move, moves: Sequence[Move]) -> Move:
    champion = registry.version_named(alias=CHAMPION)
    what = f"move {left.number}, {left.action} to version {left.after} by {left.who}"
    if champion == left.after:
        note = "the process died after the alias had moved; a later command finished it"
        ended = _finish(registry, left, moves, note=note)
    else:
        now = f"version {champion}" if champion else "no version"
        expected = champion == left.before
        note = f"the process died before the alias moved; champion is {now}" + (
            "" if expected else ", set by other means since"
        )
        Ledger(registry.name).close(left, state=WITHDRAWN, note=note)
        ended = replace(left, state=WITHDRAWN, note=note)
    click.secho(f"ledger: {what}: {ended.note}", fg="yellow", err=True)
    return ended


def _finish(registry: ModelRegistry, done: Move, moves: Sequence[Move], *, note: str) -> Move:
    """Let `previous` follow, take `challenger` off what is champion now, and close the move.

    The champion has moved: an alias that cannot follow is noted, and holds up no later move.
    """
    entries = in_order([*(move for move in moves if move.run_id != done.run_id), replace(done, state=DONE)])
    try:
        _point_previous(registry, champions(entries)[:-1])
        if registry.version_named(alias=CHALLENGER) in {done.after, done.challenger}:
            registry.remove_alias(alias=CHALLENGER)
    except RegistryError as problem:
        note = "; ".join(filter(None, [note, f"previous and challenger could not follow: {problem}"]))
        click.secho(f"ledger: {note}", fg="yellow", err=True)
    ended = replace(done, state=DONE, note=note)
    Ledger(registry.name).close(ended, state=DONE, note=note)
    return ended


def _point_previous(registry: ModelRegistry, earlier: Sequence[str]) -> None:
    """Let `previous` name the latest of the champions before that is still registered."""
    left = next((version for version in reversed(earlier) if registry.has(version=version)), None)
    if left:
        registry.set_alias(alias=PREVIOUS, version=left)
    elif registry.version_named(alias=PREVIOUS):
        registry.remove_alias(alias=PREVIOUS)


def _busy(other: Move) -> PromotionRefusedError:
    return PromotionRefusedError(
        f"one command moves the champion at a time, but {other.who} on {other.host} has been moving it "
        f"to version {other.after} since {other.when:%H:%M:%S} UTC: look at history, and try again"
    )


def _check_unmoved(registry: ModelRegistry, intent: Intent) -> None:
    champion = registry.version_named(alias=CHAMPION)
    if champion != intent.before:
        raise PromotionRefusedError(
            f"champion must still be {_name(intent.before)}, which version {intent.after} was held against, "
            f"but it is {_name(champion)} by now: nothing was changed; run {intent.action} again"
        )


def _name(version: str | None) -> str:
    return f"version {version}" if version else "no version"


def _tags_of(registry: ModelRegistry, intent: Intent) -> dict[str, str]:
    """Return what the ledger keeps of the two versions, which may be deleted later."""
    tags = registry.read_version(version=intent.after).tags
    kept = {key: tags.get(key, "") for key in ("data_digest", "model_digest", "cluster_numbers")}
    if intent.before:
        known = registry.has(version=intent.before)
        before = registry.read_version(version=intent.before).tags if known else {}
        kept["from_model_digest"] = before.get("model_digest", "")
    return kept
