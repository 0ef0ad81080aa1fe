"""How the files of invoice lines are written: encoding, separator, numbers, dates, columns."""

import codecs
import json
import re
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.functional_validators import AfterValidator

#: Letters of a date format, with how often each may stand, and what it is in a regular expression.
_PARTS: Final = {
    "yyyy": r"[0-9]{4}",
    "yy": r"[0-9]{2}",
    "MM": r"[0-9]{2}",
    "M": r"[0-9]{1,2}",
    "dd": r"[0-9]{2}",
    "d": r"[0-9]{1,2}",
    "HH": r"[0-9]{2}",
    "H": r"[0-9]{1,2}",
    "hh": r"[0-9]{2}",
    "h": r"[0-9]{1,2}",
    "mm": r"[0-9]{2}",
    "ss": r"[0-9]{2}",
    "a": r"[AaPp][Mm]",
} | {"S" * digits: rf"[0-9]{{{digits}}}" for digits in range(1, 7)}
_TOKEN: Final = re.compile(r"(?P<part>([A-Za-z])\2*)|'(?P<quoted>[^']+)'|(?P<sign>[-/. :,_])")
_HINTS: Final = {"Y": "the year is yyyy", "D": "the day is dd", "n": "minutes are mm", "K": "hours are HH"}
#: Parts of which one must be there, too; and what to say where none is.
_NEEDS: Final = {"m": "Hh", "s": "m", "S": "s", "a": "h", "h": "a"}
_LONELY: Final = {
    "h": "hh counts to 12 and needs a (AM or PM); hours up to 24 are HH",
    "a": "a (AM or PM) goes with hh, and HH counts to 24",
    "m": "mm is minutes, which follow hours (HH or hh); the month is MM",
    "s": "ss is seconds, which follow minutes (mm)",
    "S": "S is a part of a second, which follows ss",
}

Token = tuple[Literal["part", "text"], str]


def tokens(form: str) -> list[Token]:
    """Split a date format into parts, such as `yyyy`, and the text between them.

    Raises:
        ValueError: it holds something else.
    """
    found: list[Token] = []
    at = 0
    while at < len(form):
        token = _TOKEN.match(form, at)
        part = token["part"] if token else None
        if not token or (part and part not in _PARTS):
            wrong = part or form[at]
            hint = _HINTS.get(wrong[0], "its parts are yyyy or yy, MM, dd, HH or hh with a, mm, ss, S")
            raise ValueError(f"date_format is a pattern of numbers, but {form!r} holds {wrong!r}: {hint}")
        found.append(("part", part) if part else ("text", token["quoted"] or token["sign"]))
        at = token.end()
    return found


def date_shape(form: str) -> str:
    """Return a regular expression, in Python and in Java, of the texts that a date format can be."""
    return "".join(_PARTS[text] if kind == "part" else re.escape(text) for kind, text in tokens(form))


def _check_date_format(form: str) -> str:
    parts = tokens(form)
    wrong = _wrong_parts([text[0] for kind, text in parts if kind == "part"]) or _wrong_widths(parts)
    if wrong:
        raise ValueError(f"date_format {form!r} cannot be meant: {wrong}")
    return form


def _wrong_parts(letters: Sequence[str]) -> str | None:
    """Say what is wrong with the parts of a date, each told by its letter."""
    twice = next((letter for letter in letters if letters.count(letter) > 1), None)
    if twice:
        return "minutes are mm, MM is the month" if twice == "M" else f"it has {twice} twice"
    missing = next((letter for letter in "yMd" if letter not in letters), None)
    if missing == "M" and "m" in letters:
        return "mm is minutes, the month is MM"
    if missing:
        return f"it needs year, month and day (yyyy, MM, dd), but has no {missing}"
    if {"H", "h"} <= set(letters):
        return "it has two hours: HH up to 24, or hh up to 12 with a"
    lonely = next((each for each in letters if not set(_NEEDS.get(each, each)) & set(letters)), None)
    return _LONELY[lonely] if lonely else None


def _wrong_widths(parts: Sequence[Token]) -> str | None:
    """Say which numbers of a date run into one another."""
    for (one, before), (other, after) in pairwise(parts):
        if one == other == "part" and min(len(before), len(after)) == 1 and "a" not in {before, after}:
            return f"put a sign between {before} and {after}, or give each a fixed width"
    return None


def _check_date_formats(forms: tuple[str, ...]) -> tuple[str, ...]:
    if not forms:
        raise ValueError("date_format must name at least one format, such as yyyy-MM-dd HH:mm:ss")
    for one, other in combinations(forms, 2):
        if _overlap(_widths(one), _widths(other)):
            raise ValueError(
                f"date_format must read a text in one way, but {one!r} and {other!r} both read some: give one"
            )
    return forms


def _widths(form: str) -> list[str | tuple[int, int]]:
    """Return each sign of a date, and the fewest and most digits between signs."""
    found: list[str | tuple[int, int]] = []
    for kind, text in tokens(form):
        if kind == "text":
            found.append(text)
        elif text == "a":
            found.append("a")
        else:
            width = (len(text), 2 if len(text) == 1 and text != "S" else len(text))
            last = found[-1] if found else None
            if isinstance(last, tuple):
                found[-1] = (last[0] + width[0], last[1] + width[1])
            else:
                found.append(width)
    return found


def _overlap(one: Sequence[str | tuple[int, int]], other: Sequence[str | tuple[int, int]]) -> bool:
    if len(one) != len(other):
        return False
    return all(
        mine == others
        if isinstance(mine, str) or isinstance(others, str)
        else max(mine[0], others[0]) <= min(mine[1], others[1])
        for mine, others in zip(one, other, strict=True)
    )


def _words(value: object) -> object:
    found = _listed(value)
    if value is None or (isinstance(found, Sequence) and None in found):
        raise ValueError('YAML takes a bare NULL for nothing: write "NULL", between quotes')
    return found


def _listed(given: object) -> object:
    """Take one text, a list, or a list as `flat` writes it."""
    if isinstance(given, str):
        try:
            given = json.loads(given) if given.startswith("[") else [given]
        except ValueError:
            given = [given]
    return tuple(given) if isinstance(given, list) else given


def _check_encoding(name: str) -> str:
    way_out = "convert the files, as in iconv -f UTF-16 -t UTF-8"
    try:
        codec = codecs.lookup(name)
    except LookupError:
        raise ValueError(f"encoding must be one that Python knows, but got {name!r}: {way_out}") from None
    if codec.name in {"utf-8", "utf-8-sig"}:
        return "utf-8"
    if single_bytes(codec.name) is None:
        raise ValueError(
            f"encoding must be utf-8, or one byte a character with ASCII in it, such as latin-1 or cp1252, "
            f"but got {name!r}: {way_out}"
        )
    return codec.name


def single_bytes(encoding: str) -> str | None:
    """Return the 256 characters of a single-byte encoding, U+FFFD for bytes that it does not have.

    None of any other encoding, and of one in which the first 128 are not those of ASCII.
    """
    every = bytes(range(256))
    try:
        text = "".join(bytes([byte]).decode(encoding, errors="replace") for byte in every)
        together = every.decode(encoding, errors="replace")
    except (LookupError, UnicodeError):
        return None
    return text if text == together and text[:128] == every[:128].decode("ascii") else None


_SIGN: Final = r"^[^0-9A-Za-z \r\n+.\ufeff-]$"

ColumnName = Annotated[str, Field(pattern=r"^[^\s\"](?:[^\r\n\"]*[^\s\"])?$")]
DateFormat = Annotated[str, AfterValidator(_check_date_format)]
DateFormats = Annotated[tuple[DateFormat, ...], BeforeValidator(_listed), AfterValidator(_check_date_formats)]
Words = Annotated[
    tuple[Annotated[str, Field(min_length=1, pattern=r"^\S(?:.*\S)?$")], ...], BeforeValidator(_words)
]
Encoding = Annotated[str, AfterValidator(_check_encoding)]
Separator = Annotated[str, Field(pattern=_SIGN)]
Quote = Annotated[str, Field(pattern=r"^[\"'`|~^]?$")]
Thousands = Annotated[str, Field(pattern=r"^[,.' _\u2019\u00a0\u202f]?$")]
Share = Annotated[float, Field(ge=0, le=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", validate_default=True)


class Columns(_Settings):
    """What the files call the eight facts of a line; their order is that of a file's header."""

    invoice_no: ColumnName = "InvoiceNo"
    stock_code: ColumnName = "StockCode"
    description: ColumnName = "Description"
    quantity: ColumnName = "Quantity"
    invoice_date: ColumnName = "InvoiceDate"
    unit_price: ColumnName = "UnitPrice"
    customer_id: ColumnName = "CustomerID"
    country: ColumnName = "Country"

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names in the order of `schema.COLUMNS`."""
        return tuple(getattr(self, field) for field in Columns.model_fields)

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        if len({name.casefold() for name in self.names}) < len(self.names):
            raise ValueError(f"each column needs a name of its own, but got {', '.join(self.names)}")
        return self


class Input(_Settings):
    """How the files are written; by default as the public data set is, and nothing else is taken.

    More than the share `max_quarantined` of lines that cannot be used refuses the data.
    """

    encoding: Encoding = "utf-8"
    separator: Separator = ","
    quote: Quote = '"'
    decimal: Literal[".", ","] = "."
    thousands: Thousands = ""
    null_words: Words = ()
    date_format: DateFormats = ("yyyy-MM-dd HH:mm:ss",)
    columns: Columns = Columns()
    max_quarantined: Share = 0.5

    @model_validator(mode="after")
    def _check_signs(self) -> Self:
        if self.quote and self.quote == self.separator:
            raise ValueError(f"separator and quote must differ, but both are {self.quote!r}")
        if self.thousands == self.decimal:
            raise ValueError(f"decimal and thousands must differ, but both are {self.decimal!r}")
        return self


def of_now(name: str) -> str:
    """Return the dotted name that a setting of an earlier release has by now."""
    if name == "columns.date_format":
        return "input.date_format"
    return f"input.{name}" if name.startswith("columns.") else name
