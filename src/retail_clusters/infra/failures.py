"""What others' failures come down to: one line for a person, without a password, and what to do about it."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from retail_clusters.errors import RetailClustersError
from retail_clusters.infra.secrets import masked

_LONGEST: Final = 200

_CREDENTIALS: Final = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
_BY_STATUS: Final = {
    401: f"it does not know who asks (401): {_CREDENTIALS}",
    403: f"it does not allow this (403): ask for the right, or {_CREDENTIALS}",
    404: "it has no such page (404): is it an MLflow server?",
    407: "a proxy on the way does not know who asks (407): look at HTTPS_PROXY",
    429: "it is asked too often (429): try again later",
}
_BY_SIGN: Final = (
    (re.compile(r"timeout|timed out", re.IGNORECASE), "no answer in time: is it up, and the way to it open?"),
    (
        re.compile(r"connection refused|failed to establish|name or service|name resolution|max retries"
                   r"|remote end closed|connection (?:aborted|reset|broken)", re.IGNORECASE),
        "no answer: is it up, and the address right?",
    ),
    (
        re.compile(r"<html|<!doctype|not in a valid JSON", re.IGNORECASE),
        "a page for people where MLflow answers: is a proxy or a login in between?",
    ),
)  # fmt: skip
_CUT_OFF: Final = re.compile(r"connection broken|incompleteread", re.IGNORECASE)
_STATUS: Final = re.compile(
    r"(?:error code|HTTP|Client Error|Server Error|status(?: code)?|too many)[ :]+(\d{3})\b"
)
_TAGS: Final = re.compile(r"<(style|script)\b.*?</\1>|<[^>]+>", re.IGNORECASE | re.DOTALL)


def in_short(failure: BaseException) -> str:
    """Say in one line what a failure is that another library raised.

    What a server's status, silence or page means is said in its place; all else is cut at 200 characters.
    """
    text = masked(str(failure) or type(failure).__name__)
    known = _known(failure, text)
    return known or " ".join(_TAGS.sub(" ", text).split())[:_LONGEST]


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


def was_cut_off(failure: BaseException) -> bool:
    """Tell whether a server stopped in the middle of its answer, where MLflow does not ask again.

    Whether it did what was asked is not known.
    """
    return _CUT_OFF.search(str(failure)) is not None


def _known(failure: BaseException, text: str) -> str | None:
    status = _status(failure, text)
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status and status >= 500:
        return f"it, or a proxy before it, failed ({status}): look at its log, and try again"
    return next((meaning for sign, meaning in _BY_SIGN if sign.search(text)), None)


def _status(failure: BaseException, text: str) -> int | None:
    """Return the HTTP status of a failure, where it has one."""
    response = getattr(failure, "response", None)
    found = getattr(response, "status_code", None)
    if isinstance(found, int):
        return found
    said = _STATUS.search(text)
    if said:
        return int(said[1])
    return {"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403}.get(getattr(failure, "error_code", ""))
