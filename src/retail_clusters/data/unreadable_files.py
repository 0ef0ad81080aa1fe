"""Files that cannot be read as invoice lines: why, and their text all the same."""

import io
import zlib
from collections.abc import Iterator
from typing import IO, Any, Final

from retail_clusters import schema
from retail_clusters.data import csv_files
from retail_clusters.data.headers import is_header
from retail_clusters.errors import InputError
from retail_clusters.infra import locations, storage
from retail_clusters.settings import Columns

GONE: Final = "the file was gone before it could be read"
DAMAGED: Final = "the file cannot be unpacked to its end"

_DAMAGE: Final = (EOFError, OSError, zlib.error)
_PIECE: Final = 1 << 20
_USUAL: Final = Columns()


def problem(file: str, columns: Columns = _USUAL) -> str | None:
    """Say why no line of a file can be trusted; None when nothing is wrong with the file as a whole."""
    return damage(file) or csv_files.header_problem(file, columns)


def damage(file: str) -> str | None:
    """Say that a file is gone, or that a packed one does not unpack to its end; None when neither is so.

    Reads a packed file to its end.
    """
    if not storage.is_file(file):
        return GONE
    if not csv_files.is_packed(file):
        return None
    try:
        with csv_files.open_unpacked(file) as stream:
            while stream.read(_PIECE):
                pass
    except InputError:
        return GONE
    except _DAMAGE:
        return DAMAGED
    return None


def quarantine_rows(file: str, *, reason: str, columns: Columns = _USUAL) -> Iterator[dict[str, str | None]]:
    """Return each line that is there, but headers and blank ones, as a quarantined line.

    One row without a line if there is none. Of a damaged file the lines before the damage are there. Bytes
    that are not UTF-8 show as U+FFFD.
    """
    row = {schema.LINE: None, schema.REASON: reason, schema.SOURCE_FILE: source_name(file)}
    empty = True
    for line in () if reason == GONE else _lines(file):
        if line.strip(" ") and not is_header(line, columns):
            empty = False
            yield row | {schema.LINE: line}
    if empty:
        yield row


def source_name(file: str) -> str:
    """Name a file as Spark's `_metadata.file_path` does, in text that is UTF-8 whatever the name is."""
    return locations.for_display(locations.quoted(file))


def _lines(file: str) -> Iterator[str]:
    """Split a file's text at LF, CR and CRLF, as Spark does."""
    with csv_files.open_unpacked(file) as stream:
        raw = _UntilDamage(stream) if csv_files.is_packed(file) else stream
        with io.TextIOWrapper(io.BufferedReader(raw), "utf-8", errors="replace") as text:  # type: ignore[type-var]
            for number, line in enumerate(text):  # Python's "utf-8-sig" loses a mark that is cut
                yield line.rstrip("\n").removeprefix("" if number else "\ufeff")


class _UntilDamage(io.RawIOBase):
    """What unpacks of a packed stream before the damage."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        """Say that bytes can be read."""
        return True

    def readinto(self, into: Any, /) -> int:
        """Fill a buffer with the next bytes."""
        try:
            piece: bytes = self._stream.read1(len(into))  # type: ignore[attr-defined]
        except _DAMAGE:
            return 0
        into[: len(piece)] = piece
        return len(piece)
