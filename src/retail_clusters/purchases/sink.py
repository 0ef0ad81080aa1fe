"""Purchases on disk: one table of a batch, or a folder for each micro-batch, written exactly once."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from retail_clusters import schema
from retail_clusters.errors import InputError

PURCHASES: Final = "purchases"
LATE: Final = "late"
_RECORDS: Final = "batches"
_QUERY: Final = "query_id"


@dataclass(frozen=True)
class BatchRecord:
    """What came in with one micro-batch, and what went out. Lines = good + late + quarantined."""

    batch_id: int
    files: int
    lines: int
    late: int
    quarantined: int
    customer_days: int
    watermark: str


def write_table(result: DataFrame, output: Path) -> None:
    """Put OUTPUT/purchases (Parquet) and OUTPUT/purchases.csv in place of those of an earlier run.

    Raises:
        InputError: OUTPUT holds what a stream wrote, or cannot be written.
    """
    if (output / _RECORDS).exists():
        raise InputError(f"output must not be that of a stream, but {output} is; choose another folder")
    making = _empty(output / f".{PURCHASES}")
    result.write.parquet(str((making / PURCHASES).absolute()))
    written = result.sparkSession.read.parquet(str((making / PURCHASES).absolute()))
    _write_csv(written, making / "csv").replace(making / f"{PURCHASES}.csv")
    shutil.rmtree(making / "csv")
    shutil.rmtree(output / PURCHASES, ignore_errors=True)
    for name in (PURCHASES, f"{PURCHASES}.csv"):
        (making / name).replace(output / name)
    making.rmdir()


def check_resumable(output: Path, checkpoint: Path, *, query: str | None, committed: bool) -> None:
    """Refuse an output and a checkpoint that do not belong together.

    Raises:
        InputError: one of them is of another stream, or one is there without the other.
    """
    note = output / _QUERY
    written = note.read_text(encoding="utf-8").strip() if note.is_file() else None
    if written is None and (output / PURCHASES).exists():
        raise InputError(
            f"output must be new or that of the same stream, but {output} holds the purchases of a batch; "
            "choose another folder"
        )
    if written != query and (written or committed):
        raise InputError(
            f"output and checkpoint must be of one stream, but {output} is of {written or 'none'} and "
            f"{checkpoint} of {query or 'none'}; name the two that belong together, or two new folders"
        )


def bind(output: Path, query: str) -> None:
    """Note down the stream that writes to OUTPUT."""
    output.mkdir(parents=True, exist_ok=True)
    _write_text(output / _QUERY, query)


def read_table(spark: SparkSession, output: Path) -> DataFrame:
    """Read what `write_table` has written."""
    return spark.read.parquet(str((output / PURCHASES).absolute()))


def write_batch(output: Path, batch: int, name: str, rows: DataFrame) -> int:
    """Write rows to OUTPUT/name/batch_id=N, whole or not at all, and count them; no rows, no folder.

    Written again, a batch replaces itself: that, and the checkpoint that replays the same files, is
    what makes the sink exactly-once.
    """
    making = _empty(output / f".{name}")
    rows.write.mode("overwrite").parquet(str(making.absolute()))
    count: int = sum(pq.read_metadata(part).num_rows for part in making.glob("*.parquet"))
    folder = output / name / f"{schema.BATCH_ID}={batch}"
    shutil.rmtree(folder, ignore_errors=True)
    if count:
        folder.parent.mkdir(exist_ok=True)
        making.replace(folder)
    shutil.rmtree(making, ignore_errors=True)
    return count


def write_record(output: Path, record: BatchRecord) -> None:
    """Note down what a batch did."""
    (output / _RECORDS).mkdir(exist_ok=True)
    _write_text(output / _RECORDS / f"{record.batch_id}.json", json.dumps(asdict(record)))


def read_records(output: Path, *, last: int | None) -> list[BatchRecord]:
    """Read the records of the committed batches, up to `last`, in order."""
    files = sorted((output / _RECORDS).glob("*.json"), key=lambda file: int(file.stem))
    records = [BatchRecord(**json.loads(file.read_text(encoding="utf-8"))) for file in files]
    return [record for record in records if last is not None and record.batch_id <= last]


def read_batches(
    spark: SparkSession, output: Path, name: str, *, shape: StructType, last: int | None
) -> DataFrame:
    """Read what the committed batches wrote to OUTPUT/name."""
    if last is None or not (output / name).is_dir():
        return spark.createDataFrame([], shape)
    rows = spark.read.parquet(str((output / name).absolute()))
    return rows.where(F.col(schema.BATCH_ID) <= last).select(*shape.names)


def read_open(spark: SparkSession, checkpoint: Path, *, shape: StructType) -> DataFrame:
    """Read the customer-days that the watermark still keeps back, from the stream's state store.

    The store's value holds the sums in the order of `shape`, the decimal one followed by a flag; two of
    its fields share a name, so they are named anew by place.
    """
    total, *counts = [f"{field.name}: {field.dataType.simpleString()}" for field in shape.fields[2:]]
    value = F.col("value").cast(f"struct<{', '.join([total, '_is_empty: boolean', *counts])}>")
    state = spark.read.format("statestore").load(str(checkpoint.absolute()))
    return state.select("key.*", value.alias("_value")).select(
        *shape.names[:2], *(F.col("_value")[name].alias(name) for name in shape.names[2:])
    )


def _write_csv(result: DataFrame, folder: Path) -> Path:
    """Write one CSV file, by day and customer; the window becomes its `day`."""
    day = F.to_date(F.col("window")["start"]).alias("day")
    others = [name for name in result.columns if name not in (schema.CUSTOMER_ID, "window")]
    rows = result.select(schema.CUSTOMER_ID, day, *others)
    ordered = rows.coalesce(1).sortWithinPartitions("day", schema.CUSTOMER_ID)
    ordered.write.option("header", True).csv(str(folder.absolute()))
    return next(folder.glob("*.csv"))


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"output must be writable, but {folder.parent} gave: {error.strerror}") from error
    return folder


def _write_text(file: Path, text: str) -> None:
    beside = file.with_name(f".{file.name}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)
