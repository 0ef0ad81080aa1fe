"""The prepared-table cache: weighted rows as Parquet, found again by what they were made from."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from retail_clusters import schema

CACHE: Final = Path("data", "prepared")
_MANIFEST: Final = "manifest.json"


@dataclass(frozen=True)
class PreparedTable:
    """Where the weighted rows of a data set are, and what is in them."""

    folder: str
    run_id: str
    data: str
    data_digest: str
    lines: Mapping[str, int]
    rows: Mapping[str, int]
    quarantined: int

    @classmethod
    def named(cls, folder: str, run_id: str, data: str) -> "PreparedTable":
        """Start the record of a table that is still to be made."""
        return cls(folder, run_id, data, data_digest="", lines={}, rows={}, quarantined=0)

    @property
    def total_lines(self) -> int:
        """Count the invoice lines that came in."""
        return sum(self.lines.values()) + self.quarantined


def cache_key(*parts: object) -> str:
    """Hash everything that the rows depend on."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def find(key: str, *, cache: Path = CACHE) -> PreparedTable | None:
    """Look up a prepared table; None when it was never made, or not to its end."""
    manifest = cache / key / _MANIFEST
    if not manifest.is_file():
        return None
    return PreparedTable(**json.loads(manifest.read_text(encoding="utf-8")))


def store(table: PreparedTable, *, reduced: DataFrame, quarantine: DataFrame, cache: Path = CACHE) -> None:
    """Write rows and quarantine, then put the folder in place in one step.

    A process that dies in here leaves no table, only a folder that nobody reads.
    """
    cache.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=cache))
    try:
        reduced.write.parquet(str((making / "rows").absolute()))
        if table.quarantined:
            quarantine.write.parquet(str((making / schema.QUARANTINE).absolute()))
        (making / _MANIFEST).write_text(json.dumps(asdict(table), indent=2), encoding="utf-8")
        shutil.rmtree(cache / table.folder, ignore_errors=True)
        making.replace(cache / table.folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def read_rows(spark: SparkSession, table: PreparedTable, *, cache: Path = CACHE) -> DataFrame:
    """Read the reduced rows of a prepared table."""
    columns = StructType([StructField(schema.SPLIT, StringType()), *schema.WEIGHTED_ROW])
    rows = spark.read.schema(columns).parquet(str((cache / table.folder / "rows").absolute()))
    return rows.where(F.col(schema.SPLIT) != schema.QUARANTINE)
