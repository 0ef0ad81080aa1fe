"""What quarantined lines have in common: counts by reason, each with an example, its place and the way out."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import click
import pyarrow.parquet as pq

from retail_clusters import schema
from retail_clusters.data import csv_files, invoices
from retail_clusters.data.listing import Account
from retail_clusters.errors import InputError
from retail_clusters.infra import locations, storage
from retail_clusters.input_settings import Input
from retail_clusters.wording import percent, pluralize

#: As many reasons are told; those of whole files differ from file to file.
_TOLD: Final = 10
_LONGEST: Final = 120
#: What Markdown would take for its own, as text.
_ESCAPED: Final = r"\\\1"


@dataclass(frozen=True)
class Reason:
    """Why lines are quarantined, how many, and one of them; of a file without a line, the file alone."""

    reason: str
    lines: int
    file: str
    line_number: int | None
    example: str | None

    def __str__(self) -> str:
        """Say it in a sentence."""
        place = locations.name(self.file) + (f", line {self.line_number:,}" if self.line_number else "")
        if self.example is None:
            return f"{self.reason} ({place})"
        return f"{self.lines:,} because {self.reason}, such as {self.example[:_LONGEST]!r} ({place})"


class Tally:
    """Quarantined lines, counted by reason."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lines = Counter[str]()
        self._first: dict[str, tuple[str, str | None]] = {}

    def add(self, rows: Iterable[Mapping[str, str | None]]) -> None:
        """Count lines; the first line of the first file that has some is a reason's example."""
        for row in rows:
            reason, line = str(row[schema.REASON]), row[schema.LINE]
            place = (str(row[schema.SOURCE_FILE]), line)
            self._lines[reason] += line is not None
            known = self._first.get(reason)
            if known is None or (place[0], line or "") < (known[0], known[1] or ""):
                self._first[reason] = place

    def reasons(self, how: Input) -> tuple[Reason, ...]:
        """Return what was counted, most lines first."""
        ordered = sorted(self._first, key=lambda reason: (-self._lines[reason], reason))
        found = []
        for at, reason in enumerate(ordered):
            name, line = self._first[reason]
            file = unquote(name)
            number = _line_number(file, line, how) if at < _TOLD else None
            found.append(Reason(reason, self._lines[reason], file, number, line))
        return tuple(found)


def read(folder: str) -> Iterator[Mapping[str, str | None]]:
    """Read the quarantined lines of the Parquet files in a folder."""
    files = storage.list_files(folder, suffixes=(".parquet",)) if storage.is_folder(folder) else []
    for file in files:
        with storage.open_read(file.location) as stream, pq.ParquetFile(stream) as opened:
            for batch in opened.iter_batches(columns=schema.QUARANTINED_LINE.names):
                yield from batch.to_pylist()


def echo(command: str, found: Sequence[Reason], *, of: int, account: Account | None) -> None:
    """Print how many of the lines are quarantined and why, and which files were passed over, if there are any."""
    if found:
        click.echo(f"{command}: quarantined {_lines(found):,} of {pluralize(of, 'line')}:")
        click.echo("\n".join(f"  {line}" for line in told(found)))
    if account and account.passed_over:
        click.echo(f"{command}: {account}")


def described(found: Sequence[Reason], *, of: int, account: Account | None) -> list[str]:
    """Return the same for a run's description, a paragraph each."""
    items = [f"- {re.sub(r'([`*_<[])', _ESCAPED, line)}" for line in told(found)]
    lines = [f"{_lines(found):,} of {pluralize(of, 'line')} are quarantined:\n\n" + "\n".join(items)]
    return [*(lines if found else []), *([f"{account}."] if account and account.passed_over else [])]


def told(found: Sequence[Reason]) -> list[str]:
    """Return a sentence for each reason, but for the rarest."""
    more = [f"and {len(found) - _TOLD} other reasons"] if len(found) > _TOLD else []
    return [*map(str, found[:_TOLD]), *more]


def _lines(found: Sequence[Reason]) -> int:
    return sum(each.lines for each in found)


def check_share(found: Sequence[Reason], *, of: int, how: Input) -> None:
    """Refuse data of which too many lines cannot be used.

    Raises:
        InputError: names the most frequent reason, an example, and the setting that may help.
    """
    lines = _lines(found)
    if lines <= how.max_quarantined * of:
        return
    first = found[0]
    raise InputError(
        f"at most {percent(how.max_quarantined)} of the lines may be quarantined (input.max_quarantined), but "
        f"{lines:,} of {of:,} are, {first}: {way_out(first, how)}"
    )


def way_out(found: Reason, how: Input) -> str:
    """Name the setting that may turn lines into good ones."""
    numbers = (
        "say in input.decimal and input.thousands how numbers are written, or in input.null_words which words "
        "stand for nothing"
    )
    quotes = 'correct the files, or say in input.quote what stands around a field ("" for nothing)'
    signs = [sign for sign in ",;\t|" if sign != how.separator and sign in (found.example or "")]
    fields = f"is the separator {signs[0]!r}? Then set input.separator" if signs else "correct the files"
    ways = {
        invoices.not_a_date(how): (
            "say in input.date_format how the date is written, such as dd/MM/yyyy HH:mm"
        ),
        invoices.NOT_A_NUMBER: numbers,
        invoices.NOT_WHOLE: numbers,
        invoices.not_text(how): "say in input.encoding how the text is written, such as latin-1 or cp1252",
        invoices.NOT_THE_FIELDS: fields,
        invoices.BAD_QUOTE: quotes,
    } | dict.fromkeys(map(invoices.null_word, schema.COLUMNS), 'list it there, as in ["NULL"]')
    return ways.get(found.reason, "correct the files")


def _line_number(file: str, line: str | None, how: Input) -> int | None:
    """Find a line in its file, counted from 1."""
    if line is None:
        return None
    try:
        return next((at for at, text in enumerate(csv_files.read_here(file, how), 1) if text == line), None)
    except (InputError, OSError):
        return None
