"""A scorer's lines by its records: each line once, whatever was killed, or scored anew."""

from collections.abc import Sequence
from functools import reduce
from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, StructField, StructType

from retail_clusters import schema
from retail_clusters.errors import InputError
from retail_clusters.infra import storage
from retail_clusters.infra.locations import for_display, join, literal
from retail_clusters.serving.commits import Output, Record, batch_folder, read_record

_BATCH: Final = StructField(schema.BATCH_ID, IntegerType())
_SCORED_LINE: Final = StructType(
    [
        *schema.INVOICE_LINE,
        StructField(schema.PREDICTION, IntegerType()),
        StructField(schema.MODEL_VERSION, IntegerType()),
        schema.QUARANTINED_LINE[schema.SOURCE_FILE],
        _BATCH,
    ]
)


def read_scored(spark: SparkSession, output: str) -> DataFrame:
    """Return the scored lines of every committed batch, with `batch_id`: each line once.

    Follows the records: files that none names are not in it, and lines of a file that was scored anew are
    those of its last batch. A frame stands for the moment of the call.

    Raises:
        InputError: an earlier release has compacted the output, and its lines lie elsewhere.
    """
    place = Output(output)
    if storage.exists(join(place.commits, "compacted.json")):
        raise InputError(
            f"an output is read by its batches, but an earlier release has compacted {for_display(output)}: read the "
            "folder compacted as Parquet, and score later files to a new output"
        )
    records = _records(place)
    paths = [
        path for each in records for path in _paths(place.scored, each, each.scored_files, each.rows_scored)
    ]
    return _read(spark, place.scored, paths, _SCORED_LINE, records)


def read_quarantine(spark: SparkSession, output: str) -> DataFrame:
    """Return the quarantined lines of every committed batch, with `batch_id`, as `read_scored` does."""
    place = Output(output)
    records = _records(place)
    paths = [path for each in records for path in _paths(place.quarantine, each, each.quarantine_files)]
    return _read(spark, place.quarantine, paths, StructType([*schema.QUARANTINED_LINE, _BATCH]), records)


def _records(place: Output) -> list[Record]:
    return [read_record(place, batch_id) for batch_id in place.committed()]


def _paths(lines: str, record: Record, names: Sequence[str] | None, rows: int | None = None) -> list[str]:
    """Name a batch's files, or its whole folder where an earlier release wrote it."""
    folder = batch_folder(lines, record.batch_id)
    if names is not None:
        return [literal(join(folder, name)) for name in names]
    return [literal(folder)] if rows or (rows is None and storage.is_folder(folder)) else []


def _read(
    spark: SparkSession, base: str, paths: Sequence[str], columns: StructType, records: Sequence[Record]
) -> DataFrame:
    """Read files, without the lines that a later batch stands for."""
    if not paths:
        return spark.createDataFrame([], columns)
    lines = spark.read.schema(columns).option("basePath", literal(base)).parquet(*paths)
    replaced = [
        (F.col(schema.BATCH_ID) == batch) & (F.col(schema.SOURCE_FILE) == file)
        for record in records
        for batch, file in record.replaces
    ]
    return lines.where(~reduce(lambda one, other: one | other, replaced)) if replaced else lines
