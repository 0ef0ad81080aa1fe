"""The prepared-table cache: weighted rows as Parquet, found again by what they were made from.

A table is `CACHE/KEY/ID/` and counts once `CACHE/KEY/manifest.json` names it. Only one process can write that
file, so the first of two that make the same table wins, and no folder is ever renamed or replaced.
"""

import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Final

import click
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from retail_clusters import schema
from retail_clusters.data.weighted_rows import PREPARATION_VERSION
from retail_clusters.errors import InputError, RetailClustersError
from retail_clusters.infra import locations, storage
from retail_clusters.infra.locations import join

DEFAULT_CACHE: Final = "data/prepared"
#: A year of weekly trainings would keep 52; twenty are what a person compares, at some 10 MB each.
TABLES_KEPT: Final = 20
#: In seconds. A job that reads a table marks it; none takes longer.
IN_USE: Final = 24 * 3600.0

_MANIFEST: Final = "manifest.json"
_USED: Final = "used"
_ROWS: Final = "rows"


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
    version: int = PREPARATION_VERSION

    @classmethod
    def named(cls, key: str, run_id: str, data: str) -> "PreparedTable":
        """Start the record of a table that is still to be made."""
        folder = join(key, uuid.uuid4().hex[:12])
        return cls(folder, run_id, data, data_digest="", lines={}, rows={}, quarantined=0)

    @property
    def key(self) -> str:
        """Return the hash of what the table was made from."""
        return self.folder.partition("/")[0]

    @property
    def total_lines(self) -> int:
        """Count the invoice lines that came in."""
        return sum(self.lines.values()) + self.quarantined


def cache() -> str:
    """Return the location of the cache: `RETAIL_CLUSTERS_PREPARED`, else a folder of the project."""
    return os.environ.get("RETAIL_CLUSTERS_PREPARED") or DEFAULT_CACHE


def cache_key(*parts: object) -> str:
    """Hash everything that the rows depend on."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def find(key: str) -> PreparedTable | None:
    """Look up a prepared table; None when it was never made to its end, or its manifest cannot be read."""
    table = _read_manifest(key)
    return table if table and _is_whole(table) else None


def find_by_content(digest: str, lines: Mapping[str, int]) -> PreparedTable | None:
    """Look up a table of the same lines, cut into as many of each split; None when none is at hand.

    Only tables that this version of the preparation made count.
    """
    for key in _keys():
        table = _read_manifest(key)
        if table and (table.data_digest, dict(table.lines)) == (digest, dict(lines)) and _is_whole(table):
            return table
    return None


def store(table: PreparedTable, *, reduced: DataFrame, quarantine: DataFrame) -> PreparedTable:
    """Write rows, quarantine and manifest; return the table that counts, which another process may have made.

    A process that dies in here leaves no table, only a folder that nobody reads.
    """
    place = join(cache(), table.folder)
    reduced.write.parquet(locations.to_uri(join(place, _ROWS)))
    if table.quarantined:
        quarantine.write.parquet(locations.to_uri(join(place, schema.QUARANTINE)))
    storage.sync(place)
    manifest, text = join(cache(), table.key, _MANIFEST), json.dumps(asdict(table), indent=2)
    if storage.create_exclusive(manifest, text):
        return table
    if winner := find(table.key):
        storage.remove(place)
        return winner
    storage.write_text(manifest, text)
    return table


def read_rows(spark: SparkSession, table: PreparedTable) -> DataFrame:
    """Read the reduced rows of a prepared table, and mark it as used."""
    with suppress(RetailClustersError):  # a cache that others own may be one to read only
        storage.touch(join(cache(), table.key, _USED))
    columns = StructType([StructField(schema.SPLIT, StringType()), *schema.WEIGHTED_ROW, schema.DAYS_FIELD])
    rows = spark.read.schema(columns).parquet(locations.literal(join(cache(), table.folder, _ROWS)))
    return rows.where(F.col(schema.SPLIT) != schema.QUARANTINE)


def prune(*, keep: int = TABLES_KEPT, in_use: float = IN_USE) -> int:
    """Remove all but the `keep` tables used last, none of them within `in_use` seconds; count the removed."""
    oldest = time.time() - in_use
    by_use = sorted(((_last_use(key), key) for key in _keys()), reverse=True)
    tables = [(used, key) for used, key in by_use if storage.exists(join(cache(), key, _MANIFEST))]
    unfinished = [entry for entry in by_use if entry not in tables]
    removed = [key for used, key in tables[keep:] + unfinished if used < oldest]
    for key in removed:
        storage.remove(join(cache(), key, _MANIFEST))
        storage.remove(join(cache(), key))
    return len(removed)


def _keys() -> Iterator[str]:
    if storage.is_folder(cache()):
        yield from map(locations.name, storage.list_folders(cache()))


def _is_whole(table: PreparedTable) -> bool:
    return table.version == PREPARATION_VERSION and storage.is_folder(join(cache(), table.folder, _ROWS))


def _read_manifest(key: str) -> PreparedTable | None:
    manifest = join(cache(), key, _MANIFEST)
    try:
        text = storage.find_text(manifest)
        return PreparedTable(**({"version": 1} | json.loads(text))) if text is not None else None
    except (ValueError, TypeError, InputError) as unreadable:
        click.echo(
            f"warning: {locations.for_display(manifest)} cannot be read and is passed over "
            f"({locations.for_display(str(unreadable))[:120]}); the next prepare of its data replaces it",
            err=True,
        )
        return None


def _last_use(key: str) -> float:
    """Return when a table was last marked as used or written, in seconds since 1970."""
    places = (join(cache(), key, name) for name in (_USED, _MANIFEST, ""))
    found = [status.modified_ms for place in places if (status := storage.status(place))]
    return max(found, default=0) / 1000
