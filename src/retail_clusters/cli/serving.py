"""Commands that put models to work: promote, rollback, history, score."""

import re
from datetime import datetime
from typing import Any, Final

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
    setting_option,
)
from retail_clusters.settings import CHAMPION


@command("promote", example='--version 3 --reason "sizes are even now"')
@experiment_options
@model_option
@optional("--version", click.STRING, "model version [default: alias challenger, else the latest]")
@click.option("--dry-run", type=click.BOOL, default=False, show_default=True, help="only show the gates")
@optional("--reason", click.STRING, "kept in the history")
@setting_option(
    "--accept-new-space",
    "promotion.accept_new_space",
    click.BOOL,
    "promote although the champion asks another question",
)
def promote_command(
    experiment: ExperimentOptions, version: str | None, dry_run: bool, reason: str | None
) -> object:
    """Check a model version against the gates, and make it champion."""
    settings = experiment.load()
    named = f"version {version}" if version else "the challenger"
    then = "alone" if dry_run else "and then champion"
    print_header("promote", f"{named} of {settings.model}, the gates {then}", only_reads=dry_run)
    connect = connect_to_read if dry_run else experiment.connect
    with open_session("promote", imports="retail_clusters.promotion.promote", connect=connect) as spark:
        from retail_clusters.promotion.promote import promote

        return promote(spark, settings, version=version, dry_run=dry_run, reason=reason or "")


@command("rollback", example='--reason "two clusters changed places"')
@experiment_options
@model_option
@optional("--reason", click.STRING, "kept in the history")
def rollback_command(experiment: ExperimentOptions, reason: str | None) -> object:
    """Make the champion before this one champion again."""
    settings = experiment.load()
    print_header("rollback", f"{settings.model} back to the champion before this one")
    from retail_clusters.promotion.history import rollback

    experiment.connect()
    return rollback(model=settings.model, reason=reason or "")


@command("history", example="--json")
@experiment_options
@model_option
def history_command(experiment: ExperimentOptions) -> object:
    """Print every promotion and rollback."""
    settings = experiment.load()
    print_header("history", f"the moves of champion of {settings.model}", only_reads=True)
    from retail_clusters.promotion.history import history

    connect_to_read()
    return history(model=settings.model)


class _Days(click.ParamType[int, str]):
    """A number of days, such as 30d."""

    name = "days"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"([1-9]\d{0,4})d?", str(value))
        if found is None:
            self.fail(f"every must be a number of days, such as 30d, but got {value!r}", param, ctx)
        return int(found[1])


EVERY: Final = _Days()


@command("score", example="--source arriving --output scored --once false")
@click.option(
    "--source", type=LOCATION, default=DATA, show_default=True, help="folder that CSV files arrive in"
)
@click.option("--output", type=LOCATION, default="output", show_default=True, help="folder of the result")
@optional("--checkpoint", LOCATION, "folder of the stream's state [default: OUTPUT/checkpoint]")
@click.option("--once", type=click.BOOL, default=True, show_default=True, help="false: keep running")
@click.option("--alias", default=CHAMPION, show_default=True, help="which model version to follow")
@setting_option("--max-files-per-trigger", "scoring.max_files_per_trigger", click.INT, "files of a batch")
@experiment_options
@model_option
@setting_option("--shadow", "scoring.shadow", click.BOOL, "score with the challenger, too")
@optional(
    "--as-of",
    click.DateTime(["%Y-%m-%d"]),
    "segments as of this date alone: the end of the window, exclusive",
)
@optional("--every", EVERY, "segments so many days apart, of the past, too, such as 30d")
@optional("--rescore", LOCATION, "score this file anew, which changed after it was scored, and no other")
def score_command(
    source: str,
    output: str,
    checkpoint: str | None,
    once: bool,
    alias: str,
    experiment: ExperimentOptions,
    as_of: datetime | None,
    every: int | None,
    rescore: str | None,
) -> object:
    """Score files as they arrive; the model follows its alias. With a unit, write segments as of a date."""
    settings = experiment.load()
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
        as_of=as_of.date() if as_of else None,
        every=every,
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

        return run(spark, request)
