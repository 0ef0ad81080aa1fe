"""Column names and the shapes of the frames that cross module borders."""

from typing import Final

from pyspark.sql.types import (
    ArrayType,
    DataType,
    DoubleType,
    IntegerType,
    LongType,
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

DAY_OF_WEEK: Final = "day_of_week"
WEIGHT: Final = "weight"
CANCELLATIONS: Final = "cancellations"
DAYS: Final = "days"
DAY: Final = "day"
LINES: Final = "lines"
FEATURES: Final = "features"
PREDICTION: Final = "prediction"
MODEL_VERSION: Final = "model_version"
BATCH_ID: Final = "batch_id"

SPLIT: Final = "split"
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

#: What makes two lines one weighted row, and how a person is told of it.
_KEY: Final = _struct(UnitPrice=DoubleType(), Quantity=IntegerType(), day_of_week=StringType())
ROW_KEY: Final = tuple(_KEY.names)
ROW_KEY_IN_WORDS: Final = "price, quantity and weekday"

#: A distinct key, the invoice lines it stands for, and how many of them cancel.
WEIGHTED_ROW: Final = StructType([*_KEY, *_struct(weight=LongType(), cancellations=LongType())])

#: Days are dealt into so many groups, for refits on days drawn with replacement.
DAY_GROUPS: Final = 20

#: The days (UTC, since 1970) of a training row's lines, and how many are of each; their sum is `weight`.
DAYS_FIELD: Final = StructField(DAYS, ArrayType(_struct(day=IntegerType(), lines=LongType())))

#: A line that could not be used: its text as it came, why, and the file it came in.
QUARANTINED_LINE: Final = _struct(line=StringType(), reason=StringType(), source_file=StringType())
