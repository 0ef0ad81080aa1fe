"""The version that a promotion makes champion: the challenger with the champion's cluster numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click
from pyspark.sql import SparkSession

from retail_clusters.features.drift import DRIFT_BASELINE, Baseline
from retail_clusters.features.interface import INTERFACE
from retail_clusters.features.model import parse
from retail_clusters.promotion import evaluate
from retail_clusters.promotion.evaluate import Contender, Measured
from retail_clusters.registry import numbering
from retail_clusters.registry.numbering import Matching, Migration

#: Tags of a version that are its own, and not those of the training it shares with others.
_OWN_TAGS: Final = ("verdict", "held_against", "gate.")


@dataclass(frozen=True, eq=False)
class Successor:
    """A version ready to be champion, and how its clusters relate to those of the champion before."""

    version: str
    numbers: tuple[int, ...]
    migration: Migration | None
    matching: Matching | None


def successor(spark: SparkSession, held: Measured, *, used: Sequence[int]) -> Successor:
    """Number the challenger's clusters after the champion's; a version is immutable, so as a new version.

    `used` are the numbers that a champion's clusters have had: each means what it meant.
    Without a champion, or in another feature space than its own, the challenger itself is the successor.
    """
    challenger = held.challenger
    moved = evaluate.migration(spark, held)
    numbers = challenger.parsed.numbers
    if held.champion is None or moved is None or not held.same_space:
        return Successor(challenger.name, numbers, moved and moved.renumbered(numbers), None)
    matched = _match(held, held.champion, moved, used)
    click.echo(
        f"promote: {len(matched.matched)} of {len(matched.numbers)} clusters keep a number of the "
        f"champion's, with {moved.renumbered(matched.numbers).kept:,} of {moved.total:,} test lines"
    )
    version = challenger.name
    if matched.numbers != numbers:
        version = _register(spark, held, matched.numbers)
    return Successor(version, matched.numbers, moved.renumbered(matched.numbers), matched)


def _match(held: Measured, champion: Contender, moved: Migration, used: Sequence[int]) -> Matching:
    old = champion.parsed
    return numbering.match(
        held.challenger.parsed.centres_in(old.space),
        old.centres,
        numbers=old.numbers,
        moved=moved,
        unused_from=1 + max([*used, *old.numbers]),
    )


def _register(spark: SparkSession, held: Measured, numbers: Sequence[int]) -> str:
    """Register the challenger with other numbers; a version that an earlier attempt has made is taken."""
    challenger = held.challenger
    made_from = {"renumbered_from": challenger.name, "cluster_numbers": text_of(numbers)}
    made = held.registry.find_version(tags=made_from)
    if made:
        return made
    model = challenger.parsed.renumbered(numbers, spark=spark)
    parts = parse(model, version=challenger.name)
    inherited = {key: value for key, value in challenger.tags.items() if not key.startswith(_OWN_TAGS)}
    version = held.registry.register_again(
        model,
        interface=INTERFACE,
        of=challenger.name,
        tags=inherited | made_from | {"model_digest": parts.digest},
        metadata=_metadata(challenger, numbers),
    )
    click.echo(f"promote: registered as version {version}, numbered after the champion")
    return version


def _metadata(challenger: Contender, numbers: Sequence[int]) -> Mapping[str, Any]:
    """Return the metadata of the challenger, with the shares of its clusters under their new numbers."""
    text = challenger.metadata.get(DRIFT_BASELINE)
    if text is None:
        return challenger.metadata
    to = dict(zip(challenger.parsed.numbers, numbers, strict=True))
    return {**challenger.metadata, DRIFT_BASELINE: Baseline.from_json(text).renumbered(to).to_json()}


def text_of(numbers: Sequence[int]) -> str:
    """Write cluster numbers as a tag, such as `2,0,1`."""
    return ",".join(str(number) for number in numbers)
