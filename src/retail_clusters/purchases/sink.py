"""Purchases in an output folder: the one table of a batch, or what each micro-batch adds.

OUTPUT/purchases, OUTPUT/purchases.csv   of a batch; of the appending stream OUTPUT/purchases/batch_id=N
OUTPUT/quarantine                        lines that are not counted, as they came, and why
OUTPUT/late/batch_id=N                   lines that came after the appending stream had closed their day
"""

import shutil
from collections.abc import Mapping
from typing import Final

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from retail_clusters import schema
from retail_clusters.data import csv_files, invoices
from retail_clusters.errors import InputError
from retail_clusters.infra import locations, storage
from retail_clusters.infra.locations import join
from retail_clusters.infra.staging import staged_folder
from retail_clusters.purchases.account import Account, write_parquet
from retail_clusters.purchases.customer_days import with_windows
from retail_clusters.purchases.spend import COLUMNS, DAY, WINDOW
from retail_clusters.settings import Columns

PURCHASES: Final = "purchases"
LATE: Final = "late"
LOCK: Final = ".purchases.lock"
CHECKPOINT: Final = "checkpoint"
LATE_LINE: Final = StructType(
    [schema.QUARANTINED_LINE[schema.LINE], schema.QUARANTINED_LINE[schema.SOURCE_FILE]]
)

_QUARANTINED: Final = pa.schema([(name, pa.string()) for name in schema.QUARANTINED_LINE.names])


def check_table_place(output: str) -> None:
    """Refuse to put a table where a stream appends.

    Raises:
        InputError: OUTPUT is that of a stream.
    """
    if Account(output).read_state() is not None:
        raise InputError(
            f"output must not be that of a stream, but {locations.for_display(output)} is; choose another folder"
        )


def check_stream_place(output: str) -> None:
    """Refuse to append where a table is.

    Raises:
        InputError: OUTPUT is that of a batch.
    """
    if storage.exists(join(output, f"{PURCHASES}.csv")):
        raise InputError(
            f"output must be new or that of the same stream, but {locations.for_display(output)} holds the "
            "purchases of a batch; choose another folder"
        )


def write_table(result: DataFrame, output: str) -> DataFrame:
    """Put OUTPUT/purchases (Parquet) and OUTPUT/purchases.csv in place of earlier ones; return the table."""
    written = write_parquet_table(result, join(output, PURCHASES))
    day = F.to_date(F.col(WINDOW)["start"]).alias(DAY)
    others = [name for name in COLUMNS if name not in {schema.CUSTOMER_ID, WINDOW}]
    rows = written.select(schema.CUSTOMER_ID, day, *others)
    write_csv(
        rows.coalesce(1).sortWithinPartitions(DAY, schema.CUSTOMER_ID), join(output, f"{PURCHASES}.csv")
    )
    return written


def write_parquet_table(result: DataFrame, folder: str) -> DataFrame:
    """Put a folder of Parquet in place of an earlier one, which stays until the new one is whole."""
    storage.make_folder(locations.parent(folder))
    with staged_folder(folder) as staged:
        result.write.mode("overwrite").parquet(locations.to_uri(staged))
    return read_folder(result.sparkSession, folder)


def write_csv(rows: DataFrame, file: str) -> None:
    """Put one CSV file with a header in place of an earlier one, from rows in one partition."""
    draft = storage.draft_beside(file)
    try:
        rows.write.option("header", True).csv(locations.to_uri(draft))
        (part,) = storage.list_files(draft, suffixes=[".csv"])
        with storage.open_read(part.location) as source, storage.open_write(file) as target:
            shutil.copyfileobj(source, target)
    finally:
        storage.remove(draft)


def read_folder(spark: SparkSession, *folders: str, shape: StructType | None = None) -> DataFrame:
    """Read the Parquet of folders; of none, an empty frame of `shape`."""
    if not folders:
        return spark.createDataFrame([], shape or StructType())
    found = spark.read.option("recursiveFileLookup", "true").parquet(*map(locations.to_uri, folders))
    return found.select(*shape.names) if shape else found


def folders_between(output: str, name: str, *, after: int, last: int) -> list[str]:
    """List what batches after one, up to another, have added to OUTPUT/name, in their order."""
    return [folder for batch, folder in _by_batch(output, name) if after < batch <= last]


def write_days(output: str, batch: int, days: pa.Table) -> None:
    """Add customer-days of closed days to OUTPUT/purchases; written again, they replace themselves."""
    folder = _folder(output, PURCHASES, batch)
    storage.make_folder(folder)
    write_parquet(join(folder, "part-0.parquet"), with_windows(days))


def remove_after(output: str, batch: int) -> None:
    """Remove the customer-days that a killed process wrote and did not live to note down."""
    for number, folder in _by_batch(output, PURCHASES):
        if number > batch:
            storage.remove(folder)


def write_late(output: str, batch: int, lines: DataFrame | None) -> None:
    """Keep the lines of a batch that came too late, or none, in place of what is there."""
    folder = _folder(output, LATE, batch)
    if lines is None:
        storage.remove(folder)
        return
    storage.make_folder(locations.parent(folder))
    with staged_folder(folder) as staged:
        lines.select(*LATE_LINE.names).write.mode("overwrite").parquet(locations.to_uri(staged))


def write_quarantine(
    output: str,
    *,
    parsed: DataFrame | None,
    unreadable: Mapping[str, str],
    columns: Columns,
    batch: int | None = None,
) -> int:
    """Keep what is not counted, in place of what is there; return how many lines unreadable files hold.

    Takes parsed lines, or None where all are good, and files that cannot be read at all, with the reason.
    """
    folder = join(output, schema.QUARANTINE) if batch is None else _folder(output, schema.QUARANTINE, batch)
    if parsed is None and not unreadable:
        storage.remove(folder)
        return 0
    storage.make_folder(locations.parent(folder))
    with staged_folder(folder) as staged:
        if parsed is not None:
            invoices.quarantined(parsed).write.mode("append").parquet(locations.to_uri(staged))
        rows = [
            row
            for file, reason in unreadable.items()
            for row in csv_files.quarantine_rows(file, reason=reason, columns=columns)
        ]
        if rows:
            write_parquet(join(staged, "files.parquet"), pa.Table.from_pylist(rows, schema=_QUARANTINED))
    return sum(row[schema.LINE] is not None for row in rows)


def _folder(output: str, name: str, batch: int) -> str:
    return join(output, name, f"{schema.BATCH_ID}={batch}")


def _by_batch(output: str, name: str) -> list[tuple[int, str]]:
    if not storage.is_folder(join(output, name)):
        return []
    folders = storage.list_folders(join(output, name))
    numbers = [(locations.name(folder).partition("=")[2], folder) for folder in folders]
    return sorted((int(number), folder) for number, folder in numbers if number.isdigit())
