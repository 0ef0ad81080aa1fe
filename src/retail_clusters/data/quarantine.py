"""What quarantined lines have in common: counts by reason, each with an example, its place and the way out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.data import csv_files, invoices
from retail_clusters.errors import InputError
from retail_clusters.infra import locations
from retail_clusters.input_settings import Input
from retail_clusters.wording import percent, pluralize

#: As many reasons are told; those of whole files differ from file to file.
_TOLD: Final = 10
_LONGEST: Final = 120


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


def reasons(quarantined: DataFrame, *, how: Input) -> list[Reason]:
    """Count quarantined lines by reason, most lines first; the example is the first line of the first file."""
    example = F.min(F.struct(schema.SOURCE_FILE, F.coalesce(schema.LINE, F.lit("")), schema.LINE))
    found = quarantined.groupBy(schema.REASON).agg(
        F.count(schema.LINE).alias("lines"), example.alias("example")
    )
    rows = found.orderBy(F.desc("lines"), schema.REASON).collect()
    return [
        Reason(
            reason=row.reason,
            lines=row.lines,
            file=(file := locations.from_quoted(row.example[0])),
            line_number=_line_number(file, row.example[2], how) if at < _TOLD else None,
            example=row.example[2],
        )
        for at, row in enumerate(rows)
    ]


def tell(found: Sequence[Reason], *, of: int) -> list[str]:
    """Say how many lines are quarantined, and why; nothing when none is."""
    if not found:
        return []
    lines = sum(each.lines for each in found)
    more = [f"  and {len(found) - _TOLD} other reasons"] if len(found) > _TOLD else []
    return [
        f"quarantined {lines:,} of {pluralize(of, 'line')}:",
        *(f"  {each}" for each in found[:_TOLD]),
        *more,
    ]


def check_share(found: Sequence[Reason], *, of: int, how: Input) -> None:
    """Refuse data of which too many lines cannot be used.

    Raises:
        InputError: names the most frequent reason, an example, and the setting that may help.
    """
    lines = sum(each.lines for each in found)
    if lines <= how.max_quarantined * of:
        return
    first = found[0]
    raise InputError(
        f"at most {percent(how.max_quarantined)} of the lines may be quarantined (input.max_quarantined), but "
        f"{lines:,} of {of:,} are, {first}: {way_out(first, how)}"
    )


def way_out(found: Reason, how: Input) -> str:
    """Name the setting that may turn lines into good ones."""
    reason = found.reason
    if reason == invoices.not_a_date(how):
        return "say in input.date_format how the date is written, such as dd/MM/yyyy HH:mm"
    if reason in {invoices.NOT_A_NUMBER, invoices.NOT_WHOLE}:
        return (
            "say in input.decimal and input.thousands how numbers are written, or in input.null_words which "
            "words stand for nothing"
        )
    if reason == invoices.not_text(how):
        return "say in input.encoding how the text is written, such as latin-1 or cp1252"
    if reason in {invoices.MISSING_FIELD, invoices.EXTRA_FIELD}:
        signs = [sign for sign in ",;\t|" if sign != how.separator and sign in (found.example or "")]
        return f"is the separator {signs[0]!r}? Then set input.separator" if signs else "correct the files"
    if reason in {invoices.OPEN_QUOTE, invoices.BAD_QUOTE}:
        return 'correct the files, or say in input.quote what stands around a field ("" for nothing)'
    if reason in map(invoices.null_word, schema.COLUMNS):
        return "list it in input.null_words, such as [NULL]"
    return "correct the files"


def _line_number(file: str, line: str | None, how: Input) -> int | None:
    """Find a line in its file, counted from 1."""
    if line is None:
        return None
    try:
        return next((at for at, text in enumerate(csv_files.read_here(file, how), 1) if text == line), None)
    except (InputError, OSError):
        return None
