"""A version before the gates; through them, `champion` names it, with the champion's cluster numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
import pandas as pd
from pyspark.sql import SparkSession

from retail_clusters import schema
from retail_clusters.errors import NotRegisteredError, PromotionRefusedError
from retail_clusters.features.drift import DRIFT_BASELINE, Baseline
from retail_clusters.features.interface import interface
from retail_clusters.infra import markdown
from retail_clusters.promotion.compare import Comparison, compare, judge, migration_chart
from retail_clusters.promotion.gates import FEATURE_SPACE, Verdict
from retail_clusters.registry import numbering, tracking
from retail_clusters.registry.champion import DONE, move_champion, only_command, read_moves, used_numbers
from retail_clusters.registry.models import ModelRegistry, check_model_folder
from retail_clusters.registry.names import ClusterNames
from retail_clusters.report import plots, profile
from retail_clusters.report.card import Card
from retail_clusters.report.rules import log_rules, read_rules
from retail_clusters.settings import CHALLENGER, CHAMPION, Experiment


@dataclass(frozen=True)
class Promotion:
    """What one call of `promote` did: `champion` is the champion after it, None in an empty registry."""

    challenger: str
    champion: str | None
    promoted: bool
    verdict: Verdict | None


def promote(
    spark: SparkSession,
    experiment: Experiment,
    *,
    version: str | None = None,
    dry_run: bool = False,
    reason: str = "",
) -> Promotion:
    """Compare a version with the champion; if every gate lets it, make it champion.

    Without a version, the alias `challenger` or the latest is meant. A dry run judges and changes nothing,
    not even the MLflow store.

    Raises:
        PromotionRefusedError: a gate refuses it, or the champion has moved meanwhile.
        NotRegisteredError: there is no such version.
    """
    check_model_folder(spark)
    registry = ModelRegistry(experiment.model)
    chosen = _chosen(registry, version)
    champion = registry.version_named(alias=CHAMPION)
    if chosen == champion:
        if not dry_run:
            _take_off_challenger(registry, chosen)
        return _unchanged(chosen, champion, why="it already is")
    if dry_run:
        comparison = compare(spark, registry, challenger=chosen, champion=champion)
        verdict = judge(spark, comparison, experiment=experiment)
        _print_verdict(comparison, verdict)
        if not verdict.passed:
            raise _refusal(verdict, version=chosen, model=registry.name)
        click.echo("promote: every gate lets it; a dry run changes nothing")
        return Promotion(chosen, champion, promoted=False, verdict=verdict)
    with tracking.run("promote"):
        tracking.log_settings({"challenger": chosen, "held_against": champion or "none", "reason": reason})
        comparison = compare(spark, registry, challenger=chosen, champion=champion)
        return _promote(spark, comparison, experiment=experiment, reason=reason)


def _chosen(registry: ModelRegistry, version: str | None) -> str:
    """Return the version that is meant.

    Raises:
        NotRegisteredError: there is no such version.
    """
    if version:
        return str(registry.read_version(version=version).version)
    named, latest = registry.version_named(alias=CHALLENGER), registry.latest_version()
    if latest is None:
        raise NotRegisteredError(
            f"promote needs a version of {registry.name}, but the registry holds none: train or sweep first"
        )
    if named and named != latest:
        click.echo(f"promote: version {named}, the challenger (the latest is {latest}: choose it by version)")
    return named or latest


def _unchanged(version: str, champion: str, *, why: str) -> Promotion:
    click.echo(f"promote: champion stays version {champion}; as to version {version}, {why}")
    return Promotion(challenger=version, champion=champion, promoted=False, verdict=None)


def _take_off_challenger(registry: ModelRegistry, version: str) -> None:
    """Delete the alias `challenger` where it names a version that there is nothing to promote of."""
    if registry.version_named(alias=CHALLENGER) == version:
        registry.remove_alias(alias=CHALLENGER)


def _promote(
    spark: SparkSession, comparison: Comparison, *, experiment: Experiment, reason: str
) -> Promotion:
    """Judge the challenger on the open run, and make it champion if every gate lets it."""
    registry, challenger, before = comparison.registry, comparison.challenger, comparison.before
    if before and comparison.same_clusters:
        _take_off_challenger(registry, challenger.name)
        return _unchanged(challenger.name, before, why="it has the same clusters to the bit")
    verdict = judge(spark, comparison, experiment=experiment)
    _print_verdict(comparison, verdict)
    tracking.log_table(verdict.table(), "gates")
    registry.tag(version=challenger.name, tags=_verdict_tags(verdict, before))
    for role, each in (("challenger", challenger), ("champion", comparison.champion)):
        if each and each.test:
            tracking.log_metrics({f"{role}_test_silhouette": each.test.silhouette})
    if not verdict.passed:
        if challenger.test:
            _describe_version(spark, comparison, challenger.name, comparison.parts.numbers, verdict)
        refused = _refusal(verdict, version=challenger.name, model=registry.name)
        tracking.describe(f"**Refused**: {refused}.")
        raise refused
    version, numbers = _numbered(spark, comparison)
    _describe_version(spark, comparison, version, numbers, verdict)
    tracking.set_tags({"model_version": version})
    with only_command(registry.name):
        move_champion(
            registry,
            action="promote",
            before=before,
            after=version,
            reason=reason,
            challenger=challenger.name,
        )
    click.echo(f"promote: champion is version {version}, it was {before or 'none'}")
    tracking.describe(
        f"**Champion is {markdown.version_link(registry.name, version)}** of `{registry.name}`; it was "
        f"{markdown.version_link(registry.name, before) if before else 'none'}. {reason}\n\n`model_card.md` says what "
        "the champion is, `gates.csv` how it was judged, `migration.png` where the records went."
    )
    return Promotion(challenger.name, champion=version, promoted=True, verdict=verdict)


def _numbered(spark: SparkSession, comparison: Comparison) -> tuple[str, tuple[int, ...]]:
    """Return the version to make champion, and the number of each of its clusters.

    A version has its numbers from the champion of the moment that it was registered at. Where another one
    has come in between, it may need others; a version cannot change, so it is registered anew. The numbers
    of one that was champion before mean what they meant then.
    """
    parts, champion, moved = comparison.parts, comparison.champion, comparison.migration
    version, numbers, moves = comparison.challenger.name, parts.numbers, read_moves(comparison.registry.name)
    known = version in {move.after for move in moves if move.state == DONE}
    if champion and champion.model and moved and comparison.centres is not None and not known:
        matching = parts.match(champion.model, moved, centres=comparison.centres, used=used_numbers(moves))
        numbers = tuple(matching["number"].tolist())
        click.echo(f"promote: {numbering.summary(matching, moved)}")
        tracking.log_table(matching, "matching")
        if numbers != parts.numbers:
            version = _register_anew(spark, comparison, numbers)
            click.echo(
                f"promote: as version {version}: the clusters of version {comparison.challenger.name} have other "
                f"numbers than beside those of version {champion.name}, the champion by now"
            )
    if moved:
        moved = moved.renumbered(numbers)
        tracking.log_table(moved.table(), "migration")
        tracking.log_files(plots.to_pngs({"migration.png": migration_chart(moved, version=version)}))
    return version, numbers


def _register_anew(spark: SparkSession, comparison: Comparison, numbers: Sequence[int]) -> str:
    """Register the challenger with other numbers; a version that an earlier attempt has made is taken."""
    challenger, registry = comparison.challenger, comparison.registry
    made_from = {"renumbered_from": challenger.name, "cluster_numbers": numbering.to_text(numbers)}
    if made := registry.latest_version(tags=made_from):
        return made
    new = comparison.parts.numbered(numbers)
    metadata: Mapping[str, Any] = {**challenger.metadata, **new.metadata}
    if DRIFT_BASELINE in metadata:
        to = dict(zip(comparison.parts.numbers, numbers, strict=True))
        baseline = Baseline.from_json(metadata[DRIFT_BASELINE]).renumbered(to)
        metadata = {**metadata, DRIFT_BASELINE: baseline.to_json()}
    return registry.register(
        new.pipeline(spark=spark),
        interface=interface(new.space.question),
        metadata=metadata,
        tags={**challenger.tags, **made_from},
        trained_by=registry.training_run(version=challenger.name),
    )


def _describe_version(
    spark: SparkSession, comparison: Comparison, version: str, numbers: Sequence[int], verdict: Verdict
) -> None:
    """Write the card of a judged version: its description, and `model_card.md` of the promotion."""
    registry, parts, rows = comparison.registry, comparison.parts, comparison.rows[schema.TRAIN]
    question, labels = parts.space.question, parts.labels(rows, spark=spark)
    clusters = profile.profile(rows, np.take(np.array(numbers), labels), question)
    trained, to = comparison.challenger.trained, dict(zip(parts.numbers, numbers, strict=True))
    names = _names(comparison, clusters, to)
    clusters = profile.named(clusters, names.names)
    rules = read_rules(trained.info.run_id) if trained else None
    rules = rules.renumbered(to) if rules else None
    registry.tag(version=version, tags={"cluster_numbers": numbering.to_text(numbers), **names.tags})
    registry.tag(version=version, tags=_verdict_tags(verdict, comparison.before))
    card = Card.of_version(registry, version, trained, clusters, question, rules)
    registry.describe(version=version, markdown=card.to_description())
    tracking.log_text(card.to_markdown(), "model_card.md")
    tracking.log_table(clusters, "profile")
    if rules:
        log_rules(rules, names.names, question.noun)


def _names(comparison: Comparison, clusters: pd.DataFrame, to: Mapping[int, int]) -> ClusterNames:
    """Name the clusters of a profile: as they were named by hand, else as the champion's of the same numbers."""
    own = ClusterNames.of(comparison.challenger.tags)
    names = ClusterNames.describing(clusters["cluster"], clusters["name"])
    names = names.with_given({to[number]: own.names[number] for number in own.given})
    if comparison.champion is None or comparison.centres is None:
        return names
    return names.following(ClusterNames.of(comparison.champion.tags))


def _print_verdict(comparison: Comparison, verdict: Verdict) -> None:
    """Print which version is compared with which, and the table of gates."""
    before = comparison.before
    against = f"version {before}, the champion" if before else "no champion"
    click.echo(f"promote: version {comparison.challenger.name} against {against}")
    click.echo(verdict.to_text())


def _verdict_tags(verdict: Verdict, champion: str | None) -> dict[str, str]:
    """Return a verdict as tags of a version, one for each gate."""
    gates = {
        f"gate.{gate.name}": f"{gate.verdict}: {gate.value}, must be {gate.bound}" for gate in verdict.gates
    }
    return gates | {
        "verdict": "passed" if verdict.passed else "refused",
        "held_against": champion or "none",
    }


def _refusal(verdict: Verdict, *, version: str, model: str) -> PromotionRefusedError:
    """Say what refused a version, and the way out."""
    failing = "; ".join(str(gate) for gate in verdict.failing)
    way_out = "promote another version, or change the bounds, promotion and guardrails in the experiment file"
    if {gate.name for gate in verdict.failing} == {FEATURE_SPACE}:
        named = "" if model == Experiment().model else f" --model {model}"
        way_out = f"if it is meant, accept it with promote{named} --version {version} --accept-new-space true"
    return PromotionRefusedError(
        f"version {version} is refused: {failing}; champion stays as it is: {way_out}"
    )
