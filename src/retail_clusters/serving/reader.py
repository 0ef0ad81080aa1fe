"""A scorer's lines by its records: each line once, whatever was killed, or scored anew."""

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, IntegerType, StringType, StructField, StructType

from retail_clusters import schema
from retail_clusters.features.interface import DISTANCE, MARGIN
from retail_clusters.infra.locations import join, literal
from retail_clusters.serving.commits import (
    LINES,
    QUARANTINE,
    SCORED,
    Record,
    batch_folder,
    committed,
    read_record,
)


def read_scored(spark: SparkSession, output: str, *, distance: bool = False) -> DataFrame:
    """Return the scored lines of every committed batch, with `batch_id`: each line once.

    With `distance`, `distance` and `margin`, too, null in batches that were written without.

    Follows the records: files that none names are not in it, and lines of a file that was scored anew are
    those of its last batch. A frame stands for the moment of the call.
    """
    records = _records(output)
    extra = dict.fromkeys(name for record in records for name in record.extra)
    added = [StructField(name, IntegerType()) for name in (schema.PREDICTION, schema.MODEL_VERSION)]
    added += [StructField(name, DoubleType()) for name in (DISTANCE, MARGIN) if distance]
    source = schema.QUARANTINED_LINE[schema.SOURCE_FILE]
    others = [StructField(name, StringType()) for name in extra]
    return _read(spark, output, SCORED, StructType([*schema.INVOICE_LINE, *others, *added, source]), records)


def farthest(spark: SparkSession, output: str, *, lines: int = 100) -> DataFrame:
    """Return the scored lines that are farthest from the centre of their cluster, the farthest first."""
    scored = read_scored(spark, output, distance=True).where(F.col(DISTANCE).isNotNull())
    tied = (schema.INVOICE_NO, schema.STOCK_CODE, schema.INVOICE_DATE)
    return scored.orderBy(F.desc(DISTANCE), *tied).limit(lines)


def read_lines(spark: SparkSession, output: str) -> DataFrame:
    """Return the good lines that segments are made of, with `batch_id`, as `read_scored` does."""
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
    paths = [
        literal(join(batch_folder(output, kind, record.batch_id), name))
        for record in records
        for name in record.written.get(kind, ())
    ]
    if not paths:
        return spark.createDataFrame([], columns)
    lines = spark.read.schema(columns).option("basePath", literal(join(output, kind))).parquet(*paths)
    replaced = [
        (F.col(schema.BATCH_ID) == batch) & (F.col(schema.SOURCE_FILE) == file)
        for record in records
        for batch, file in record.replaces
    ]
    return lines.where(~reduce(lambda one, other: one | other, replaced)) if replaced else lines
