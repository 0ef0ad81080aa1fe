"""The header of invoice lines: its one rule, for a text and for a column of texts."""

import csv
from typing import Final

from pyspark.sql import Column
from pyspark.sql import functions as F

from retail_clusters.settings import Columns

_IGNORED: Final = '" \t\ufeff'
_USUAL: Final = Columns()


def header(columns: Columns = _USUAL) -> str:
    """Return the header that files must have: the columns' names, in their order."""
    return ",".join(columns.names)


def is_header(line: str, columns: Columns = _USUAL) -> bool:
    """Tell whether a line is the header, which may come again anywhere in a file.

    Quotes, a byte order mark, and spaces around the names do not count.
    """
    return columns.names[0] in line and _compact(line) == _compact(header(columns))


def is_header_column(line: Column, columns: Columns) -> Column:
    """Do as `is_header` does; the second condition alone would take longer than reading."""
    compact = F.translate(line, _IGNORED, "")
    return line.contains(columns.names[0]) & (compact == _compact(header(columns)))


def difference(line: str, columns: Columns) -> str:
    """Say what a first line that is not the header lacks, and what stands there."""
    found = _names(line)
    if len(found) < 2 and (other := next((sign for sign in ";\t|" if sign in line), None)):
        return (
            f"the header has no comma: is the separator {other!r}? It must be a comma; found {line[:200]!r}"
        )
    missing = [name for name in columns.names if name not in found]
    extra = [name for name in found if name not in columns.names]
    if missing or extra:
        parts = [f"no column {', '.join(missing)}"] if missing else []
        parts += [f"found {', '.join(extra)[:200]!r}"] if extra else []
        return f"the header differs: {'; '.join(parts)} (other names are a matter of the settings columns)"
    return f"the header's columns stand in another order: {line[:200]}"


def _names(line: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([line]), [])]
    except csv.Error:
        return []


def _compact(line: str) -> str:
    return line.translate({ord(sign): None for sign in _IGNORED})
