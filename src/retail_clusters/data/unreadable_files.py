"""Files that the stream cannot read as invoice lines: why, and their text all the same."""

import bz2
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from retail_clusters import schema

GONE: Final = "the file was gone before it could be read"
DAMAGED: Final = "the file cannot be unpacked"

_OPENERS: Final[dict[str, Callable[[Path], Any]]] = {".gz": gzip.open, ".bz2": bz2.open}
_DAMAGE: Final = (EOFError, OSError, zlib.error)
_PIECE: Final = 1 << 20
#: What Java quotes in the URI of a file, which is how Spark names one.
_QUOTED: Final = frozenset(' %"<>[]{}|\\\\^`#?')


def damage(file: Path) -> str | None:
    """Say why no byte of a file can be trusted: it is gone, or a packed file does not unpack to its end."""
    if not file.is_file():
        return GONE
    if file.suffix not in _OPENERS:
        return None
    try:
        with _OPENERS[file.suffix](file) as stream:
            while stream.read(_PIECE):
                pass
    except _DAMAGE:
        return DAMAGED
    return None


def quarantine_rows(file: Path, *, reason: str) -> Iterator[dict[str, str | None]]:
    """Return each line of a file that is not blank, as a quarantined line; one row without a line if none is.

    Bytes that are not UTF-8 show as U+FFFD.
    """
    row = {schema.LINE: None, schema.REASON: reason, schema.SOURCE_FILE: uri(file)}
    empty = True
    for line in () if reason in {GONE, DAMAGED} else _lines(file):
        empty = False
        yield row | {schema.LINE: line}
    if empty:
        yield row


def uri(file: Path) -> str:
    """Name a file as Spark's `_metadata.file_path` does."""
    return "file:" + "".join(quote(sign) if sign in _QUOTED or sign < " " else sign for sign in str(file))


def _lines(file: Path) -> Iterator[str]:
    opener = _OPENERS.get(file.suffix, partial(Path.open, mode="rb"))
    with opener(file) as stream, io.TextIOWrapper(stream, "utf-8-sig", errors="replace") as text:
        for line in text:
            if (kept := line.rstrip("\n")) and kept.strip(" "):
                yield kept
