"""Column names and the shapes of the frames that cross module borders."""

from typing import Final

from pyspark.sql.types import (
    DataType,
    DoubleType,
    IntegerType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

INVOICE_NO: Final = "InvoiceNo"
STOCK_CODE: Final = "StockCode"
DESCRIPTION: Final = "Description"
QUANTITY: Final = "Quantity"
INVOICE_DATE: Final = "InvoiceDate"
UNIT_PRICE: Final = "UnitPrice"
CUSTOMER_ID: Final = "CustomerID"
COUNTRY: Final = "Country"

LINE: Final = "line"
REASON: Final = "reason"
SOURCE_FILE: Final = "source_file"

CANCELLATIONS: Final = "cancellations"
DAY: Final = "day"
LINES: Final = "lines"
FEATURES: Final = "features"
PREDICTION: Final = "prediction"
MODEL_VERSION: Final = "model_version"
BATCH_ID: Final = "batch_id"

TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"
SPLITS: Final = (TRAIN, VALIDATION, TEST)
QUARANTINE: Final = "quarantine"

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _struct(**columns: DataType) -> StructType:
    return StructType([StructField(name, of) for name, of in columns.items()])


#: One invoice line. Every column may be null; numbers that are names are text.
INVOICE_LINE: Final = _struct(
    InvoiceNo=StringType(),
    StockCode=StringType(),
    Description=StringType(),
    Quantity=IntegerType(),
    InvoiceDate=TimestampType(),
    UnitPrice=DoubleType(),
    CustomerID=StringType(),
    Country=StringType(),
)

COLUMNS: Final = tuple(INVOICE_LINE.names)

#: A line that could not be used: its text as it came, why, and the file it came in.
QUARANTINED_LINE: Final = _struct(line=StringType(), reason=StringType(), source_file=StringType())
