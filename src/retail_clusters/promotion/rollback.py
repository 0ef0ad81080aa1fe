"""Back to the champion before this one."""

import click

from retail_clusters.errors import RegistryError
from retail_clusters.infra.registry import CHAMPION, ModelRegistry
from retail_clusters.promotion import ledger
from retail_clusters.promotion.champion import move_champion, recover_interrupted
from retail_clusters.promotion.ledger import Ledger, Move


def rollback(*, model: str, reason: str) -> Move:
    """Run as `rollback`: twice goes back twice, and each is on the ledger.

    Raises:
        RegistryError: there is no champion, or none before it.
    """
    registry, book = ModelRegistry(model), Ledger(model)
    with book.exclusive():
        recover_interrupted(registry)
        champion = registry.version_named(alias=CHAMPION)
        reachable = ledger.champions(book.moves())
        if champion and reachable[-1:] != [champion]:
            reachable.append(champion)
        if champion is None or len(reachable) < 2:
            found = f"no champion before version {champion}" if champion else "no champion"
            raise RegistryError(
                f"rollback goes to the champion before this one, but there is {found}: "
                "promote a version, or look at history"
            )
        target = registry.read_version(version=reachable[-2]).version
        done = move_champion(
            registry, action="rollback", before=champion, after=str(target), reason=reason, facts={}
        )
    click.echo(
        f"rollback: champion is version {done.after}, it was version {done.before} (move {done.number})"
    )
    return done
