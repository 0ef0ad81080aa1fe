"""The one definition of a good invoice line, for files at rest and files that arrive."""

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from retail_clusters import schema
from retail_clusters.settings import Columns

#: In bytes. It bounds the fields of a line, for which the CSV parser has a limit that fails the job.
LONGEST_LINE: Final = 65_536

_CORRUPT: Final = "_corrupt_record"
_CSV_OPTIONS: Final = {
    "mode": "PERMISSIVE",
    "escape": '"',
    "maxColumns": str(LONGEST_LINE + 1),
    "columnNameOfCorruptRecord": _CORRUPT,
}

TOO_LONG: Final = f"the line is longer than {LONGEST_LINE:,} bytes"
NOT_UTF8: Final = "the text is not UTF-8"
OPEN_QUOTE: Final = "a quote is left open"
MISSING_FIELD: Final = "a field is missing"
EXTRA_FIELD: Final = "a field is one too many"
NOT_A_DATE: Final = "InvoiceDate is not a date and time such as 2010-12-01 08:26:00"
WRONG_TYPE: Final = {
    schema.QUANTITY: "Quantity is not a whole number of 32 bits",
    schema.UNIT_PRICE: "UnitPrice is not a number",
    schema.CUSTOMER_ID: "CustomerID is not a number",
}
MALFORMED: Final = "the line is not CSV"
NO_DATE: Final = "InvoiceDate is empty"
NOT_FINITE: Final = "UnitPrice or CustomerID is not a finite number"
#: From here on sums of costs overflow. Below it a price to a millionth, times a quantity, has 28 digits, and
#: a sum of ten billion of those 38, all that a decimal can have; squares of distances stay far from infinity.
PRICE_LIMIT: Final = 1e11
OUT_OF_RANGE: Final = "UnitPrice is 100 billion or more, which cannot be added up exactly"

_USUAL: Final = Columns()
_TEXTS: Final = StructType([StructField(name, StringType()) for name in schema.COLUMNS])
#: The date stays text until its shape is checked: a check and a cast cost less than a date format does.
_AS_READ: Final = StructType(
    [
        StructField(field.name, StringType()) if field.name == schema.INVOICE_DATE else field
        for field in schema.INVOICE_LINE
    ]
)
_DATE_TEXT: Final = "_date_text"
_DATE_SHAPE: Final = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\z"
# Possessive, as Java's other loops over groups recurse: a line of quotes would overflow the JVM's stack.
_TEXT: Final = '[^"]*+(?:""[^"]*+)*+'
_QUOTED: Final = f'"{_TEXT}(?:"|$)'
_LAST_FIELD_OPEN: Final = f'(?:^|,)"{_TEXT}$'


def parse(lines: DataFrame, *, columns: Columns = _USUAL) -> DataFrame:
    """Split raw CSV lines into the columns of an invoice line, and say what is wrong with each.

    Takes `line` and `source_file`; adds the eight invoice columns and `reason`, null for a good line.
    `columns.date_format` says how a date is written. A missing quantity, price or customer is good, and stays
    missing: how it is filled is the model's affair.
    """
    short = F.when(F.octet_length(schema.LINE) <= LONGEST_LINE, F.col(schema.LINE))
    read = lines.withColumn("_fields", _from_csv(short, _AS_READ))
    fields = {name: F.col("_fields")[name] for name in (*schema.COLUMNS, _CORRUPT)}
    text = fields[schema.INVOICE_DATE]
    fields |= {_DATE_TEXT: text, schema.INVOICE_DATE: _date(text, columns)}
    return read.select(
        schema.LINE, schema.SOURCE_FILE, *(column.alias(name) for name, column in fields.items())
    ).select(*schema.COLUMNS, schema.LINE, schema.SOURCE_FILE, _reason(columns).alias(schema.REASON))


def good(parsed: DataFrame) -> DataFrame:
    """Keep the good lines, as invoice lines."""
    return parsed.where(F.col(schema.REASON).isNull()).select(*schema.COLUMNS)


def quarantined(parsed: DataFrame) -> DataFrame:
    """Keep the other lines, as they came, with the reason; bytes that are not UTF-8 show as U+FFFD.

    What exactly is malformed is found here, so that good lines do not pay for it.
    """
    reason = F.when(F.col(schema.REASON) == MALFORMED, _detail()).otherwise(F.col(schema.REASON))
    bad = parsed.where(F.col(schema.REASON).isNotNull())
    return bad.select(
        F.make_valid_utf8(schema.LINE).alias(schema.LINE), reason.alias(schema.REASON), schema.SOURCE_FILE
    )


def _from_csv(line: Column, fields: StructType) -> Column:
    columns = ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in fields)
    return F.from_csv(line, f"{columns}, `{_CORRUPT}` string", _CSV_OPTIONS)


def not_a_date(columns: Columns = _USUAL) -> str:
    """Return the reason of a line whose date is not written as `columns.date_format` says."""
    if columns.date_format == _USUAL.date_format:
        return NOT_A_DATE
    return f"InvoiceDate is not a date of the form {columns.date_format}"


def _date(text: Column, columns: Columns) -> Column:
    """Read a date. A cast alone takes other shapes too, such as a date without a time."""
    if columns.date_format != _USUAL.date_format:
        return F.try_to_timestamp(text, F.lit(columns.date_format))
    return F.when(text.rlike(_DATE_SHAPE), text.try_cast("timestamp"))


def _reason(columns: Columns) -> Column:
    line = F.col(schema.LINE)
    return (
        F.when(F.octet_length(line) > LONGEST_LINE, TOO_LONG)
        .when(~F.is_valid_utf8(line), NOT_UTF8)
        .when(F.col(_CORRUPT).isNotNull(), MALFORMED)
        .when(line.contains('"') & _last_field_open(), OPEN_QUOTE)
        .when(F.coalesce(F.col(_DATE_TEXT), F.lit("")) == "", NO_DATE)
        .when(F.col(schema.INVOICE_DATE).isNull(), not_a_date(columns))
        .when(_not_finite(schema.UNIT_PRICE) | _not_finite(schema.CUSTOMER_ID), NOT_FINITE)
        .when(F.abs(schema.UNIT_PRICE) >= PRICE_LIMIT, OUT_OF_RANGE)
    )


def _detail() -> Column:
    """Say what is malformed: fields are counted by the commas outside quotes."""
    line = F.col(schema.LINE)
    bare = F.regexp_replace(line, _QUOTED, "")
    commas = F.length(bare) - F.length(F.replace(bare, F.lit(",")))
    detail = (
        F.when(_last_field_open(), OPEN_QUOTE)
        .when(commas < len(schema.COLUMNS) - 1, MISSING_FIELD)
        .when(commas > len(schema.COLUMNS) - 1, EXTRA_FIELD)
    )
    texts = _from_csv(line, _TEXTS)
    for name, reason in WRONG_TYPE.items():
        detail = detail.when(F.col(name).isNull() & texts[name].isNotNull(), reason)
    return detail.otherwise(MALFORMED)


def _last_field_open() -> Column:
    """Tell a last field whose quote never closes, which the CSV parser lets pass."""
    line = F.col(schema.LINE)
    quotes = F.octet_length(line) - F.octet_length(F.replace(line, F.lit('"')))
    return (quotes % 2 == 1) & line.rlike(_LAST_FIELD_OPEN)


def _not_finite(column: str) -> Column:
    return F.coalesce(F.isnan(column) | (F.abs(column) == float("inf")), F.lit(False))
