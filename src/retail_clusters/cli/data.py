"""Commands about invoice lines alone: purchases, generate, fetch."""

from typing import Literal

import click

from retail_clusters.cli.common import (
    LOCATION,
    ExperimentOptions,
    command,
    data_option,
    experiment_options,
    open_session,
    optional,
    print_header,
    session_if_remote,
)


@command("purchases", example="--mode stream --top 5")
@data_option
@click.option("--mode", type=click.Choice(["batch", "stream"]), default="batch", show_default=True)
@click.option("--top", type=click.INT, default=10, show_default=True, help="rows to print")
@optional("--output", LOCATION, "folder of the result [default: one for each mode, in output/purchases]")
@experiment_options
def purchases_command(
    data: str,
    mode: Literal["batch", "stream"],
    top: int,
    output: str | None,
    experiment: ExperimentOptions,
) -> object:
    """Spend per customer and day, in batch or as a stream."""
    settings = experiment.load()
    print_header("purchases", f"spend per customer and day of {data}, {mode}")
    from retail_clusters.purchases.request import PurchasesRequest, check

    request = PurchasesRequest(
        data=data,
        mode=mode,
        top=top,
        output=output,
        settings=settings.purchases,
        how=settings.input,
    )
    with open_session(
        "purchases",
        imports="retail_clusters.purchases.job",
        connect=experiment.connect,
        check=lambda: check(request),
        locations=[request.data, request.place],
        lasting=mode == "stream",
    ) as spark:
        from retail_clusters.purchases.job import run

        return run(spark, request)


@command("generate", example="--output synthetic --days 30 --lines-per-day 1000")
@click.option("--output", type=LOCATION, required=True, help="new folder for the files")
@click.option("--days", type=int, default=60, show_default=True)
@click.option("--lines-per-day", type=int, default=500, show_default=True, help="mean number of lines")
@click.option("--seed", type=int, default=7, show_default=True)
def generate_command(output: str, days: int, lines_per_day: int, seed: int) -> object:
    """Make synthetic retail data."""
    click.echo(f"generate: {days} days, some {lines_per_day} lines a day, seed {seed}, into {output}")
    from retail_clusters.data.generate import generate

    return generate(output=output, days=days, lines_per_day=lines_per_day, seed=seed)


@command("fetch", example="--output data/retail-data/by-day")
@click.option(
    "--output",
    type=LOCATION,
    default="data/retail-data/by-day",
    show_default=True,
    help="new folder for the files",
)
@optional("--url", click.STRING, "another archive")
@optional("--sha256", click.STRING, "its checksum")
def fetch_command(output: str, url: str | None, sha256: str | None) -> object:
    """Download the public data set, checked by its SHA-256."""
    from retail_clusters.data.fetch import ARCHIVE_URL, BY_DAY_SHA256, fetch

    click.echo(f"fetch: the public data set from {url or ARCHIVE_URL}, into {output}")
    with session_if_remote("fetch", output):
        return fetch(output=output, url=url or ARCHIVE_URL, sha256=sha256 or BY_DAY_SHA256)
