"""The challenger before the gates; through them, `champion` names it, with the champion's cluster numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import click
from matplotlib.figure import Figure
from pyspark.sql import SparkSession

from retail_clusters.errors import NotRegisteredError
from retail_clusters.promotion import charts, renumber
from retail_clusters.promotion.champion import Intent, move_champion, recover_interrupted
from retail_clusters.promotion.describe import describe
from retail_clusters.promotion.descriptions import of_promotion
from retail_clusters.promotion.evaluate import Evaluated, Measured, evaluate
from retail_clusters.promotion.gates import Verdict
from retail_clusters.promotion.ledger import Ledger
from retail_clusters.promotion.moves import Move, numbers_of
from retail_clusters.promotion.report import print_verdict, record_verdict, refusal, verdict_tags
from retail_clusters.registry import tracking
from retail_clusters.registry.logged_model import check_model_folder
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.registry.numbering import Migration
from retail_clusters.settings import CHALLENGER, CHAMPION, Experiment


@dataclass(frozen=True)
class PromoteRequest:
    """What `promote` is asked for: without a version, the alias `challenger` or the latest is meant.

    A dry run judges and changes nothing, not even the MLflow store.
    """

    experiment: Experiment
    version: str | None = None
    dry_run: bool = False
    reason: str = ""

    @property
    def registry(self) -> ModelRegistry:
        """Return the versions that are meant."""
        return ModelRegistry(self.experiment.model)


@dataclass(frozen=True)
class Promotion:
    """What one call of `promote` did: `champion` is the champion after it, None in an empty registry."""

    challenger: str
    champion: str | None
    promoted: bool
    verdict: Verdict | None


def check(request: PromoteRequest) -> str:
    """Return the version that a request is about.

    Raises:
        NotRegisteredError: there is no such version.
    """
    registry = request.registry
    if request.version:
        return str(registry.read_version(version=request.version).version)
    named, latest = registry.version_named(alias=CHALLENGER), registry.latest_version()
    if latest is None:
        raise NotRegisteredError(
            f"promote needs a version of {registry.name}, but the registry holds none: train or sweep first"
        )
    return named or latest


def run(spark: SparkSession, request: PromoteRequest) -> Promotion:
    """Hold a version against the champion; if every gate lets it, make it champion.

    Raises:
        PromotionRefusedError: a gate refuses it, or the champion has moved meanwhile.
        NotRegisteredError: there is no such version.
    """
    check_model_folder(spark)
    registry = request.registry
    chosen = check(request)
    if not request.dry_run:
        with Ledger(registry.name).exclusive():
            recover_interrupted(registry)
    champion = registry.version_named(alias=CHAMPION)
    _say_which(request, chosen)
    if chosen == champion:
        return _unchanged(request, chosen, champion, why="it already is")
    if request.dry_run:
        return _judge_only(request, _judge(spark, request, chosen, champion))
    with tracking.run("promote"):
        tracking.log_settings(
            {"challenger": chosen, "held_against": champion or "none", "reason": request.reason}
        )
        return _promote(spark, request, _judge(spark, request, chosen, champion))


def _judge(spark: SparkSession, request: PromoteRequest, chosen: str, champion: str | None) -> Evaluated:
    return evaluate(spark, challenger=chosen, champion=champion, experiment=request.experiment)


def _say_which(request: PromoteRequest, chosen: str) -> None:
    latest = request.registry.latest_version()
    if not request.version and chosen != latest:
        click.echo(
            f"promote: version {chosen}, the challenger (the latest is {latest}: choose it by version)"
        )


def _unchanged(request: PromoteRequest, version: str, champion: str, *, why: str) -> Promotion:
    click.echo(f"promote: champion stays version {champion}; as to version {version}, {why}")
    if not request.dry_run and request.registry.version_named(alias=CHALLENGER) == version:
        request.registry.remove_alias(alias=CHALLENGER)
    return Promotion(challenger=version, champion=champion, promoted=False, verdict=None)


def _judge_only(request: PromoteRequest, held: Evaluated) -> Promotion:
    print_verdict(held)
    if not held.verdict.passed:
        raise refusal(held, experiment=request.experiment)
    click.echo("promote: every gate lets it; a dry run changes nothing")
    return Promotion(held.challenger, held.champion, promoted=False, verdict=held.verdict)


def _promote(spark: SparkSession, request: PromoteRequest, held: Evaluated) -> Promotion:
    measured = held.measured
    if held.champion and measured and measured.same_clusters:
        why = "it has the same clusters to the bit"
        return _unchanged(request, held.challenger, held.champion, why=why)
    print_verdict(held)
    record_verdict(request.registry, held)
    if measured is None or not held.verdict.passed:
        if measured:
            numbers = measured.challenger.parsed.numbers
            card = describe(spark, measured, version=held.challenger, numbers=numbers, verdict=held.verdict)
            tracking.log_text(card.to_markdown(), "model_card.md")
        tracking.describe(of_promotion(held, model=request.registry.name, reason=request.reason))
        raise refusal(held, experiment=request.experiment)
    after = _make_champion(spark, request, measured, held.verdict)
    tracking.describe(of_promotion(held, model=request.registry.name, reason=request.reason, champion=after))
    return Promotion(challenger=held.challenger, champion=after, promoted=True, verdict=held.verdict)


def _make_champion(spark: SparkSession, request: PromoteRequest, held: Measured, verdict: Verdict) -> str:
    """Number, describe and register the successor; then move the alias, on the ledger first."""
    registry, ledger = held.registry, Ledger(held.registry.name)
    chosen = renumber.successor(spark, held, used=_used_numbers(registry, ledger.moves()))
    before = held.champion.name if held.champion else None
    card = describe(spark, held, version=chosen.version, numbers=chosen.numbers, verdict=verdict)
    texts = {"gates.csv": verdict.table().to_csv(index=False), "model_card.md": card.to_markdown()}
    if chosen.migration:
        texts["migration.csv"] = chosen.migration.table().to_csv(index=False)
        tracking.log_chart(_chart(chosen.migration, chosen.version), "migration.png")
    if chosen.matching:
        texts["matching.csv"] = chosen.matching.table().to_csv(index=False)
    for name, text in texts.items():
        tracking.log_text(text, name)
    tracking.log_table(card.clusters, "profile")
    tracking.log_comparable_table(card.clusters, "profile")
    registry.tag(version=chosen.version, tags=verdict_tags(verdict, before))
    facts = {"challenger": held.challenger.name}
    intent = Intent("promote", before, chosen.version, request.reason, facts, texts)
    with ledger.exclusive():
        done = move_champion(registry, intent)
    tracking.set_tags({"model_version": chosen.version, "ledger_run_id": done.run_id})
    click.echo(f"promote: champion is version {chosen.version}, it was {done.before or 'none'}")
    return chosen.version


def _used_numbers(registry: ModelRegistry, moves: Sequence[Move]) -> list[int]:
    """List the numbers that the clusters of champions have had.

    The ledger keeps them, whatever becomes of the versions; that of an older release left them to the
    versions' tags.
    """
    noted = [number for move in moves for number in move.numbers]
    silent = {move.after for move in moves if not move.numbers}
    tags = [registry.read_version(version=name).tags for name in silent if registry.has(version=name)]
    return noted + [number for each in tags for number in numbers_of(each.get("cluster_numbers", ""))]


def _chart(moved: Migration, version: str) -> Figure:
    title = f"{moved.total:,} test lines, by their cluster before and in version {version}"
    return charts.migration_chart(moved.lines, old=moved.old, new=moved.new, title=title)
