"""docs/lines.md read once more, line by line, in plain Python: what Spark's reading is held to."""

import re
from datetime import datetime

from retail_clusters import schema
from retail_clusters.data import invoices
from retail_clusters.input_settings import Input

Values = tuple[object, ...]

_PARTS = {
    "yyyy": (4, 4), "yy": (2, 2), "MM": (2, 2), "M": (1, 2), "dd": (2, 2), "d": (1, 2), "HH": (2, 2), "H": (1, 2),
    "hh": (2, 2), "h": (1, 2), "mm": (2, 2), "ss": (2, 2),
}  # fmt: skip
_NULL_WORDS = {"null", "none", "nan", "na", "n/a", "#n/a", "<na>", "nil", "\\n", "(null)", "undefined"}


def read_line(
    raw: bytes, how: Input | None = None, *, names: tuple[str, ...] = schema.COLUMNS
) -> Values | str:
    """Return the eight values of a line, or why it is quarantined."""
    how = how or Input()
    try:
        line = raw.decode(how.encoding)
    except UnicodeDecodeError:
        return invoices.TOO_LONG if _length(raw, how) > 65_536 else invoices.not_text(how)
    if len(line.encode()) > 65_536:
        return invoices.TOO_LONG
    fields = split(line, how)
    if isinstance(fields, str):
        return fields
    if len(fields) != len(names):
        return invoices.NOT_THE_FIELDS
    said = dict(zip(names, fields, strict=True))
    values: list[object] = []
    for name in schema.COLUMNS:
        value, wrong = read_value(said[name], name, how)
        if wrong:
            return wrong
        values.append(value)
    return tuple(values)


def split(line: str, how: Input) -> list[str] | str:
    """Split a line into fields, or say what is wrong with its quotes."""
    fields, at = [], 0
    while True:
        if how.quote and line[at : at + 1] == how.quote:
            end, text = _closing(line, at + 1, how.quote)
            if end is None:
                return invoices.BAD_QUOTE
            if end < len(line) and line[end] != how.separator:
                return invoices.BAD_QUOTE
            fields.append(text)
        else:
            found = line.find(how.separator, at)
            end = len(line) if found < 0 else found
            fields.append(line[at:end])
        if end >= len(line):
            return fields
        at = end + 1


def _closing(line: str, at: int, quote: str) -> tuple[int | None, str]:
    text = ""
    while at < len(line):
        if line[at] == quote:
            if line[at + 1 : at + 2] != quote:
                return at + 1, text
            at += 1
        text += line[at]
        at += 1
    return None, text


def read_value(field: str, name: str, how: Input) -> tuple[object, str | None]:
    """Return what a field says, and what is wrong with it."""
    bare = field.strip(" ")
    if bare == "" or bare in how.null_words:
        return None, invoices.NO_DATE if name == schema.INVOICE_DATE else None
    readers = {schema.QUANTITY: _integer, schema.UNIT_PRICE: _number, schema.INVOICE_DATE: _date}
    if name in readers:
        return readers[name](bare, how)
    return (field, None) if name in {schema.DESCRIPTION, schema.COUNTRY} else _identifier(bare, name, how)


def _identifier(text: str, name: str, how: Input) -> tuple[str | None, str | None]:
    if re.fullmatch(rf"[0-9]+{re.escape(how.decimal)}0", text):
        return text[:-2], None
    if not how.null_words and text.lower() in _NULL_WORDS:
        return None, invoices.null_word(name)
    return text, None


def _digits(text: str, how: Input) -> str | None:
    """Return digits without the signs between groups."""
    if re.fullmatch("[0-9]+", text):
        return text
    first, *groups = text.split(how.thousands) if how.thousands else [text]
    good = (
        groups
        and re.fullmatch("[0-9]{1,3}", first)
        and all(re.fullmatch("[0-9]{3}", each) for each in groups)
    )
    return first + "".join(groups) if good else None


def _integer(text: str, how: Input) -> tuple[int | None, str | None]:
    sign = text[0] if text[0] in "+-" else ""
    whole, _, zeros = text[len(sign) :].partition(how.decimal)
    digits = _digits(whole, how)
    if digits is None or zeros.strip("0"):
        return None, invoices.NOT_WHOLE
    value = int(f"{sign}{digits}")
    return (value, None) if -(2**31) <= value < 2**31 else (None, invoices.NOT_WHOLE)


def _number(text: str, how: Input) -> tuple[float | None, str | None]:
    found = re.fullmatch(r"([+-]?)([^eE]*?)(?:[eE]([+-]?[0-9]{1,3}))?", text)
    whole, point, fraction = found[2].partition(how.decimal) if found else ("", "", "")
    digits = _digits(whole, how) if whole else ("" if point and fraction else None)
    if found is None or digits is None or (fraction and not re.fullmatch("[0-9]+", fraction)):
        return None, invoices.NOT_A_NUMBER
    value = float(f"{found[1]}{digits}.{fraction or '0'}e{found[3] or '0'}")
    return (value, None) if abs(value) < 1e11 else (None, invoices.OUT_OF_RANGE)


def _date(text: str, how: Input) -> tuple[datetime | None, str | None]:
    for form in how.date_format:
        found = _moment(text, form)
        if found:
            return (found, None) if 1900 <= found.year <= 2199 else (None, invoices.OUT_OF_TIME)
    return None, invoices.not_a_date(how)


def _moment(text: str, form: str) -> datetime | None:
    pattern, letters = "", []
    for part in (found[0] for found in re.finditer(r"([A-Za-z])\1*|'[^']*'|.", form)):
        low, high = _PARTS.get(part, (len(part), len(part)))
        digits = f"([0-9]{{{low},{high}}})"
        pattern += "([AaPp][Mm])" if part == "a" else digits if part.isalpha() else re.escape(part.strip("'"))
        letters += [part[0]] if part.isalpha() else []
    found = re.fullmatch(pattern, text)
    said = dict(zip(letters, found.groups(), strict=True)) if found else {}
    if not said or ("h" in said and not 1 <= int(said["h"]) <= 12):
        return None
    hour = int(said["h"]) % 12 + 12 * (said["a"].lower() == "pm") if "h" in said else int(said.get("H", 0))
    year = int(said["y"]) + (2000 if len(said["y"]) == 2 else 0) or 4  # Python has no year 0, a leap year
    micros = int(said.get("S", "0").ljust(6, "0"))
    try:
        return datetime(
            year, int(said["M"]), int(said["d"]), hour, int(said.get("m", 0)), int(said.get("s", 0)), micros
        )
    except ValueError:
        return None


def _length(raw: bytes, how: Input) -> int:
    return len(raw.decode(how.encoding, errors="replace").encode()) if how.encoding != "utf-8" else len(raw)
