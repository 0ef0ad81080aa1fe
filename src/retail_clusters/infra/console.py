"""What a person reads while a command works, and what others' failures come down to: one line each."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import click

from retail_clusters.errors import RetailClustersError
from retail_clusters.infra.secrets import masked

_LONGEST: Final = 300

#: The packages whose exceptions tell what a server or a database answered.
_CLIENTS: Final = frozenset({"mlflow", "requests", "urllib3", "sqlalchemy", "psycopg"})
#: What an answer of theirs means, by a sign in it; the first counts.
_MEANINGS: Final = {
    r"error code 401|401 Client|UNAUTHENTICATED": (
        "it does not know who asks (401): set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
        "MLFLOW_TRACKING_TOKEN"
    ),
    r"error code 403|403 Client|PERMISSION_DENIED": "it does not allow this (403): ask for the right",
    r"(?:error code|too many) 5\d\d|5\d\d Server": (
        "it, or a proxy before it, failed: look at its log, and try again"
    ),
    r"time-?out|timed out|connection refused|failed to establish|name or service|name resolution|max retries"
    r"|remote end closed|connection (aborted|reset|broken)": "no answer: is it up, and the address right?",
    r"<html|<!doctype|not in a valid JSON": (
        "a page for people where MLflow answers: is a proxy or a login in between?"
    ),
}
_TAGS: Final = re.compile(r"<(style|script)\b.*?</\1>|<[^>]+>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Progress:
    """Writes how a command gets on: a line at a time to standard output, warnings to standard error."""

    command: str

    def note(self, text: str) -> None:
        """Write a line."""
        click.echo(f"{self.command}: {text}")

    def warn(self, text: str) -> None:
        """Write a warning."""
        click.secho(f"warning: {text}", fg="yellow", err=True)


def in_short(failure: BaseException) -> str:
    """Say in one line, without a password, what an exception of another library tells.

    What the status, silence or page of a server means is said in its place; all else is cut at 300 characters.
    """
    text = masked(str(failure) or type(failure).__name__)
    line = " ".join(_TAGS.sub(" ", text).split())
    cut = line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1].rstrip()}…"
    return _meaning(failure, text) or cut


@contextmanager
def must_answer(store: str, name: Callable[[], str], error: type[RetailClustersError]) -> Iterator[None]:
    """Raise what others raise inside as an error of this project, in one line that names the store.

    Raises:
        RetailClustersError: of the given type; those of the project pass as they are.
    """
    try:
        yield
    except RetailClustersError:
        raise
    except Exception as failure:
        raise error(f"{store} must answer, but {masked(name())} gave: {in_short(failure)}") from failure


def _meaning(failure: BaseException, text: str) -> str | None:
    """Say what the answer of a server means; None for what no server said."""
    client = type(failure).__module__.partition(".")[0]
    if client not in _CLIENTS and not isinstance(failure, (ConnectionError, TimeoutError)):
        return None
    return next((said for sign, said in _MEANINGS.items() if re.search(sign, text, re.IGNORECASE)), None)
