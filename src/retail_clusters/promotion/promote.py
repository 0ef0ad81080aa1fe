"""The challenger before the gates; through them, `champion` names it, with the champion's cluster numbers."""

from dataclasses import dataclass

import click
from matplotlib.figure import Figure
from pyspark.sql import SparkSession

from retail_clusters.errors import PromotionRefusedError, RegistryError
from retail_clusters.infra import tracking
from retail_clusters.infra.registry import CHALLENGER, CHAMPION, ModelRegistry
from retail_clusters.promotion import charts, evaluate, renumber
from retail_clusters.promotion.champion import move_champion, recover_interrupted
from retail_clusters.promotion.evaluate import Evaluated, Measured
from retail_clusters.promotion.gates import Verdict
from retail_clusters.promotion.ledger import Ledger
from retail_clusters.promotion.matching import Migration
from retail_clusters.settings import Experiment


@dataclass(frozen=True)
class Promotion:
    """What one call of `promote` did: `champion` is the champion after it, None in an empty registry."""

    challenger: str
    champion: str | None
    promoted: bool
    verdict: Verdict | None


def promote(
    spark: SparkSession, *, experiment: Experiment, version: str | None, dry_run: bool, reason: str
) -> Promotion:
    """Run as `promote`: hold a version against the champion; if every gate lets it, make it champion.

    Without a version it is the one that the alias `challenger` names, else the latest. A dry run judges
    and changes nothing, not even the MLflow store.

    Raises:
        PromotionRefusedError: a gate refuses it, or the champion has moved meanwhile.
        RegistryError: there is no such version.
    """
    registry = ModelRegistry(experiment.model)
    if not dry_run:
        with Ledger(registry.name).exclusive():
            recover_interrupted(registry)
    chosen, champion = _choose(registry, version), registry.version_named(alias=CHAMPION)
    if chosen == champion:
        return _unchanged(registry, chosen, champion, why="it already is", dry_run=dry_run)
    if dry_run:
        return _judge_only(
            evaluate.evaluate(spark, challenger=chosen, champion=champion, experiment=experiment)
        )
    with tracking.run("promote"):
        tracking.log_settings({"challenger": chosen, "held_against": champion or "none", "reason": reason})
        held = evaluate.evaluate(spark, challenger=chosen, champion=champion, experiment=experiment)
        if champion and held.measured and held.measured.same_clusters:
            return _unchanged(
                registry, chosen, champion, why="it has the same clusters to the bit", dry_run=False
            )
        _record(registry, held)
        if held.measured is None or not held.verdict.passed:
            raise _refusal(held)
        after = _make_champion(spark, held.measured, verdict=held.verdict, reason=reason)
    return Promotion(challenger=chosen, champion=after, promoted=True, verdict=held.verdict)


def _choose(registry: ModelRegistry, version: str | None) -> str:
    """Return the version that a call is about."""
    if version:
        return str(registry.read_version(version=version).version)
    named, latest = registry.version_named(alias=CHALLENGER), registry.latest_version()
    if latest is None:
        raise RegistryError(
            f"promote needs a version of {registry.name}, but the registry holds none: train or sweep first"
        )
    if named and named != latest:
        click.echo(f"promote: version {named}, the challenger (the latest is {latest}: choose it by version)")
    return named or latest


def _unchanged(registry: ModelRegistry, version: str, champion: str, *, why: str, dry_run: bool) -> Promotion:
    click.echo(f"promote: champion stays version {champion}; as to version {version}, {why}")
    if not dry_run and registry.version_named(alias=CHALLENGER) == version:
        registry.remove_alias(alias=CHALLENGER)
    return Promotion(challenger=version, champion=champion, promoted=False, verdict=None)


def _judge_only(held: Evaluated) -> Promotion:
    _print(held)
    if not held.verdict.passed:
        raise _refusal(held)
    click.echo("promote: every gate lets it; a dry run changes nothing")
    return Promotion(held.challenger, held.champion, promoted=False, verdict=held.verdict)


def _print(held: Evaluated) -> None:
    against = f"version {held.champion}, the champion" if held.champion else "no champion"
    click.echo(f"promote: version {held.challenger} against {against}")
    click.echo(held.verdict.to_text())


def _record(registry: ModelRegistry, held: Evaluated) -> None:
    """Print the verdict, and keep it on the run and on the version."""
    _print(held)
    tracking.log_table(held.verdict.table(), "gates")
    registry.tag(version=held.challenger, tags=_verdict_tags(held.verdict, held.champion))
    if held.measured:
        for name, each in (("challenger", held.measured.challenger), ("champion", held.measured.champion)):
            if each and each.test:
                tracking.log_metrics({f"{name}_test_silhouette": each.test.silhouette})


def _verdict_tags(verdict: Verdict, champion: str | None) -> dict[str, str]:
    gates = {
        f"gate.{gate.name}": f"{gate.verdict}: {gate.value}, must be {gate.bound}" for gate in verdict.gates
    }
    return gates | {
        "verdict": "passed" if verdict.passed else "refused",
        "held_against": champion or "none",
    }


def _refusal(held: Evaluated) -> PromotionRefusedError:
    failing = "; ".join(str(gate) for gate in held.verdict.failing)
    return PromotionRefusedError(
        f"version {held.challenger} is refused: {failing}; champion stays as it is: "
        "promote another version, or move the bounds in the experiment file"
    )


def _make_champion(spark: SparkSession, held: Measured, *, verdict: Verdict, reason: str) -> str:
    """Number, describe and register the successor; then move the alias, on the ledger first."""
    chosen = renumber.successor(spark, held)
    before = held.champion.name if held.champion else None
    card = renumber.describe(spark, held, chosen, gates=verdict.gates)
    texts = {"gates.csv": verdict.table().to_csv(index=False), "model_card.md": card.to_markdown()}
    if chosen.migration:
        texts["migration.csv"] = chosen.migration.table().to_csv(index=False)
        tracking.log_figure(_chart(chosen.migration, chosen.version), "migration.png")
    if chosen.matching:
        texts["matching.csv"] = chosen.matching.table().to_csv(index=False)
    for name, text in texts.items():
        tracking.log_text(text, name)
    tracking.log_table(card.clusters, "profile")
    held.registry.tag(version=chosen.version, tags=_verdict_tags(verdict, before))
    with Ledger(held.registry.name).exclusive():
        done = move_champion(
            held.registry,
            action="promote",
            before=before,
            after=chosen.version,
            reason=reason,
            facts={"challenger": held.challenger.name},
            texts=texts,
        )
    tracking.set_tags({"model_version": chosen.version, "ledger_run_id": done.run_id})
    click.echo(f"promote: champion is version {chosen.version}, it was {done.before or 'none'}")
    return chosen.version


def _chart(moved: Migration, version: str) -> Figure:
    title = f"{moved.total:,} test lines, by their cluster before and in version {version}"
    return charts.migration_chart(moved.lines, old=moved.old, new=moved.new, title=title)
