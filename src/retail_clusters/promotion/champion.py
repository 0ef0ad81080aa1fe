"""How `champion` moves, for promote and rollback alike: on the ledger first, then the alias, then the rest.

Call these with `Ledger.exclusive()` held.
"""

from collections.abc import Mapping
from dataclasses import replace

import click

from retail_clusters.errors import PromotionRefusedError
from retail_clusters.infra.registry import CHALLENGER, CHAMPION, PREVIOUS, ModelRegistry
from retail_clusters.promotion import ledger
from retail_clusters.promotion.ledger import Ledger, Move


def recover_interrupted(registry: ModelRegistry) -> list[Move]:
    """End what a dead process left half done, and say so; give the moves of other machines under way.

    Whatever reached the alias is finished, the rest is withdrawn: ledger and alias agree afterwards.
    """
    under_way = [move for move in Ledger(registry.name).moves() if move.state == ledger.UNDER_WAY]
    alive = [move for move in under_way if not move.here and move.fresh]
    for move in under_way:
        if move not in alive:
            _recover_one(registry, move)
    return alive


def move_champion(
    registry: ModelRegistry,
    *,
    action: str,
    before: str | None,
    after: str,
    reason: str,
    facts: Mapping[str, str],
    texts: Mapping[str, str] | None = None,
) -> Move:
    """Let `champion` name another version, if it still names `before`.

    Raises:
        PromotionRefusedError: the alias has moved meanwhile, or another machine is moving it.
    """
    book = Ledger(registry.name)
    _check_alone(recover_interrupted(registry))
    _check_unmoved(registry, before, after)
    intent = book.announce(
        action=action,
        before=before,
        after=after,
        reason=reason,
        facts=_digests(registry, before, after) | dict(facts),
        texts=texts or {},
    )
    try:
        earlier = [other for other in _rivals(book, intent) if _order(other) < _order(intent)]
        _check_alone(earlier)
        _check_unmoved(registry, before, after)
    except PromotionRefusedError as refused:
        book.close(run_id=intent.run_id, state=ledger.WITHDRAWN, note=str(refused))
        raise
    registry.set_alias(alias=CHAMPION, version=after)
    _finish(registry, intent, note="")
    return replace(intent, state=ledger.DONE)


def _rivals(book: Ledger, intent: Move) -> list[Move]:
    """Return the other moves that are under way: those of other machines, as this one's are exclusive."""
    return [
        other
        for other in book.moves()
        if other.state == ledger.UNDER_WAY and other.run_id != intent.run_id and other.fresh
    ]


def _recover_one(registry: ModelRegistry, left: Move) -> None:
    champion = registry.version_named(alias=CHAMPION)
    what = f"move {left.number}, {left.action} to version {left.after} by {left.who}"
    if champion == left.after:
        note = "the process died after the alias had moved; a later command finished it"
        _finish(registry, left, note=note)
    else:
        now = f"version {champion}" if champion else "no version"
        expected = champion == left.before
        note = f"the process died before the alias moved; champion is {now}" + (
            "" if expected else ", set by hand since"
        )
        Ledger(registry.name).close(run_id=left.run_id, state=ledger.WITHDRAWN, note=note)
    click.secho(f"ledger: {what}: {note}", fg="yellow", err=True)


def _finish(registry: ModelRegistry, done: Move, *, note: str) -> None:
    """Let `previous` follow, take `challenger` off what is champion now, and close the run."""
    book = Ledger(registry.name)
    entries = [other for other in book.moves() if other.run_id != done.run_id]
    reachable = ledger.champions([*entries, replace(done, state=ledger.DONE)])
    point(registry, PREVIOUS, reachable[-2] if len(reachable) > 1 else None)
    if registry.version_named(alias=CHALLENGER) in {done.after, done.challenger}:
        point(registry, CHALLENGER, None)
    book.close(run_id=done.run_id, state=ledger.DONE, note=note)


def point(registry: ModelRegistry, alias: str, version: str | None) -> None:
    """Let an alias name a version, or nothing."""
    if version:
        registry.set_alias(alias=alias, version=version)
    elif registry.version_named(alias=alias):
        registry.remove_alias(alias=alias)


def _check_alone(others: list[Move]) -> None:
    if others:
        other = others[0]
        raise PromotionRefusedError(
            f"one command moves the champion at a time, but {other.who} on {other.host} has been moving it "
            f"to version {other.after} since {other.when:%H:%M:%S} UTC: look at history, and try again"
        )


def _check_unmoved(registry: ModelRegistry, before: str | None, after: str) -> None:
    champion = registry.version_named(alias=CHAMPION)
    if champion != before:
        raise PromotionRefusedError(
            f"champion must still be {_name(before)}, which version {after} was held against, but it is "
            f"{_name(champion)} by now: nothing was changed; run promote again to hold it against that one"
        )


def _name(version: str | None) -> str:
    return f"version {version}" if version else "no version"


def _order(of: Move) -> tuple[int, float, str]:
    return of.number, of.when.timestamp(), of.run_id


def _digests(registry: ModelRegistry, before: str | None, after: str) -> dict[str, str]:
    tags = registry.read_version(version=after).tags
    digests = {key: tags.get(key, "") for key in ("data_digest", "model_digest")}
    if before:
        digests["from_model_digest"] = registry.read_version(version=before).tags.get("model_digest", "")
    return digests
