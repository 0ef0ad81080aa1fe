"""The one definition of a good invoice line, for files at rest and files that arrive: docs/lines.md in Spark."""

from collections.abc import Iterable, Mapping
from functools import reduce
from itertools import groupby
from typing import Final

from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.data import csv_files
from retail_clusters.data.csv_files import USUAL_LAYOUT, Layout
from retail_clusters.input_settings import Input, date_shape

#: In bytes. It bounds the fields of a line, for which the CSV parser has a limit that fails the job.
LONGEST_LINE: Final = 65_536
#: From here on sums of costs overflow. Below it a price to a millionth, times a quantity, has 28 digits, and
#: a sum of ten billion of those 38, all that a decimal can have; squares of distances stay far from infinity.
PRICE_LIMIT: Final = 1e11
#: Dates from the first of these days, before the second. Others, such as 9999-12-31, stand for no date, and no
#: tool that has nanoseconds can hold them.
FIRST_DAY, LAST_DAY = "1900-01-01", "2200-01-01"

TOO_LONG: Final = f"the line is longer than {LONGEST_LINE:,} bytes"
BAD_QUOTE: Final = "a quote is left open, or stands where none can"
NOT_THE_FIELDS: Final = "the fields are fewer or more than the header's"
NO_DATE: Final = "InvoiceDate is empty"
OUT_OF_TIME: Final = "InvoiceDate is not from 1900 to 2199"
NOT_WHOLE: Final = "Quantity is not a whole number of 32 bits"
NOT_A_NUMBER: Final = "UnitPrice is not a number"
OUT_OF_RANGE: Final = "UnitPrice is 100 billion or more, which cannot be added up exactly"
#: What exports write where there is nothing; whoever means one of them as a name says so in `input.null_words`.
NULL_WORDS: Final = ("null", "none", "nan", "na", "n/a", "#n/a", "<na>", "nil", "\\n", "(null)", "undefined")

_USUAL: Final = Input()
_TEXTS: Final = (schema.DESCRIPTION, schema.COUNTRY)
_IDENTIFIERS: Final = (schema.INVOICE_NO, schema.STOCK_CODE, schema.CUSTOMER_ID)
_CORRUPT: Final = "_corrupt_record"
_RAW: Final = "_raw_"
#: Where Spark is given no sign it takes a NUL, which texts may hold.
_IN_NO_TEXT: Final = "\uffff"


def not_text(how: Input = _USUAL) -> str:
    """Return the reason of a line that is not in the encoding of the files."""
    return f"the text is not {how.encoding.upper()}"


def not_a_date(how: Input = _USUAL) -> str:
    """Return the reason of a line whose date is not written as the settings say."""
    if how.date_format == _USUAL.date_format:
        return "InvoiceDate is not a date and time such as 2010-12-01 08:26:00"
    return f"InvoiceDate is not a date of the form {' or '.join(how.date_format)}"


def null_word(name: str) -> str:
    """Return the reason of a line whose identifier is a word for nothing."""
    return f"{name} is a word for nothing, such as NULL, and not in input.null_words"


def read(
    spark: SparkSession, layouts: Mapping[str, Layout], *, how: Input = _USUAL
) -> tuple[DataFrame, list[Observation]]:
    """Read and parse files at rest, each by its own header.

    Each observation gets the set `files` of those that Spark found a header in.
    """
    by_layout = sorted(layouts, key=lambda file: (layouts[file].names, layouts[file].header))
    parts, seen = [], []
    for layout, files in groupby(by_layout, key=layouts.__getitem__):
        seen.append(Observation())
        lines = csv_files.read_lines(spark, list(files), layout=layout, how=how, seen=seen[-1])
        parts.append(parse(lines, layout=layout, how=how))
    if not parts:
        return parse(csv_files.read_lines(spark, []), how=how), []
    return reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), parts), seen


def files_seen(observations: Iterable[Observation]) -> set[str]:
    """Return the names of the files that Spark found a header in, once it has read them."""
    return {file for each in observations for file in each.get["files"] or ()}


def parse(lines: DataFrame, *, layout: Layout = USUAL_LAYOUT, how: Input = _USUAL) -> DataFrame:
    """Split raw CSV lines into the columns of an invoice line, and say what is wrong with each.

    Takes `line` and `source_file`; adds the eight invoice columns, those that a header has besides, as text,
    and `reason`, null for a good line. A missing quantity, price or customer is good, and stays missing: how it
    is filled is the model's affair.
    """
    short = F.when(F.octet_length(schema.LINE) <= LONGEST_LINE, F.col(schema.LINE))
    read = lines.withColumn("_fields", _from_csv(short, len(layout.names), how))
    fields = {name: F.col("_fields")[f"_{at}"] for at, name in enumerate(layout.names)}
    raw = {f"{_RAW}{name}": _bare(fields[name], name, how) for name in schema.COLUMNS}
    extra = [fields[name].alias(name) for name in layout.extra]
    split = read.select(
        *(column.alias(name) for name, column in raw.items()),
        *extra,
        F.col("_fields")[_CORRUPT].alias(_CORRUPT),
        schema.LINE,
        schema.SOURCE_FILE,
    )
    typed = split.select("*", *(_typed(name, how).alias(name) for name in schema.COLUMNS))
    reason = _reason(how).alias(schema.REASON)
    return typed.select("*", reason).select(
        *schema.COLUMNS,
        *(F.col(_quoted(name)) for name in layout.extra),
        schema.LINE,
        schema.SOURCE_FILE,
        schema.REASON,
    )


def good(parsed: DataFrame) -> DataFrame:
    """Keep the good lines, as invoice lines."""
    return parsed.where(F.col(schema.REASON).isNull()).select(*schema.COLUMNS)


def quarantined(parsed: DataFrame) -> DataFrame:
    """Keep the other lines, as they came, with the reason; bytes that are not UTF-8 show as U+FFFD."""
    line = F.make_valid_utf8(schema.LINE).alias(schema.LINE)
    bad = parsed.where(F.col(schema.REASON).isNotNull())
    return bad.select(line, schema.REASON, schema.SOURCE_FILE)


def _from_csv(line: Column, fields: int, how: Input) -> Column:
    columns = ", ".join(f"`_{at}` string" for at in range(fields))
    quote = how.quote or _IN_NO_TEXT
    options = {
        "mode": "PERMISSIVE",
        "sep": how.separator,
        "quote": quote,
        "escape": quote,
        "charToEscapeQuoteEscaping": _IN_NO_TEXT,  # else NUL is, and is lost between quotes
        "maxColumns": str(LONGEST_LINE + 1),
        "columnNameOfCorruptRecord": _CORRUPT,
    }
    return F.from_csv(line, f"{columns}, `{_CORRUPT}` string", options)


def _bare(field: Column, name: str, how: Input) -> Column:
    """Return what stands in a field: null where that is nothing."""
    trimmed = F.trim(field)
    words = ["", *how.null_words]
    return F.when(~trimmed.isin(words), field if name in _TEXTS else trimmed)


def _typed(name: str, how: Input) -> Column:
    raw = F.col(f"{_RAW}{name}")
    if name == schema.QUANTITY:
        return F.when(raw.rlike(_whole(how)), F.substring_index(_plain(raw, how), ".", 1).try_cast("int"))
    if name == schema.UNIT_PRICE:
        return F.when(raw.rlike(_number(how)), _plain(raw, how).try_cast("double"))
    if name == schema.INVOICE_DATE:
        return _date(raw, how)
    if name in _IDENTIFIERS:
        float_of_pandas = raw.endswith(f"{how.decimal}0") & raw.rlike(rf"^[0-9]++\Q{how.decimal}\E0\z")
        return F.when(float_of_pandas, F.substring_index(raw, how.decimal, 1)).otherwise(raw)
    return raw


def _digits(how: Input) -> str:
    return rf"(?:[0-9]{{1,3}}(?:\Q{how.thousands}\E[0-9]{{3}})++|[0-9]++)" if how.thousands else "[0-9]++"


def _number(how: Input) -> str:
    decimal = rf"\Q{how.decimal}\E"
    return rf"^[+-]?(?:{_digits(how)}(?:{decimal}[0-9]*+)?|{decimal}[0-9]++)(?:[eE][+-]?[0-9]{{1,3}})?\z"


def _whole(how: Input) -> str:
    return rf"^[+-]?{_digits(how)}(?:\Q{how.decimal}\E0*+)?\z"


def _plain(text: Column, how: Input) -> Column:
    """Write a number as Spark reads it."""
    return (
        text
        if not how.thousands and how.decimal == "."
        else F.translate(text, how.decimal + how.thousands, ".")
    )


def _date(text: Column, how: Input) -> Column:
    """Read a date. A cast alone takes other shapes, too, such as a date without a time."""
    read = [
        F.when(text.rlike(rf"^(?:{date_shape(form)})\z"), _instant(text, form)) for form in how.date_format
    ]
    return F.coalesce(*read) if len(read) > 1 else read[0]


def _instant(text: Column, form: str) -> Column:
    """A check of the shape and a cast cost less than Java's formatter, which any other form takes."""
    return text.try_cast("timestamp") if form in _USUAL.date_format else F.try_to_timestamp(text, F.lit(form))


def _reason(how: Input) -> Column:
    """Return the first thing that is wrong with a line; null where nothing is."""
    line = F.col(schema.LINE)
    readable = F.is_valid_utf8(line) if how.encoding == "utf-8" else ~line.contains("\ufffd")
    wrong = F.when(F.octet_length(line) > LONGEST_LINE, TOO_LONG).when(~readable, not_text(how))
    if how.quote:
        field = _field(how)
        sound = line.rlike(rf"\A(?:{field}\Q{how.separator}\E)*+{field}\z")
        wrong = wrong.when(line.contains(how.quote) & ~sound, BAD_QUOTE)
    wrong = wrong.when(F.col(_CORRUPT).isNotNull(), NOT_THE_FIELDS)
    for name in schema.COLUMNS:
        for condition, reason in _wrong_values(name, how):
            wrong = wrong.when(condition, reason)
    return wrong


def _wrong_values(name: str, how: Input) -> list[tuple[Column, str]]:
    raw, value = F.col(f"{_RAW}{name}"), F.col(name)
    unread = raw.isNotNull() & value.isNull()
    if name == schema.QUANTITY:
        return [(unread, NOT_WHOLE)]
    if name == schema.UNIT_PRICE:
        return [(unread, NOT_A_NUMBER), (F.abs(value) >= PRICE_LIMIT, OUT_OF_RANGE)]
    if name == schema.INVOICE_DATE:
        bounds = [F.lit(day).cast("timestamp") for day in (FIRST_DAY, LAST_DAY)]
        in_time = (value >= bounds[0]) & (value < bounds[1])
        return [(raw.isNull(), NO_DATE), (unread, not_a_date(how)), (~in_time, OUT_OF_TIME)]
    if name in _IDENTIFIERS and not how.null_words:
        return [(F.lower(value).isin(list(NULL_WORDS)), null_word(name))]
    return []


def _field(how: Input) -> str:
    """Match a field: one between quotes, in which a quote is doubled, or one that does not begin with a quote.

    Possessive, as Java's other loops over groups recurse: a line of quotes would overflow the JVM's stack.
    """
    quote, separator = rf"\Q{how.quote}\E", rf"\Q{how.separator}\E"
    between = rf"[^{quote}]*+(?:{quote}{quote}[^{quote}]*+)*+"
    return rf"(?:{quote}{between}{quote}|(?:[^{quote}{separator}][^{separator}]*+)?+)"


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"
