"""A scorer's lines by its records: each line once, whatever was killed, compacted or replaced."""

from collections.abc import Sequence
from functools import reduce
from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, StructField, StructType

from retail_clusters import schema
from retail_clusters.infra import storage
from retail_clusters.infra.locations import join, literal, name
from retail_clusters.serving.output import SCORED_LINE, Output
from retail_clusters.serving.records import Compacted, Record, read_compacted, read_record

_BATCH: Final = StructField(schema.BATCH_ID, IntegerType())


def read_scored(spark: SparkSession, output: str) -> DataFrame:
    """Return the scored lines of every committed batch, with `batch_id`: each line once.

    Follows the records, so batches under way are not in it, compacted ones are, and lines of a file that
    was scored anew are those of its last batch. A frame stands for the moment of the call; files that a
    `compact` has removed since make it fail, so read again then.
    """
    place = Output(output)
    compacted = read_compacted(place)
    records = [read_record(place, batch_id) for batch_id in place.committed() if batch_id > compacted.until]
    return read_batches(spark, place, records, compacted)


def read_quarantine(spark: SparkSession, output: str) -> DataFrame:
    """Return the quarantined lines of every committed batch, with `batch_id`, as `read_scored` does."""
    place = Output(output)
    records = [read_record(place, batch_id) for batch_id in place.committed()]
    there = {name(folder) for folder in storage.list_folders(place.quarantine)}
    folders = [place.quarantine_batch(record.batch_id) for record in records]
    found = _read(
        spark, place.quarantine, [each for each in folders if name(each) in there], schema.QUARANTINED_LINE
    )
    return _without(found, _replaced(records))


def read_batches(
    spark: SparkSession, place: Output, records: Sequence[Record], compacted: Compacted
) -> DataFrame:
    """Return the lines of some batches and of what has been compacted, without those that were replaced."""
    folders = [place.scored_batch(record.batch_id) for record in records if record.rows_scored]
    lines = _read(spark, place.scored, folders, SCORED_LINE)
    if compacted.folders:
        paths = [literal(join(place.compacted, folder)) for folder in compacted.folders]
        whole = spark.read.schema(StructType([*SCORED_LINE, _BATCH])).parquet(*paths)
        lines = lines.unionByName(whole)
    return _without(lines, [*compacted.replaced, *_replaced(records)])


def _read(spark: SparkSession, base: str, folders: Sequence[str], lines: StructType) -> DataFrame:
    whole = StructType([*lines, _BATCH])
    if not folders:
        return spark.createDataFrame([], whole)
    reader = spark.read.schema(whole).option("basePath", literal(base))
    return reader.parquet(*(literal(folder) for folder in folders))


def _without(lines: DataFrame, replaced: Sequence[tuple[int, str]]) -> DataFrame:
    if not replaced:
        return lines
    gone = [
        (F.col(schema.BATCH_ID) == batch) & (F.col(schema.SOURCE_FILE) == file) for batch, file in replaced
    ]
    return lines.where(~reduce(lambda one, other: one | other, gone))


def _replaced(records: Sequence[Record]) -> list[tuple[int, str]]:
    return [pair for record in records for pair in record.replaces]
