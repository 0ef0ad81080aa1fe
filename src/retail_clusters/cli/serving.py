"""Commands that put models to work: promote, rollback, history, score."""

from pathlib import Path

import click

from retail_clusters.cli.common import (
    DATA,
    PATH,
    Choice,
    announce,
    announce_reading,
    command,
    experiment_options,
    model_option,
    optional,
    session_to_read,
)
from retail_clusters.cli.results import json_option, reporting


@command("promote", example='--version 3 --reason "sizes are even now"')
@experiment_options
@model_option
@optional("--version", click.STRING, "model version [default: alias challenger, else the latest]")
@click.option("--dry-run", type=click.BOOL, default=False, show_default=True, help="only show the gates")
@optional("--reason", click.STRING, "for the ledger")
@optional("--accept-new-space", click.BOOL, "promote although the champion scales features differently")
@json_option
def promote_command(
    experiment: Choice,
    model: str | None,
    version: str | None,
    dry_run: bool,
    reason: str | None,
    accept_new_space: bool | None,
    as_json: bool,
) -> None:
    """Hold a model version against the gates, and make it champion."""
    with reporting(as_json) as report:
        settings = experiment.load({"model": model, "promotion.accept_new_space": accept_new_space})
        named = f"version {version}" if version else "the challenger"
        if dry_run:
            announce_reading("promote", f"{named} of {settings.model}, the gates alone")
        else:
            announce("promote", f"{named} of {settings.model}, the gates, then champion")
        from retail_clusters.promotion.promote import promote

        session = (
            session_to_read("promote")
            if dry_run
            else experiment.open_session("promote", beside_model=settings.model)
        )
        with session as spark:
            report(promote(spark, experiment=settings, version=version, dry_run=dry_run, reason=reason or ""))


@command("rollback", example='--reason "two clusters changed places"')
@experiment_options
@model_option
@optional("--reason", click.STRING, "for the ledger")
@json_option
def rollback_command(experiment: Choice, model: str | None, reason: str | None, as_json: bool) -> None:
    """Make the champion before this one champion again."""
    with reporting(as_json) as report:
        settings = experiment.load({"model": model})
        announce("rollback", f"{settings.model} back to the champion before this one")
        from retail_clusters.promotion.rollback import rollback

        experiment.connect(beside_model=settings.model)
        report(rollback(model=settings.model, reason=reason or ""))


@command("history", example="--json")
@experiment_options
@model_option
@json_option
def history_command(experiment: Choice, model: str | None, as_json: bool) -> None:
    """Print the ledger of promotions."""
    with reporting(as_json) as report:
        settings = experiment.load({"model": model})
        announce_reading("history", f"the moves of champion of {settings.model}")
        from retail_clusters.infra import tracking
        from retail_clusters.promotion.history import history

        tracking.connect_to_read()
        report(history(model=settings.model))


@command("score", example="--source arriving --output scored --once false")
@click.option("--source", type=PATH, default=DATA, show_default=True, help="folder that CSV files arrive in")
@click.option("--output", type=PATH, default="output", show_default=True, help="folder of the result")
@optional("--checkpoint", PATH, "folder of the stream's state [default: OUTPUT/checkpoint]")
@click.option("--once", type=click.BOOL, default=True, show_default=True, help="false: keep running")
@click.option("--alias", default="champion", show_default=True, help="which model version to follow")
@optional("--max-files-per-trigger", click.INT, "files of a batch")
@experiment_options
@model_option
@optional("--shadow", click.BOOL, "score with the challenger, too")
@json_option
def score_command(
    source: Path,
    output: Path,
    checkpoint: Path | None,
    once: bool,
    alias: str,
    max_files_per_trigger: int | None,
    experiment: Choice,
    model: str | None,
    shadow: bool | None,
    as_json: bool,
) -> None:
    """Score files as they arrive; the model follows its alias."""
    with reporting(as_json) as report:
        settings = experiment.load(
            {
                "model": model,
                "scoring.max_files_per_trigger": max_files_per_trigger,
                "scoring.shadow": shadow,
            }
        )
        until = "what is there" if once else "what arrives, until Ctrl-C"
        announce("score", f"{source} ({until}) with {settings.model}@{alias}, into {output}")
        from retail_clusters.infra.spark import spark_session
        from retail_clusters.serving.score import ScoreRequest, check, run

        request = ScoreRequest(
            source=str(source),
            output=str(output),
            checkpoint=str(checkpoint) if checkpoint else None,
            once=once,
            model=settings.model,
            alias=alias,
            settings=settings.scoring,
            columns=settings.columns,
        )
        experiment.connect()
        check(request)
        with spark_session("score") as spark:
            report(run(spark, request))
