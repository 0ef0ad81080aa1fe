"""The command line, and how it tells a failure."""

import sys
import traceback
from typing import Final

import click

from retail_clusters.cli import data, segments, serving, training
from retail_clusters.cli.common import cli
from retail_clusters.errors import RetailClustersError, StoppedError
from retail_clusters.infra.console import in_short
from retail_clusters.infra.secrets import masked

__all__ = ["cli", "data", "main", "segments", "serving", "training"]

#: What Click says without a way out, and that.
_WAYS_OUT: Final = {
    "unexpected extra argument": "put a pattern, or a value with spaces, between quotes",
    "No such command": "--help lists them",
}


def main() -> None:
    """Run a command; a failure that the project foresees is told in one line."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.exceptions.NoArgsIsHelpError as bare:
        bare.show()
        sys.exit(2)
    except click.ClickException as wrong:
        click.secho(f"error: {_typed_wrong(wrong)}", fg="red", err=True)
        sys.exit(2)
    except StoppedError as stopped:
        click.secho(masked(str(stopped)), fg="yellow", err=True)
        sys.exit(stopped.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.secho("stopped", fg="red", err=True)
        sys.exit(130)
    except Exception as failure:
        _tell(failure)
        sys.exit(failure.exit_code if isinstance(failure, RetailClustersError) else 1)


def _typed_wrong(wrong: click.ClickException) -> str:
    """Say what Click finds wrong with what was typed, without a password, and cut where it is long."""
    message = in_short(click.ClickException(wrong.format_message()))
    return next((f"{message}: {way_out}" for sign, way_out in _WAYS_OUT.items() if sign in message), message)


def _tell(failure: Exception) -> None:
    if "--debug" in sys.argv:
        click.echo(masked("".join(traceback.format_exception(failure))), err=True)
    foreseen = isinstance(failure, RetailClustersError)
    message = masked(str(failure)) if foreseen else f"{type(failure).__name__}: {in_short(failure)}"
    click.secho(f"error: {message}", fg="red", err=True)
    if not foreseen:
        for note in [*getattr(failure, "__notes__", []), "--debug before the command shows the stack trace"]:
            click.echo(f"  {note}", err=True)


if __name__ == "__main__":
    main()
