"""Files that arrive → scored lines and quarantine, with a model that follows its alias."""

import threading
import time
from collections.abc import Callable
from typing import Final

import click
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters.data import csv_files, quarantine
from retail_clusters.errors import NotRegisteredError, RetailClustersError
from retail_clusters.infra import storage
from retail_clusters.infra.console import Progress, in_short
from retail_clusters.infra.locations import for_display, join, to_uri
from retail_clusters.infra.locks import lock
from retail_clusters.infra.spark import small_session
from retail_clusters.infra.stream import run_batches, stop_on_signals
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.serving.commits import CommitLog
from retail_clusters.serving.reader import farthest
from retail_clusters.serving.score_run import ScoreRun
from retail_clusters.serving.scorer import Scorer, ScoreSummary
from retail_clusters.serving.source import InputFile, ScoreRequest, find_in_source
from retail_clusters.wording import pluralize

__all__ = ["ScoreRequest", "ScoreSummary"]

#: Seconds between two looks at the folder; and how many times as long as a look took.
_LOOK_EVERY: Final = 1.0
_LOOK_AFTER: Final = 20


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

    SIGTERM and Ctrl-C end it after the batch under way. Started again on the same output, it goes on with the
    files that no record holds, in the same MLflow run.
    """
    purpose = "an output serves one scorer at a time"
    storage.make_folder(request.output)
    with (
        tracking.short_timeouts(),
        lock(join(request.output, ".lock"), purpose=purpose),
        stop_on_signals() as stopping,
    ):
        log, progress = CommitLog.load(request.output), Progress("score")
        score_run = ScoreRun(request, log=log, progress=progress)
        scorer = Scorer(spark, request, log=log, progress=progress, run_id=score_run.run_id)
        status = "FAILED"
        try:
            scorer.start()
            if request.rescore:
                scorer.rescore(find_in_source(request.rescore, source=request.source))
            else:
                _score(small_session(spark), request, scorer, score_run, stopping=stopping)
            scorer.finish()
            if request.settings.distance:
                score_run.add_farthest(farthest(spark, request.output).toPandas())
            status = "FINISHED"
        finally:
            score_run.finish(scorer.summary, status=status, unmeasured=scorer.drift.unmeasured)
    summary = scorer.summary
    click.echo(
        f"score: {pluralize(summary.rows_in, 'line')} of {pluralize(summary.files, 'file')} "
        f"in {pluralize(summary.batches, 'batch', 'batches')}: {summary.places}; "
        f"model version {', '.join(summary.model_versions) or 'none'}"
    )
    for said in filter(None, (summary.segments, scorer.drift.unmeasured)):
        click.echo(f"score: {said}")
    quarantine.echo("score", summary.reasons, of=summary.rows_in, account=summary.account)
    return summary


def _score(
    session: SparkSession,
    request: ScoreRequest,
    scorer: Scorer,
    score_run: ScoreRun,
    *,
    stopping: threading.Event,
) -> None:
    """Score what there is to score, and write the segments that are due, until done or told to stop.

    The records decide what is scored; Spark's stream makes batches of what waits. What it does not bring is
    scored after it. The session is that of all drains: Spark keeps what listens to a session's streams.
    """

    def process(_: int, frame: DataFrame) -> None:
        scorer.process(_files_of(frame))
        between()

    def between() -> None:
        score_run.send()
        scorer.poll()

    while True:
        between()
        looked = time.monotonic()
        waiting = scorer.waiting()
        pause = max(_LOOK_EVERY, _LOOK_AFTER * (time.monotonic() - looked))
        if waiting:
            _drain(session, request, process, stopping=stopping)
        if waiting and not stopping.is_set():
            scorer.score_left()
        if not stopping.is_set():
            score_run.add_segments(scorer.write_segments())
        if request.once or stopping.wait(pause):
            return


def _drain(
    session: SparkSession,
    request: ScoreRequest,
    process: Callable[[int, DataFrame], None],
    *,
    stopping: threading.Event,
) -> None:
    """Let Spark's stream bring the files that it has not brought yet, batch by batch.

    Raises:
        RetailClustersError: the stream cannot go on from its checkpoint.
    """
    checkpoint, at_once = join(request.state, "stream"), request.settings.max_files_per_trigger
    arriving = csv_files.read_arriving(session, request.source, max_files_per_trigger=at_once)
    try:
        run_batches(arriving, checkpoint=checkpoint, process=process, stopping=stopping)
    except StreamingQueryException as failure:
        raise RetailClustersError(
            f"Spark's stream must go on from its checkpoint, but {for_display(checkpoint)} gave: {in_short(failure)}; "
            "end another scorer that uses it, or remove it: the records say what is scored"
        ) from failure


def _files_of(frame: DataFrame) -> list[InputFile]:
    """List the files of a batch's frame, by name; their content is not read."""
    facts = frame.select("path", "length", F.unix_millis("modificationTime")).collect()
    files = (InputFile(to_uri(path), length, modified) for path, length, modified in facts)
    return sorted(files, key=lambda file: file.location)
