"""What a person follows: one line that is updated on a terminal, plain lines elsewhere."""

import sys
from dataclasses import dataclass
from typing import Final

import click

from retail_clusters.infra.secrets import masked

_CLEAR: Final = "\r\033[K"


@dataclass
class Progress:
    """Writes progress to standard output and warnings to standard error."""

    open_line: bool = False

    def show(self, text: str) -> None:
        """Show where things stand, in place of what was shown before on a terminal."""
        terminal = sys.stdout.isatty()
        click.echo(f"{_CLEAR}{text}" if terminal else text, nl=not terminal)
        self.open_line = terminal

    def note(self, text: str) -> None:
        """Write a line that stays."""
        self.close()
        click.echo(f"score: {text}")

    def warn(self, text: str) -> None:
        """Write a warning on a line of its own."""
        self.close()
        click.secho(f"warning: {text}", fg="yellow", err=True)

    def close(self) -> None:
        """End the line that is being updated."""
        if self.open_line:
            click.echo()
        self.open_line = False


def in_short(failure: BaseException, *, limit: int = 300) -> str:
    """Return what another library's exception says, in one line and without its secrets."""
    text = masked(" ".join(str(failure).split())) or type(failure).__name__
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"
