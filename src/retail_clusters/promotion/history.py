"""The promotion ledger, printed."""

from typing import Final

import click

from retail_clusters.promotion.champion import recover_interrupted
from retail_clusters.promotion.ledger import Ledger
from retail_clusters.promotion.moves import DONE, UNDER_WAY, WITHDRAWN, Move, champions
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.settings import CHAMPION

_STATES: Final = {DONE: "", WITHDRAWN: "withdrawn", UNDER_WAY: "under way"}


def history(*, model: str) -> list[Move]:
    """Run as `history`: print every move of `champion`, oldest first, and whether the alias agrees.

    Only what a dead process left half done is written, to end it.
    """
    registry, ledger = ModelRegistry(model), Ledger(model)
    entries = ledger.moves()
    if any(move.state == UNDER_WAY and not move.alive for move in entries):
        with ledger.exclusive():
            entries = recover_interrupted(registry)
    champion = registry.version_named(alias=CHAMPION)
    for line in to_lines(entries):
        click.echo(line)
    named = f"version {champion}" if champion else "none"
    click.echo(f"champion of {model}: {named} ({tracking.store_uri()})")
    last = champions(entries)[-1:]
    if last != [champion][: len(last)]:
        click.secho(
            f"the ledger's last move went to version {last[0]}: the alias was set by other means since, "
            "and rollback goes back there",
            fg="yellow",
        )
    return entries


def to_lines(entries: list[Move]) -> list[str]:
    """Write a line for each move."""
    if not entries:
        return ["no move of champion yet: promote a version"]
    return [
        f"{move.number:>3}  {move.when:%Y-%m-%d %H:%M:%S} UTC  {move.action:<8}  "
        f"{move.before or 'none':>4} -> {move.after:<4}  {move.who}{_remarks(move)}"
        for move in entries
    ]


def _remarks(move: Move) -> str:
    remarks = (move.reason, _STATES.get(move.state, move.state), move.note)
    return "".join(f"  {remark}" for remark in remarks if remark)
