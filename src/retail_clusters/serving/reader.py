"""A scorer's lines by its records: each line once, whatever was killed, or scored anew."""

from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, StructField, StructType

from retail_clusters import schema
from retail_clusters.errors import InputError
from retail_clusters.infra import storage
from retail_clusters.infra.locations import for_display, join, literal
from retail_clusters.serving.commits import (
    COMMITS,
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
    added = [StructField(name, IntegerType()) for name in (schema.PREDICTION, schema.MODEL_VERSION)]
    source = schema.QUARANTINED_LINE[schema.SOURCE_FILE]
    return _read(spark, output, SCORED, StructType([*schema.INVOICE_LINE, *added, source]))


def read_quarantine(spark: SparkSession, output: str) -> DataFrame:
    """Return the quarantined lines of every committed batch, with `batch_id`, as `read_scored` does."""
    return _read(spark, output, QUARANTINE, schema.QUARANTINED_LINE)


def _read(spark: SparkSession, output: str, kind: str, line: StructType) -> DataFrame:
    columns = StructType([*line, StructField(schema.BATCH_ID, IntegerType())])
    records = [read_record(output, batch_id) for batch_id in committed(output)]
    paths = [path for record in records for path in _paths(output, kind, record)]
    if not paths:
        return spark.createDataFrame([], columns)
    lines = spark.read.schema(columns).option("basePath", literal(join(output, kind))).parquet(*paths)
    replaced = [
        (F.col(schema.BATCH_ID) == batch) & (F.col(schema.SOURCE_FILE) == file)
        for record in records
        for batch, file in record.replaces
    ]
    return lines.where(~reduce(lambda one, other: one | other, replaced)) if replaced else lines


def _paths(output: str, kind: str, record: Record) -> list[str]:
    """Name a batch's files, or its whole folder where an earlier release wrote it."""
    folder = batch_folder(output, kind, record.batch_id)
    if record.written is not None:
        return [literal(join(folder, name)) for name in record.written[kind]]
    return [literal(folder)] if storage.is_folder(folder) else []
