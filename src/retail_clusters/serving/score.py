"""Files that arrive → scored lines and quarantine, with a model that follows its alias."""

import threading
from dataclasses import dataclass
from functools import partial

import click
from pyspark.sql import SparkSession

from retail_clusters.errors import LockLostError, NotRegisteredError
from retail_clusters.infra.signals import stop_on_signals
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.serving.descriptions import of_score
from retail_clusters.serving.metrics import Totals
from retail_clusters.serving.request import ScoreRequest, check_places, find_in_source
from retail_clusters.serving.scorer import Scorer
from retail_clusters.serving.state import ScorerState, open_state
from retail_clusters.serving.stream import run_stream
from retail_clusters.wording import pluralize

__all__ = ["ScoreRequest", "ScoreSummary", "check", "check_alias", "run"]


@dataclass(frozen=True)
class ScoreSummary:
    """What one call of `run` did."""

    run_id: str
    batches: int
    files: int
    rows_in: int
    rows_scored: int
    rows_quarantined: int
    model_versions: tuple[str, ...]


def check(request: ScoreRequest) -> None:
    """Refuse what cannot be scored.

    Raises:
        InputError: there is no such source folder or file, or folders lie in one another.
        NotRegisteredError: the alias names no version.
        RegistryError: the registry does not answer.
    """
    check_places(request)
    check_alias(request)


def check_alias(request: ScoreRequest) -> None:
    """Refuse an alias that names no version.

    Raises:
        NotRegisteredError: it names none.
        RegistryError: the registry does not answer.
    """
    with tracking.short_timeouts():
        if ModelRegistry(request.model).version_named(alias=request.alias) is None:
            raise NotRegisteredError(
                f"alias must name a version of {request.model} to score with, but {request.alias!r} names "
                "none: promote one first (entry point promote), or name another alias"
            )


def run(spark: SparkSession, request: ScoreRequest) -> ScoreSummary:
    """Run as the step `score`: score what is in `source`, and what arrives, until done or told to stop.

    SIGTERM and Ctrl-C end it after the batch under way. Started again on the same checkpoint, it goes on
    with the next batch and in the same MLflow run. Where another machine has done so, because this one stood
    still for too long, the run stays open, as it is that one's.
    """
    with (
        tracking.short_timeouts(),
        open_state(request.state, output=request.output, source=request.source) as state,
        stop_on_signals() as stopping,
    ):
        scorer = Scorer(spark, request, state=state)
        run_id = _open_run(state, request)
        status: str | None = "FAILED"
        try:
            with tracking.system_metrics(run_id):
                _score(spark, request, scorer, checkpoint=state.stream, stopping=stopping)
            status = "FINISHED"
        except LockLostError:
            status = None
            raise
        finally:
            scorer.finish(status=status)
            if status:
                tracking.attempt(tracking.describe, of_score(request, scorer.totals), run_id=run_id)
    return _summary(run_id, scorer.totals)


def _score(
    spark: SparkSession, request: ScoreRequest, scorer: Scorer, *, checkpoint: str, stopping: threading.Event
) -> None:
    """Score what there is to score, until done or told to stop."""
    scorer.start()
    if request.rescore:
        scorer.rescore(find_in_source(request.rescore, source=request.source))
    else:
        _run_stream(spark, request, scorer, checkpoint=checkpoint, stopping=stopping)


def _run_stream(
    spark: SparkSession, request: ScoreRequest, scorer: Scorer, *, checkpoint: str, stopping: threading.Event
) -> None:
    """Score what is there, and then, unless `once`, what arrives, until told to stop.

    What is there when the stream starts and no batch brings, the stream never will: it is scored after it.
    A stream that goes on is drained anew when files wait for it in vain.
    """
    run = partial(
        run_stream,
        spark,
        source=request.source,
        checkpoint=checkpoint,
        max_files_per_trigger=request.settings.max_files_per_trigger,
        process=scorer.process,
        stopping=stopping,
    )
    while True:
        there = scorer.folder.waiting()
        run()
        scorer.look_again(() if stopping.is_set() else there)
        if request.once or stopping.is_set():
            return
        run(until=scorer.folder.has_stalled_files)
        if stopping.is_set():
            scorer.look_again()
            return


def _open_run(state: ScorerState, request: ScoreRequest) -> str:
    names = ("source", "output", "model", "alias")
    params = {name: str(getattr(request, name)) for name in names} | {
        f"scoring.{name}": str(value) for name, value in request.settings.model_dump().items()
    }
    uri = tracking.store_uri()
    earlier = state.identity.run_id if state.identity.tracking_uri == uri else None
    run_id = tracking.detached_run("score", run_id=earlier, params=params)
    state.remember_run(run_id, uri)
    tracking.attempt(tracking.describe, of_score(request), run_id=run_id)
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
        f"score: {pluralize(summary.rows_in, 'line')} of {pluralize(summary.files, 'file')} "
        f"in {pluralize(summary.batches, 'batch', 'batches')}: "
        f"{summary.rows_scored:,} scored, {summary.rows_quarantined:,} quarantined; model version {versions}"
    )
    return summary
