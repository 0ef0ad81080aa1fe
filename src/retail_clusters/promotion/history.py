"""The moves of `champion`, printed, and the way back to the champion before: without Spark."""

from typing import Final

import click

from retail_clusters.errors import NotRegisteredError
from retail_clusters.registry import tracking
from retail_clusters.registry.champion import (
    UNDER_WAY,
    WITHDRAWN,
    Move,
    champions,
    move_champion,
    only_command,
    read_moves,
)
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.registry.names import QUESTION, ClusterNames
from retail_clusters.settings import CHAMPION

_STATES: Final = {WITHDRAWN: "withdrawn", UNDER_WAY: "under way, or its command died"}


def history(*, model: str) -> list[Move]:
    """Run as `history`: print every move of `champion`, oldest first, and whether the alias agrees."""
    moves, champion = read_moves(model), ModelRegistry(model).version_named(alias=CHAMPION)
    for move in moves:
        click.echo(_line(move))
    if not moves:
        click.echo("no move of champion yet: promote a version")
    named = f"version {champion}" if champion else "none"
    click.echo(f"champion of {model}: {named} ({tracking.store_uri()})")
    last = champions(moves)[-1:]
    if last != [champion][: len(last)]:
        click.secho(
            f"the last move went to version {last[0]}: the alias was set by other means since, "
            "and rollback goes back there",
            fg="yellow",
        )
    return moves


def _line(move: Move) -> str:
    remarks = filter(None, (move.reason, _STATES.get(move.state), move.note))
    return (
        f"{move.number:>3}  {move.when:%Y-%m-%d %H:%M:%S} UTC  {move.action:<8}  "
        f"{move.before or 'none':>4} -> {move.after:<4}  {'  '.join([move.who, *remarks])}"
    )


def rollback(*, model: str, reason: str) -> Move:
    """Run as `rollback`: twice goes back twice, and each is in the history.

    Raises:
        NotRegisteredError: there is no champion, none before it, or that one was deleted.
        PromotionRefusedError: another command moved the champion in the same moment.
    """
    registry = ModelRegistry(model)
    with only_command(model):
        champion = registry.version_named(alias=CHAMPION)
        back = _champion_before(registry, champion)
        with tracking.run("rollback"):
            done = move_champion(registry, action="rollback", before=champion, after=back, reason=reason)
    _keep_names(registry, before=str(champion), after=back)
    click.echo(
        f"rollback: champion is version {done.after}, it was version {done.before} (move {done.number})"
    )
    return done


def _keep_names(registry: ModelRegistry, *, before: str, after: str) -> None:
    """Let later names stay on the way back, where the numbers mean the same: of the same question."""
    one, other = (registry.read_version(version=each).tags for each in (before, after))
    if one.get(QUESTION) == other.get(QUESTION):
        kept = ClusterNames.of(other).following(ClusterNames.of(one), back=True)
        registry.tag(version=after, tags=kept.tags)


def _champion_before(registry: ModelRegistry, champion: str | None) -> str:
    reachable = champions(read_moves(registry.name), now=champion)
    if champion is None or len(reachable) < 2:
        found = f"no champion before version {champion}" if champion else "no champion"
        raise NotRegisteredError(
            f"rollback goes to the champion before this one, but there is {found}: "
            "promote a version, or look at history"
        )
    if not registry.has(version=reachable[-2]):
        raise NotRegisteredError(
            f"rollback goes to the champion before this one, but version {reachable[-2]} was deleted: nothing "
            "was changed; promote a version that is there with promote --version N"
        )
    return reachable[-2]
