"""A scorer's lines by its records: each line once, whatever was killed, or scored anew."""

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, IntegerType, StringType, StructField, StructType

from retail_clusters import schema
from retail_clusters.errors import InputError
from retail_clusters.infra import storage
from retail_clusters.infra.locations import for_display, join, literal
from retail_clusters.serving.commits import (
    COMMITS,
    LINES,
    QUARANTINE,
    SCORED,
    Record,
    batch_folder,
    committed,
    read_record,
)


def read_scored(spark: SparkSession, output: str) -> DataFrame:
    """Return the scored lines of every committed batch, with `batch_id`: each line once.

    Follows the records: files that none names are not in it, and lines of a file that was scored anew are
    those of its last batch. A frame stands for the moment of the call.

    Raises:
        InputError: an earlier release has compacted the output, and its lines lie elsewhere.
    """
    if storage.exists(join(output, COMMITS, "compacted.json")):
        raise InputError(
            f"an output is read by its batches, but an earlier release has compacted {for_display(output)}: read the "
            "folder compacted as Parquet, and score later files to a new output"
        )
    records = _records(output)
    extra = dict.fromkeys(name for record in records for name in record.extra)
    added = [StructField(name, IntegerType()) for name in (schema.PREDICTION, schema.MODEL_VERSION)]
    source = schema.QUARANTINED_LINE[schema.SOURCE_FILE]
    others = [StructField(name, StringType()) for name in extra]
    return _read(spark, output, SCORED, StructType([*schema.INVOICE_LINE, *others, *added, source]), records)


def read_lines(spark: SparkSession, output: str) -> DataFrame:
    """Return the good lines that segments are made of, as `read_scored` does."""
    source = schema.QUARANTINED_LINE[schema.SOURCE_FILE]
    return _read(spark, output, LINES, StructType([*schema.INVOICE_LINE, source]), _records(output))


def read_quarantine(spark: SparkSession, output: str) -> DataFrame:
    """Return the quarantined lines of every committed batch, with `batch_id`, as `read_scored` does."""
    return _read(spark, output, QUARANTINE, schema.QUARANTINED_LINE, _records(output))


def _records(output: str) -> list[Record]:
    return [read_record(output, batch_id) for batch_id in committed(output)]


def _read(
    spark: SparkSession, output: str, kind: str, line: StructType, records: Sequence[Record]
) -> DataFrame:
    columns = StructType([*line, StructField(schema.BATCH_ID, IntegerType())])
    earlier = [record for record in records if record.written is None]
    of_now = [record for record in records if record.written is not None]
    lines = _read_files(spark, output, kind, columns, of_now)
    if earlier:
        lines = lines.union(_with_names(_read_files(spark, output, kind, _with_numbers(columns), earlier)))
    replaced = [
        (F.col(schema.BATCH_ID) == batch) & (F.col(schema.SOURCE_FILE) == file)
        for record in records
        for batch, file in record.replaces
    ]
    return lines.where(~reduce(lambda one, other: one | other, replaced)) if replaced else lines


def _read_files(
    spark: SparkSession, output: str, kind: str, columns: StructType, records: Sequence[Record]
) -> DataFrame:
    paths = [path for record in records for path in _paths(output, kind, record)]
    if not paths:
        return spark.createDataFrame([], columns)
    return spark.read.schema(columns).option("basePath", literal(join(output, kind))).parquet(*paths)


def _with_numbers(columns: StructType) -> StructType:
    """Return the columns as an earlier release wrote them: the customer is a number."""
    number = StructField(schema.CUSTOMER_ID, DoubleType())
    return StructType([number if field.name == schema.CUSTOMER_ID else field for field in columns])


def _with_names(lines: DataFrame) -> DataFrame:
    """Write the number of a customer as the name that it is by now."""
    if schema.CUSTOMER_ID not in lines.columns:
        return lines
    number = F.col(schema.CUSTOMER_ID)
    whole = number.try_cast("decimal(20,0)")
    name = F.when(whole == number, whole.cast("string")).otherwise(number.cast("string"))
    return lines.withColumn(schema.CUSTOMER_ID, name)


def _paths(output: str, kind: str, record: Record) -> list[str]:
    """Name a batch's files, or its whole folder where an earlier release wrote it."""
    folder = batch_folder(output, kind, record.batch_id)
    if record.written is not None:
        return [literal(join(folder, name)) for name in record.written.get(kind, ())]
    return [literal(folder)] if storage.is_folder(folder) else []
