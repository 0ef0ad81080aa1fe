"""What the clusters of a version are called: read, or given by people; the version's card follows."""

from collections.abc import Mapping
from typing import Any

import click

from retail_clusters.errors import InputError, NotRegisteredError
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.registry.names import ClusterNames, read_names
from retail_clusters.report.card import Card
from retail_clusters.report.page import facts_of_version
from retail_clusters.settings import CHAMPION


def name_clusters(model: str, *, version: str | None, given: Mapping[int, str]) -> list[dict[str, Any]]:
    """Give clusters of a version names, by number; print every name, and where it comes from.

    Raises:
        NotRegisteredError: there is no such version.
        InputError: it has no cluster of such a number, or two would have one name.
    """
    registry = ModelRegistry(model)
    chosen = version or registry.version_named(alias=CHAMPION)
    if chosen is None:
        raise NotRegisteredError(
            f"names needs a version of {model}, but there is no champion: name one by --version"
        )
    names = read_names(registry, chosen)
    if given:
        _check(names, given, version=chosen)
        names = names.with_given(given)
        registry.tag(version=chosen, tags=names.tags)
        _describe(registry, chosen)
    rows = [
        {"number": each, "name": names.name(each), "origin": names.origin(each)}
        for each in sorted(names.names)
    ]
    for row in rows:
        click.echo("{number:>4}  {name}  ({origin})".format(**row))
    return rows


def _check(names: ClusterNames, given: Mapping[int, str], *, version: str) -> None:
    unknown = sorted(given.keys() - names.names.keys())
    if unknown:
        have = ", ".join(map(str, sorted(names.names))) or "none that can be named: train again"
        raise InputError(
            f"name must be of a cluster of version {version}, but got {unknown[0]}, and it has {have}"
        )
    twice = sorted(
        set(given.values()) & {names.names[number] for number in names.names.keys() - given.keys()}
    )
    if twice or len(set(given.values())) < len(given):
        raise InputError(
            f"names must tell clusters apart, but {(twice or [*given.values()])[0]!r} would be of two"
        )


def _describe(registry: ModelRegistry, version: str) -> None:
    """Write the card of a version anew."""
    facts = facts_of_version(version, model=registry.name)
    trained = tracking.find_run(facts.about.run_id)
    rules = facts.rules.renumbered(facts.renumbered) if facts.rules else None
    card = Card.of_version(registry, version, trained, facts.profile, facts.about.question, rules)
    registry.describe(version=version, markdown=card.to_description())
