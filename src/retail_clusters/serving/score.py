"""Files that arrive → scored lines and quarantine, with a model that follows its alias."""

from dataclasses import dataclass
from pathlib import Path

import click
from pyspark.sql import SparkSession

from retail_clusters.errors import InputError, RegistryError
from retail_clusters.infra import tracking
from retail_clusters.infra.registry import ModelRegistry
from retail_clusters.serving.metrics import Totals
from retail_clusters.serving.output import prepare_output
from retail_clusters.serving.scorer import Scorer
from retail_clusters.serving.state import ScorerState, open_state
from retail_clusters.serving.stream import run_stream, stop_on_signals
from retail_clusters.settings import Scoring


@dataclass(frozen=True)
class ScoreSummary:
    """What one call of `score` did."""

    run_id: str
    batches: int
    files: int
    rows_in: int
    rows_scored: int
    rows_quarantined: int
    model_versions: tuple[str, ...]


def check_score_arguments(*, source: Path, output: Path, checkpoint: Path, model: str, alias: str) -> None:
    """Refuse what cannot be scored, before any Spark starts.

    Raises:
        InputError: there is no such source folder, or folders lie in one another.
        RegistryError: the alias names no version, or the registry does not answer.
    """
    if not source.is_dir():
        raise InputError(
            f"source must be a folder that CSV files arrive in, but found no {source}: "
            "make it or name another"
        )
    for name, folder in (("output", output), ("checkpoint", checkpoint)):
        if folder.absolute().is_relative_to(source.absolute()):
            raise InputError(
                f"{name} must lie outside of source, but {folder} is in {source}: name another folder"
            )
    with tracking.short_timeouts():
        if ModelRegistry(model).version_named(alias=alias) is None:
            raise RegistryError(
                f"alias must name a version of {model} to score with, but {alias!r} names none: "
                "promote one first (entry point promote), or name another alias"
            )


def score(  # noqa: PLR0913 - one argument a command-line option
    spark: SparkSession,
    *,
    source: Path,
    output: Path,
    checkpoint: Path,
    once: bool,
    model: str,
    alias: str,
    settings: Scoring,
) -> ScoreSummary:
    """Run as the step `score`: score what is in `source`, and what arrives, until done or told to stop.

    SIGTERM and Ctrl-C end it after the batch under way. Started again on the same checkpoint, it goes on
    with the next batch and in the same MLflow run.
    """
    with (
        tracking.short_timeouts(),
        open_state(checkpoint, output=output) as state,
        stop_on_signals() as stopping,
    ):
        prepare_output(output)
        params = {"source": str(source), "output": str(output), "model": model, "alias": alias} | {
            f"scoring.{name}": str(value) for name, value in settings.model_dump().items()
        }
        run_id = _open_run(state, params)
        scorer = Scorer(
            spark, output=output, state=state, registry=ModelRegistry(model), alias=alias, settings=settings
        )
        status = "FAILED"
        try:
            scorer.start()
            run_stream(
                spark,
                source=source,
                checkpoint=state.stream,
                max_files_per_trigger=settings.max_files_per_trigger,
                once=once,
                process=scorer.process,
                stopping=stopping,
            )
            status = "FINISHED"
        finally:
            scorer.finish(status=status)
    return _summary(run_id, scorer.totals)


def _open_run(state: ScorerState, params: dict[str, str]) -> str:
    uri = tracking.store_uri()
    earlier = state.identity.run_id if state.identity.tracking_uri == uri else None
    run_id = tracking.detached_run("score", run_id=earlier, params=params)
    state.remember_run(run_id, uri)
    return run_id


def _summary(run_id: str, totals: Totals) -> ScoreSummary:
    summary = ScoreSummary(
        run_id=run_id,
        batches=totals.batches,
        files=totals.files,
        rows_in=totals.rows_in,
        rows_scored=totals.rows_scored,
        rows_quarantined=totals.rows_quarantined,
        model_versions=tuple(totals.model_versions),
    )
    versions = ", ".join(summary.model_versions) or "none"
    click.echo(
        f"score: {summary.rows_in:,} lines of {summary.files:,} files in {summary.batches} batches: "
        f"{summary.rows_scored:,} scored, {summary.rows_quarantined:,} quarantined; model version {versions}"
    )
    return summary
