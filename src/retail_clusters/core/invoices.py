"""The one definition of a good invoice line, for files at rest and files that arrive."""

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_clusters import schema

_CORRUPT: Final = "_corrupt_record"
_CSV_OPTIONS: Final = {
    "mode": "PERMISSIVE",
    "escape": '"',
    "timestampFormat": schema.DATE_FORMAT,
    "columnNameOfCorruptRecord": _CORRUPT,
}
_CSV_COLUMNS: Final = ", ".join(
    f"`{field.name}` {field.dataType.simpleString()}"
    for field in (*schema.INVOICE_LINE, schema.QUARANTINED_LINE[schema.LINE])
).replace(f"`{schema.LINE}`", f"`{_CORRUPT}`")

MALFORMED: Final = "a field has the wrong type, is missing or is one too many, or a quote is left open"
NO_DATE: Final = "InvoiceDate is empty"
NOT_FINITE: Final = "UnitPrice or CustomerID is not a finite number"
NOT_UTF8: Final = "the text is not UTF-8"


def parse(lines: DataFrame) -> DataFrame:
    """Split raw CSV lines into the columns of an invoice line, and say what is wrong with each.

    Takes `line` and `source_file`; adds the eight invoice columns and `reason`, null for a good line.
    A missing quantity, price or customer is good: the feature pipeline fills it with 0.
    """
    parsed = lines.withColumn("_fields", F.from_csv(schema.LINE, _CSV_COLUMNS, _CSV_OPTIONS))
    fields = [F.col("_fields")[name].alias(name) for name in (*schema.COLUMNS, _CORRUPT)]
    return parsed.select(schema.LINE, schema.SOURCE_FILE, *fields).select(
        *schema.COLUMNS, schema.LINE, schema.SOURCE_FILE, _reason().alias(schema.REASON)
    )


def good(parsed: DataFrame) -> DataFrame:
    """Keep the good lines, as invoice lines."""
    return parsed.where(F.col(schema.REASON).isNull()).select(*schema.COLUMNS)


def quarantined(parsed: DataFrame) -> DataFrame:
    """Keep the other lines, as they came, with the reason."""
    return parsed.where(F.col(schema.REASON).isNotNull()).select(*schema.QUARANTINED_LINE.names)


def _reason() -> Column:
    return (
        F.when(F.col(schema.LINE).contains("\ufffd"), NOT_UTF8)
        .when(F.col(_CORRUPT).isNotNull(), MALFORMED)
        .when(F.col(schema.INVOICE_DATE).isNull(), NO_DATE)
        .when(_not_finite(schema.UNIT_PRICE) | _not_finite(schema.CUSTOMER_ID), NOT_FINITE)
    )


def _not_finite(column: str) -> Column:
    return F.coalesce(F.isnan(column) | (F.abs(column) == float("inf")), F.lit(False))
