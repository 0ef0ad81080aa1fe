"""How figures and tables are written for people."""

import re
from typing import Final


def percent(share: float) -> str:
    """Return a share in per cent, with as many digits as keep it apart from none and from all.

    >>> percent(0.58), percent(0.9996), percent(0.0004), percent(1.0)
    ('58.0%', '99.96%', '0.04%', '100%')
    """
    if share in {0.0, 1.0}:
        return f"{share:.0%}"
    digits = 1
    while digits < 6 and f"{share:.{digits}%}" in {f"{bound:.{digits}%}" for bound in (0.0, 1.0)}:
        digits += 1
    return f"{share:.{digits}%}"


def pluralize(number: int, one: str, many: str = "") -> str:
    """Return a number with what it counts.

    >>> pluralize(1, "batch", "batches"), pluralize(2000, "file"), pluralize(0, "line")
    ('1 batch', '2,000 files', '0 lines')
    """
    return f"{number:,} {one if number == 1 else many or plural(one)}"


def plural(one: str) -> str:
    """Return what several of something are called.

    >>> plural("line"), plural("country"), plural("day")
    ('lines', 'countries', 'days')
    """
    return re.sub("(?<![aeiou])y$", "ie", one) + "s"


#: A wide space, behind one of no width that keeps it from being cut off as the start of a cell.
ROOM: Final = "\u200b\u2003"


def pad_table(markdown: str) -> str:
    """Return Markdown with room between the columns of its tables: the MLflow UI draws them without any.

    >>> pad_table("| lines | share |\\n| --- | ---: |\\n| 8,033 | 53.3% |").replace(ROOM, "__")
    '| lines | __share |\\n| --- | ---: |\\n| 8,033 | __53.3% |'
    """
    return "\n".join(map(_pad_line, markdown.split("\n")))


def _pad_line(line: str) -> str:
    if not line.startswith("| ") or not line.strip("|-: "):
        return line
    return line.replace(ROOM, "").replace(" | ", f" | {ROOM}")
