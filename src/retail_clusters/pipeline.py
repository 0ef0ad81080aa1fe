"""The whole way: prepare, sweep, register, promote, score, under one parent run."""

from dataclasses import dataclass
from typing import Final

import click
from pyspark.sql import SparkSession

from retail_clusters.errors import PromotionRefusedError
from retail_clusters.infra import locations, markdown
from retail_clusters.promotion.promote import promote
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.report.page import SWEEP_RUN, log_report
from retail_clusters.search import publish, sweep
from retail_clusters.search.context import TrainingContext, training_context
from retail_clusters.search.prepared import log_inputs, prepare
from retail_clusters.search.publish import Published
from retail_clusters.search.study import Study
from retail_clusters.serving import score
from retail_clusters.serving.score import ScoreRequest, ScoreSummary
from retail_clusters.settings import CHAMPION, Experiment

#: Where the scored lines go unless told: `OUTPUT/RUN_ID`.
OUTPUT: Final = "output"


@dataclass(frozen=True, eq=False)
class MainResult:
    """What the whole way ended in; `refusal` when a gate kept the new version from being champion."""

    published: Published
    champion: str | None
    scored: ScoreSummary
    output: str
    refusal: PromotionRefusedError | None


def main(
    spark: SparkSession,
    *,
    data: str,
    experiment: Experiment,
    study: str | None,
    storage_url: str | None,
    output: str = OUTPUT,
) -> MainResult:
    """Run every step as a child of one run; the trials of a study, given by name, are not tried again.

    Scored lines go to a folder of `output` that is named for the run.

    Raises:
        StoppedError: the user ended the search; nothing is registered.
        PromotionRefusedError: a gate refused the new model; the lines are scored with the champion that
            there was, if any.
    """
    with tracking.run("main") as run_id:
        tracking.log_settings({"data": data})
        context = training_context(prepare(spark, data=data, experiment=experiment), experiment=experiment)
        opened = sweep.open_study(context, name=study, storage=storage_url or sweep.STORAGE)
        published = _search(context, opened)
        refusal = _promote(spark, experiment, published)
        place = locations.join(output, run_id)
        request = ScoreRequest(
            source=data,
            output=place,
            model=experiment.model,
            settings=experiment.scoring,
            how=experiment.input,
        )
        scored = score.run(spark, request)
        champion = ModelRegistry(experiment.model).version_named(alias=CHAMPION)
        result = MainResult(published, champion, scored, place, refusal)
        if champion:
            _log_result(context, result, champion=champion, run_id=run_id)
    _summarize(result)
    if refusal:
        raise refusal
    return result


def _search(context: TrainingContext, opened: Study) -> Published:
    """Search and register; a study that was complete before may have its version already."""
    again = sweep.is_complete(context, opened)
    with sweep.search_run(context.experiment) as searched:
        best, _ = sweep.search(context, opened, entry_point="main")
    with tracking.run("register", name=f"register K={best.k} seed {best.seed}"):
        published = sweep.publish_best(context, best, reuse=again)
        tracking.set_tags({SWEEP_RUN: searched})
        tracking.describe(publish.description(published))
    return published


def _promote(
    spark: SparkSession, experiment: Experiment, published: Published
) -> PromotionRefusedError | None:
    """Hold the new version against the gates; a refusal ends `main` at once only where nothing can score."""
    try:
        promote(spark, experiment, version=published.version, reason="main")
    except PromotionRefusedError as refused:
        if ModelRegistry(experiment.model).version_named(alias=CHAMPION) is None:
            raise
        return refused
    return None


def _log_result(context: TrainingContext, result: MainResult, *, champion: str, run_id: str) -> None:
    """Log on the open run `run_id` what its champion is and how it measured, and describe the run."""
    published, refusal = result.published, result.refusal
    version = ModelRegistry(published.model).read_version(version=champion)
    trained = str(version.run_id)
    if tracking.is_active(trained):
        tracking.log_metrics(tracking.metrics_of(tracking.read_run(trained)))
    tracking.use_model(str(version.source))
    log_inputs(context)
    flat = context.experiment.flat()
    tracking.log_settings({name: value for name, value in flat.items() if name not in {"k", "seed"}})
    tracking.set_tags(
        {
            "model_version": champion,
            "data_digest": context.prepared.table.data_digest,
            "refused": str(refusal is not None).lower(),
        }
    )
    tracking.describe(
        f"{publish.description(published)} {_champion(published, champion, refusal)}\n\n"
        f"{result.scored.rows_scored:,} lines are scored, {result.scored.rows_quarantined:,} quarantined. "
        "`report.html`, among the artifacts, puts all of it on one page."
    )
    if tracking.is_active(trained):
        log_report(run_id)


def _champion(published: Published, champion: str, refusal: PromotionRefusedError | None) -> str:
    named = markdown.version_link(published.model, champion)
    if refusal:
        return f"**It was refused**, and the champion stays {named}: {refusal}."
    if champion == published.version:
        return "It is **champion**."
    return f"The **champion** is {named}: the same clusters, under the numbers that they had before."


def _summarize(result: MainResult) -> None:
    scored = result.scored
    click.secho("\nmain: done", fg="green", bold=True)
    publish.summarize(result.published)
    click.echo(
        f"  champion     version {result.champion}\n"
        f"  scored       {scored.rows_scored:,} of {scored.rows_in:,} lines, "
        f"{scored.rows_quarantined:,} quarantined, in {result.output}\n"
        f"  look next    make ui, then http://127.0.0.1:5000"
    )
