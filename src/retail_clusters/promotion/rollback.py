"""Back to the champion before this one."""

import click

from retail_clusters.errors import NotRegisteredError
from retail_clusters.promotion.champion import Intent, move_champion, recover_interrupted
from retail_clusters.promotion.ledger import Ledger
from retail_clusters.promotion.moves import Move, champions
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.settings import CHAMPION


def rollback(*, model: str, reason: str) -> Move:
    """Run as `rollback`: twice goes back twice, and each is on the ledger.

    Raises:
        NotRegisteredError: there is no champion, none before it, or that one was deleted.
    """
    registry = ModelRegistry(model)
    with Ledger(model).exclusive():
        reachable = champions(recover_interrupted(registry))
        champion = registry.version_named(alias=CHAMPION)
        if champion and reachable[-1:] != [champion]:
            reachable.append(champion)
        if champion is None or len(reachable) < 2:
            found = f"no champion before version {champion}" if champion else "no champion"
            raise NotRegisteredError(
                f"rollback goes to the champion before this one, but there is {found}: "
                "promote a version, or look at history"
            )
        _check_registered(registry, reachable[-2])
        back = Intent("rollback", before=champion, after=reachable[-2], reason=reason, facts={}, texts={})
        done = move_champion(registry, back)
    click.echo(
        f"rollback: champion is version {done.after}, it was version {done.before} (move {done.number})"
    )
    return done


def _check_registered(registry: ModelRegistry, version: str) -> None:
    if not registry.has(version=version):
        raise NotRegisteredError(
            f"rollback goes to the champion before this one, but version {version} was deleted: nothing was "
            "changed; promote a version that is there with promote --version N"
        )
