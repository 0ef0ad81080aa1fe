"""The whole way: prepare, sweep, register, promote, score, under one parent run."""

from pathlib import Path

import click
from pyspark.sql import SparkSession

from retail_clusters.data.prepare import prepare
from retail_clusters.errors import InputError, PromotionRefusedError
from retail_clusters.infra import tracking
from retail_clusters.infra.registry import CHAMPION, ModelRegistry
from retail_clusters.promotion.promote import promote
from retail_clusters.serving import score
from retail_clusters.serving.score import ScoreRequest, ScoreSummary
from retail_clusters.settings import Experiment
from retail_clusters.training import publish, sweep
from retail_clusters.training.context import training_context
from retail_clusters.training.publish import Published

OUTPUT = Path("output")


def check_folder(data: str) -> Path:
    """Refuse data that the scorer could not watch.

    Raises:
        InputError: it is no folder.
    """
    if not Path(data).is_dir():
        raise InputError(f"main scores what it trains on, so data must be a folder, but got {data}: name one")
    return Path(data)


def main(spark: SparkSession, *, data: str, experiment: Experiment) -> None:
    """Run every step as a child of one run.

    Raises:
        PromotionRefusedError: a gate refused the new model; the lines are scored with the champion that
            there was, if any.
    """
    refusal, registry = None, ModelRegistry(experiment.model)
    with tracking.run("main") as run_id:
        tracking.log_settings({"data": data})
        bench = training_context(prepare(spark, data=data, experiment=experiment), experiment=experiment)
        with tracking.run("sweep") as sweep_run:
            study = sweep.open_study(bench, sweep.StudyName.of(None, None))
            best = sweep.search(bench, study, parent=sweep_run, command="main")
        with tracking.run("register"):
            published = sweep.publish_best(bench, best)
        try:
            promote(spark, experiment=experiment, version=published.version, dry_run=False, reason="main")
        except PromotionRefusedError as refused:
            refusal = refused
        if refusal and registry.version_named(alias=CHAMPION) is None:
            raise refusal
        output = OUTPUT / run_id
        check_folder(data)
        request = ScoreRequest(
            source=data,
            output=str(output),
            model=experiment.model,
            settings=experiment.scoring,
            columns=experiment.columns,
        )
        scored = score.run(spark, request)
    _summarize(published, scored, output, champion=registry.version_named(alias=CHAMPION))
    if refusal:
        raise refusal


def _summarize(published: Published, scored: ScoreSummary, output: Path, *, champion: str | None) -> None:
    click.secho("\nmain: done", fg="green", bold=True)
    publish.summarize(published)
    click.echo(
        f"  champion     version {champion}\n"
        f"  scored       {scored.rows_scored:,} of {scored.rows_in:,} lines, "
        f"{scored.rows_quarantined:,} quarantined, in {output}\n"
        f"  look next    make ui, then http://127.0.0.1:5000"
    )
