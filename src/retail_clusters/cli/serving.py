"""Commands that put models to work: promote, rollback, history, score."""

from pathlib import Path

import click

from retail_clusters.cli.common import (
    DATA,
    PATH,
    cli,
    experiment_option,
    model_option,
    open_session,
    optional,
)
from retail_clusters.settings import load_experiment


@cli.command("promote")
@experiment_option
@model_option
@optional("--version", click.STRING, "model version [default: alias challenger, else the latest]")
@click.option("--dry-run", type=click.BOOL, default=False, show_default=True, help="only show the gates")
@optional("--reason", click.STRING, "for the ledger")
@optional("--accept-new-space", click.BOOL, "promote although the champion scales features differently")
def promote_command(
    experiment: Path,
    model: str | None,
    version: str | None,
    dry_run: bool,
    reason: str | None,
    accept_new_space: bool | None,
) -> None:
    """Hold a model version against the gates, and make it champion."""
    from retail_clusters.promotion.promote import promote

    settings = load_experiment(experiment, {"model": model, "promotion.accept_new_space": accept_new_space})
    with open_session("promote", experiment, None) as spark:
        promote(spark, experiment=settings, version=version, dry_run=dry_run, reason=reason or "")


@cli.command("rollback")
@experiment_option
@model_option
@optional("--reason", click.STRING, "for the ledger")
def rollback_command(experiment: Path, model: str | None, reason: str | None) -> None:
    """Make the champion before this one champion again."""
    from retail_clusters.infra import tracking
    from retail_clusters.promotion.rollback import rollback

    settings = load_experiment(experiment, {"model": model})
    tracking.connect(experiment=experiment.stem)
    rollback(model=settings.model, reason=reason or "")


@cli.command("history")
@experiment_option
@model_option
def history_command(experiment: Path, model: str | None) -> None:
    """Print the ledger of promotions."""
    from retail_clusters.infra import tracking
    from retail_clusters.promotion.history import history

    settings = load_experiment(experiment, {"model": model})
    tracking.connect(experiment=experiment.stem)
    history(model=settings.model)


@cli.command("score")
@click.option("--source", type=PATH, default=DATA, show_default=True, help="folder that CSV files arrive in")
@click.option("--output", type=PATH, default="output", show_default=True, help="folder of the result")
@optional("--checkpoint", PATH, "folder of the stream's state [default: OUTPUT/checkpoint]")
@click.option("--once", type=click.BOOL, default=True, show_default=True, help="false: keep running")
@model_option
@click.option("--alias", default="champion", show_default=True, help="which model version to follow")
@optional("--max-files-per-trigger", click.INT, "files of a batch")
@experiment_option
@optional("--shadow", click.BOOL, "score with the challenger, too")
def score_command(
    source: Path,
    output: Path,
    checkpoint: Path | None,
    once: bool,
    model: str | None,
    alias: str,
    max_files_per_trigger: int | None,
    experiment: Path,
    shadow: bool | None,
) -> None:
    """Score files as they arrive, with a model that follows its alias."""
    from retail_clusters.infra import tracking
    from retail_clusters.infra.spark import spark_session
    from retail_clusters.serving.score import ScoreRequest, check, run

    overrides = {
        "model": model,
        "scoring.max_files_per_trigger": max_files_per_trigger,
        "scoring.shadow": shadow,
    }
    settings = load_experiment(experiment, overrides)
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
    tracking.connect(experiment=experiment.stem)
    check(request)
    with spark_session("score") as spark:
        run(spark, request)
