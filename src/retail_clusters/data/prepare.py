"""CSV files → typed lines, kept in a cache for every later job, whatever it asks of them.

A table is `CACHE/KEY/ID/` and counts once `CACHE/KEY/manifest.json` names it. Of two processes that make the same
table each reads its own, and no folder is ever renamed or replaced. The cache may be deleted at any time: what is
not there is made again.
"""

import hashlib
import json
import os
import uuid
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from retail_clusters import schema
from retail_clusters.data import csv_files, digest, invoices, listing, quarantine
from retail_clusters.data.csv_files import Layout
from retail_clusters.data.listing import Listing
from retail_clusters.data.quarantine import Reason, Tally
from retail_clusters.errors import InputError
from retail_clusters.infra import locations, storage
from retail_clusters.infra.locations import join
from retail_clusters.input_settings import Input
from retail_clusters.settings import Split

DEFAULT_CACHE: Final = "data/prepared"
#: Part of the key of every table; raise it when this package makes other lines of the same files.
#: 2: prices of 100 billion or more are quarantined. 4: lines by docs/lines.md. 5: lines, no longer weighted rows.
PREPARATION_VERSION: Final = 5

_MANIFEST: Final = "manifest.json"
_LINES: Final = "lines"
#: A good line has its eight values; a quarantined one has its text, the reason and the file. All else is null.
_STORED: Final = StructType([*schema.INVOICE_LINE, *schema.QUARANTINED_LINE])


@dataclass(frozen=True)
class Source:
    """The files of a data set with their headers, and the settings that decide which lines they give."""

    data: str
    found: Listing
    layouts: Mapping[str, Layout]
    how: Input

    @property
    def key(self) -> str:
        """Hash everything that the lines depend on; no content is read."""
        parts = (listing.fingerprint(self.found.files), self.how, PREPARATION_VERSION)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class PreparedTable:
    """Where the lines of a data set are, and what is in them; `run_id` is the run that made them.

    `days` counts the good lines of each day, in order (UTC, ISO).
    """

    folder: str
    run_id: str
    data: str
    data_digest: str
    days: Mapping[str, int]
    quarantined: int
    reasons: Sequence[Reason] = ()

    @property
    def good_lines(self) -> int:
        """Count the lines that are not quarantined."""
        return sum(self.days.values())

    @property
    def total_lines(self) -> int:
        """Count the invoice lines that came in."""
        return self.good_lines + self.quarantined

    def parts(self, split: Split) -> dict[str, int]:
        """Count the good lines in each part of a split."""
        cuts = (split.train_until.isoformat(), split.validate_until.isoformat())
        counts = dict.fromkeys(schema.SPLITS, 0)
        for day, lines in self.days.items():
            counts[schema.SPLITS[bisect_right(cuts, day)]] += lines
        return counts


@dataclass(frozen=True)
class Prepared:
    """A prepared table and its good lines, in the columns of `schema.INVOICE_LINE`."""

    table: PreparedTable
    lines: DataFrame


def source(data: str, how: Input) -> Source:
    """List the files of a data set, and read their headers.

    Raises:
        InputError: a file cannot be read as invoice lines, or nothing can be kept in the cache.
    """
    storage.check(cache())
    found, layouts = csv_files.check_data(data, how)
    return Source(data, found, layouts, how)


def find(spark: SparkSession, source: Source) -> Prepared | None:
    """Return the lines that were made of the same files and settings; None when there are none."""
    table = _find_table(source.key)
    if table is None:
        return None
    return Prepared(table, read_lines(spark, table))


def make(spark: SparkSession, source: Source, *, run_id: str) -> Prepared:
    """Read the files in one pass, and keep their lines.

    Raises:
        InputError: a packed file is damaged, or too many lines are quarantined.
        RetailClustersError: Spark has not read every file.
    """
    folder = join(source.key, uuid.uuid4().hex[:12])
    try:
        _write(spark, source, folder)
        stored = _stored(spark, folder)
        contents = digest.summarize(stored)
        made = PreparedTable(
            folder=folder,
            run_id=run_id,
            data=source.data,
            data_digest=contents.digest,
            days=contents.days,
            quarantined=contents.quarantined,
            reasons=_reasons(stored, source.how) if contents.quarantined else (),
        )
        quarantine.check_share(made.reasons, of=made.total_lines, how=source.how)
    except BaseException:
        storage.remove(join(cache(), folder))
        raise
    storage.write_text(_manifest(source.key), json.dumps(asdict(made), indent=2))
    return Prepared(made, read_lines(spark, made))


def check_split(table: PreparedTable, split: Split) -> None:
    """Refuse a split with an empty part.

    Raises:
        InputError: names the empty parts, and the lines in each.
    """
    parts = table.parts(split)
    empty = [name for name, lines in parts.items() if not lines]
    if empty:
        counts = ", ".join(f"{name} {lines:,}" for name, lines in parts.items())
        raise InputError(
            f"every part of the split needs lines, but {' and '.join(empty)} got none ({counts}, "
            f"quarantined {table.quarantined:,}): move split.train_until {split.train_until} or "
            f"split.validate_until {split.validate_until}"
        )


def read_lines(spark: SparkSession, table: PreparedTable) -> DataFrame:
    """Read the good lines of a table."""
    return invoices.good(_stored(spark, table.folder))


def cache() -> str:
    """Return the location of the cache: `RETAIL_CLUSTERS_PREPARED`, else a folder of the project."""
    return os.environ.get("RETAIL_CLUSTERS_PREPARED") or DEFAULT_CACHE


def _write(spark: SparkSession, source: Source, folder: str) -> None:
    """Write all lines in one pass."""
    parsed, seen = invoices.read(spark, source.layouts, how=source.how)
    good = F.col(schema.REASON).isNull()
    kept = dict.fromkeys(schema.COLUMNS, good) | dict.fromkeys(schema.QUARANTINED_LINE.names, ~good)
    lines = parsed.select(*(F.when(when, F.col(name)).alias(name) for name, when in kept.items()))
    with csv_files.naming_damage(spark, list(source.layouts)):
        lines.write.parquet(locations.to_uri(join(cache(), folder, _LINES)))
    listing.check_read(source.found.locations, invoices.files_seen(seen))


def _stored(spark: SparkSession, folder: str) -> DataFrame:
    return spark.read.schema(_STORED).parquet(locations.literal(join(cache(), folder, _LINES)))


def _reasons(stored: DataFrame, how: Input) -> Sequence[Reason]:
    tally = Tally()
    tally.add(row.asDict() for row in invoices.quarantined(stored).toLocalIterator())
    return tally.reasons(how)


def _find_table(key: str) -> PreparedTable | None:
    """Return the table that a manifest names; None when there is none, or none that can be read."""
    try:
        found = json.loads(storage.find_text(_manifest(key)) or "{}")
        table = PreparedTable(**found | {"reasons": tuple(Reason(**each) for each in found["reasons"])})
    except (ValueError, TypeError, KeyError):
        return None
    return table if storage.is_folder(join(cache(), table.folder, _LINES)) else None


def _manifest(key: str) -> str:
    return join(cache(), key, _MANIFEST)
