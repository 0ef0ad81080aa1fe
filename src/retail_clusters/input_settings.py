"""How the files of invoice lines are written: encoding, separator, numbers, dates, columns."""

import codecs
import re
from collections.abc import Sequence
from itertools import pairwise, permutations
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from retail_clusters.question import Settings, listed

#: Parts of a date format, and what each is in a regular expression.
_PARTS: Final = {
    "yyyy": r"[0-9]{4}",
    **dict.fromkeys(("yy", "MM", "dd", "HH", "hh", "mm", "ss"), r"[0-9]{2}"),
    **dict.fromkeys(("M", "d", "H", "h"), r"[0-9]{1,2}"),
    **{"S" * digits: rf"[0-9]{{{digits}}}" for digits in range(1, 7)},
    "a": r"[AaPp][Mm]",
}
_TOKEN: Final = re.compile(r"(?P<part>([A-Za-z])\2*)|'(?P<quoted>[^']+)'|(?P<sign>[-/. :,_])")
#: What may stand beside year, month and day: the letters of its parts, sorted.
_TIMES: Final = {"", "H", "Hm", "Hms", "HSms", "ah", "ahm", "ahms", "Sahms"}

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
            raise ValueError(
                f"date_format is a pattern of numbers, but {form!r} holds {part or form[at]!r}: its parts are "
                "yyyy or yy, MM, dd, HH or hh with a, mm, ss, S"
            )
        found.append(("part", part) if part else ("text", token["quoted"] or token["sign"]))
        at = token.end()
    return found


def date_shape(form: str) -> str:
    """Return a regular expression, in Python and in Java, of the texts that a date format can be."""
    return "".join(_PARTS[text] if kind == "part" else re.escape(text) for kind, text in tokens(form))


def _check_date_format(form: str) -> str:
    parts = tokens(form)
    letters = sorted(text[0] for kind, text in parts if kind == "part")
    time = "".join(letter for letter in letters if letter not in "yMd")
    if time not in _TIMES or [letter for letter in letters if letter in "yMd"] != ["M", "d", "y"]:
        raise ValueError(
            f"date_format has year, month and day once (yyyy or yy, MM, dd), and a time as HH:mm:ss or hh:mm a, "
            f"but got {form!r}: the month is MM, minutes are mm"
        )
    for (one, before), (other, after) in pairwise(parts):
        if one == other == "part" and min(len(before), len(after)) == 1 and "a" not in {before, after}:
            raise ValueError(
                f"date_format {form!r} cannot be read: put a sign between {before} and {after}, or write both twice"
            )
    return form


def _check_date_formats(forms: tuple[str, ...]) -> tuple[str, ...]:
    if not forms:
        raise ValueError("date_format must name at least one format, such as yyyy-MM-dd HH:mm:ss")
    for one, other in permutations(forms, 2):
        if re.fullmatch(date_shape(other), _longest_date(one)):
            raise ValueError(
                f"date_format must read a text in one way, but {one!r} and {other!r} both read some: give one"
            )
    return forms


def _longest_date(form: str) -> str:
    """Write a date with as many digits as a format can have."""
    digits = {"a": "AM", **dict.fromkeys("MdHh", "11")}
    return "".join(
        digits.get(text, "1" * len(text)) if kind == "part" else text for kind, text in tokens(form)
    )


def _words(value: object) -> object:
    found = listed(value)
    if value is None or (isinstance(found, Sequence) and None in found):
        raise ValueError('YAML takes a bare NULL for nothing: write "NULL", between quotes')
    return found


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
DateFormats = Annotated[tuple[DateFormat, ...], BeforeValidator(listed), AfterValidator(_check_date_formats)]
Words = Annotated[
    tuple[Annotated[str, Field(min_length=1, pattern=r"^\S(?:.*\S)?$")], ...], BeforeValidator(_words)
]
Encoding = Annotated[str, AfterValidator(_check_encoding)]
Separator = Annotated[str, Field(pattern=_SIGN)]
Quote = Annotated[str, Field(pattern=r"^[\"'`|~^]?$")]
Thousands = Annotated[str, Field(pattern=r"^[,.' _\u2019\u00a0\u202f]?$")]
Share = Annotated[float, Field(ge=0, le=1)]


class Columns(Settings):
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


class Input(Settings):
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
