"""The whole way: prepare, sweep, register, promote, score, under one parent run."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import click
from pyspark.sql import SparkSession

from retail_clusters.errors import PromotionRefusedError
from retail_clusters.infra import locations
from retail_clusters.pipeline_places import OUTPUT, check_places
from retail_clusters.pipeline_report import log_result
from retail_clusters.promotion import promote
from retail_clusters.promotion.promote import PromoteRequest
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.search import cluster_report, descriptions, publish, sweep, sweep_report
from retail_clusters.search.context import TrainingContext, training_context
from retail_clusters.search.prepared import prepare
from retail_clusters.search.publish import Published
from retail_clusters.search.sweep import StudyName
from retail_clusters.search.sweep_report import SWEEP_RUN
from retail_clusters.serving import score
from retail_clusters.serving.score import ScoreRequest, ScoreSummary
from retail_clusters.settings import CHAMPION, Experiment

#: The attribute of a study that names the run it was begun in.
_RUN: Final = "mlflow_main_run_id"


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
    """Run every step as a child of one run; with the name of a study, go on where that one was left.

    Scored lines go to a folder of `output` that is named for the run.

    Raises:
        StoppedError: the user ended the search; nothing is registered.
        PromotionRefusedError: a gate refused the new model; the lines are scored with the champion that
            there was, if any.
    """
    check_places(data, output)
    which = StudyName.of(study, storage_url)
    with _run(which) as run_id:
        tracking.log_settings({"data": data})
        context = training_context(prepare(spark, data=data, experiment=experiment), experiment=experiment)
        published = _search(context, which, main_run=run_id)
        refusal = _promote(spark, experiment, published)
        place = locations.join(output, run_id)
        request = ScoreRequest(
            source=data,
            output=place,
            model=experiment.model,
            settings=experiment.scoring,
            columns=experiment.columns,
        )
        scored = score.run(spark, request)
        champion = ModelRegistry(experiment.model).version_named(alias=CHAMPION)
        result = MainResult(published, champion, scored, place, refusal)
        if champion:
            log_result(context, published, champion=champion, scored=scored, refusal=refusal, run_id=run_id)
    _summarize(result)
    if refusal:
        raise refusal
    return result


@contextmanager
def _run(which: StudyName) -> Iterator[str]:
    """Open the run `main`: the one that the study was begun in, where that did not end well."""
    earlier = which.attributes().get(_RUN, "")
    resumes = earlier if earlier and tracking.can_resume(earlier) else None
    with tracking.run("main", resumes=resumes) as run_id:
        yield run_id


def _search(context: TrainingContext, which: StudyName, *, main_run: str) -> Published:
    opened = sweep.open_study(context, which)
    resumed = opened.user_attrs.get(_RUN) == main_run
    opened.set_user_attr(_RUN, main_run)
    best = sweep.finished_best(context, opened) if resumed else None
    if best is None:
        with sweep.search_run(context, opened) as sweep_run:
            best = sweep.search(context, opened, which, parent=sweep_run, entry_point="main")
    searched = sweep.run_of(opened)
    with tracking.run("register", name=f"register K={best.k} seed {best.seed}"):
        published = sweep.publish_best(context, best, reuse=resumed)
        cluster_report.log_page(context, published.clustering)
        tracking.set_tags({SWEEP_RUN: searched})
        tracking.describe(descriptions.of_version(published))
    sweep_report.add_outcome(searched, published)
    return published


def _promote(
    spark: SparkSession, experiment: Experiment, published: Published
) -> PromotionRefusedError | None:
    """Hold the new version against the gates; a refusal ends `main` at once only where nothing can score."""
    try:
        promote.run(spark, PromoteRequest(experiment, version=published.version, reason="main"))
    except PromotionRefusedError as refused:
        if ModelRegistry(experiment.model).version_named(alias=CHAMPION) is None:
            raise
        return refused
    return None


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
