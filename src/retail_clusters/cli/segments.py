"""Commands about segments: who is in which, as one file, and what they are called."""

import re
from datetime import datetime

import click

from retail_clusters.cli.common import (
    LOCATION,
    ExperimentOptions,
    command,
    experiment_options,
    model_option,
    open_session,
    optional,
    print_header,
)


@command("segments", example="--scored output --output segments.csv")
@click.option("--scored", type=LOCATION, default="output", show_default=True, help="the scorer's output")
@optional("--as-of", click.DateTime(["%Y-%m-%d"]), "date of the segments or moves [default: the latest]")
@click.option(
    "--only-moves",
    type=click.BOOL,
    is_flag=False,
    flag_value="true",
    default=False,
    help="who moved since the snapshot before, instead",
)
@click.option("--output", type=LOCATION, required=True, help="file that ends in .csv or .parquet")
def segments_command(scored: str, as_of: datetime | None, only_moves: bool, output: str) -> object:
    """Who is in which segment since when, or who moved, as a file."""
    what = "who moved" if only_moves else "who is in which segment"
    click.echo(f"segments: {what} in {scored}, into {output}")
    from retail_clusters.serving.source import check_table

    with open_session(
        "segments",
        imports="retail_clusters.serving.segments_table",
        connect=lambda: None,
        check=lambda: check_table(output),
        locations=[scored, output],
    ) as spark:
        from retail_clusters.serving.segments_table import write_table

        date = as_of.date() if as_of else None
        return write_table(spark, scored, as_of=date, only_moves=only_moves, output=output)


@command("names", example='--version 3 --name 0="Big spenders"')
@experiment_options
@model_option
@optional("--version", click.STRING, "model version [default: the champion]")
@click.option(
    "--name", "named", multiple=True, metavar="NUMBER=NAME", help="name of a cluster; may be given again"
)
def names_command(experiment: ExperimentOptions, version: str | None, named: tuple[str, ...]) -> object:
    """The names of a version's clusters: read, or given."""
    settings = experiment.load()
    given = dict(map(_numbered, named))
    about = f"version {version}" if version else "the champion"
    print_header("names", f"of {about} of {settings.model}")
    experiment.connect()
    from retail_clusters.report.names import name_clusters

    return name_clusters(settings.model, version=version, given=given)


def _numbered(text: str) -> tuple[int, str]:
    """Read a number and a name.

    Raises:
        BadParameter: it is none.
    """
    found = re.fullmatch(r"\s*(\d+)\s*=\s*(\S.{0,79}?)\s*", text)
    if found is None or not found[2].isprintable():
        raise click.BadParameter(
            f'name must be a number and a name, such as 3="Big spenders", but got {text!r}'
        )
    return int(found[1]), found[2]
