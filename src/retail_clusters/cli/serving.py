"""Commands that put models to work: promote, rollback, history, score."""

import click

from retail_clusters.cli.common import (
    DATA,
    LOCATION,
    ExperimentOptions,
    command,
    connect_to_read,
    experiment_options,
    model_option,
    open_session,
    optional,
    print_header,
    print_header_reading,
)
from retail_clusters.cli.results import json_option, reporting
from retail_clusters.settings import CHAMPION


@command("promote", example='--version 3 --reason "sizes are even now"')
@experiment_options
@model_option
@optional("--version", click.STRING, "model version [default: alias challenger, else the latest]")
@click.option("--dry-run", type=click.BOOL, default=False, show_default=True, help="only show the gates")
@optional("--reason", click.STRING, "kept in the history")
@optional("--accept-new-space", click.BOOL, "promote although the champion scales features differently")
@json_option
def promote_command(
    experiment: ExperimentOptions,
    model: str | None,
    version: str | None,
    dry_run: bool,
    reason: str | None,
    accept_new_space: bool | None,
    as_json: bool,
) -> None:
    """Check a model version against the gates, and make it champion."""
    with reporting(as_json) as report:
        settings = experiment.load({"model": model, "promotion.accept_new_space": accept_new_space})
        named = f"version {version}" if version else "the challenger"
        if dry_run:
            print_header_reading("promote", f"{named} of {settings.model}, the gates alone")
        else:
            print_header("promote", f"{named} of {settings.model}, the gates, then champion")
        imports = "retail_clusters.promotion.promote"
        session = (
            open_session("promote", imports=imports, connect=connect_to_read)
            if dry_run
            else experiment.open_session("promote", imports=imports, beside_model=settings.model)
        )
        with session as spark:
            from retail_clusters.promotion.promote import PromoteRequest, check, run

            request = PromoteRequest(settings, version=version, dry_run=dry_run, reason=reason or "")
            check(request)
            report(run(spark, request))


@command("rollback", example='--reason "two clusters changed places"')
@experiment_options
@model_option
@optional("--reason", click.STRING, "kept in the history")
@json_option
def rollback_command(
    experiment: ExperimentOptions, model: str | None, reason: str | None, as_json: bool
) -> None:
    """Make the champion before this one champion again."""
    with reporting(as_json) as report:
        settings = experiment.load({"model": model})
        print_header("rollback", f"{settings.model} back to the champion before this one")
        from retail_clusters.promotion.history import rollback

        experiment.connect(beside_model=settings.model)
        report(rollback(model=settings.model, reason=reason or ""))


@command("history", example="--json")
@experiment_options
@model_option
@json_option
def history_command(experiment: ExperimentOptions, model: str | None, as_json: bool) -> None:
    """Print every promotion and rollback."""
    with reporting(as_json) as report:
        settings = experiment.load({"model": model})
        print_header_reading("history", f"the moves of champion of {settings.model}")
        from retail_clusters.promotion.history import history

        connect_to_read()
        report(history(model=settings.model))


@command("score", example="--source arriving --output scored --once false")
@click.option(
    "--source", type=LOCATION, default=DATA, show_default=True, help="folder that CSV files arrive in"
)
@click.option("--output", type=LOCATION, default="output", show_default=True, help="folder of the result")
@optional("--checkpoint", LOCATION, "folder of the stream's state [default: OUTPUT/checkpoint]")
@click.option("--once", type=click.BOOL, default=True, show_default=True, help="false: keep running")
@click.option("--alias", default=CHAMPION, show_default=True, help="which model version to follow")
@optional("--max-files-per-trigger", click.INT, "files of a batch")
@experiment_options
@model_option
@optional("--shadow", click.BOOL, "score with the challenger, too")
@optional("--rescore", LOCATION, "score this file anew, which changed after it was scored, and no other")
@json_option
def score_command(
    source: str,
    output: str,
    checkpoint: str | None,
    once: bool,
    alias: str,
    max_files_per_trigger: int | None,
    experiment: ExperimentOptions,
    model: str | None,
    shadow: bool | None,
    rescore: str | None,
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
        until = rescore or ("what is there" if once else "what arrives, until Ctrl-C")
        print_header("score", f"{source} ({until}) with {settings.model}@{alias}, into {output}")
        from retail_clusters.serving.source import ScoreRequest, check_places

        request = ScoreRequest(
            source=source,
            output=output,
            checkpoint=checkpoint,
            once=once,
            model=settings.model,
            alias=alias,
            rescore=rescore,
            settings=settings.scoring,
            how=settings.input,
        )

        def connect() -> None:
            experiment.connect()
            from retail_clusters.serving.score import check_alias

            check_alias(request)

        with open_session(
            "score",
            imports="retail_clusters.serving.score",
            connect=connect,
            check=lambda: check_places(request),
            locations=[request.source, request.output, request.state],
            lasting=True,
        ) as spark:
            from retail_clusters.serving.score import run

            report(run(spark, request))
