"""CSV files → checked, split, weighted rows, kept in a cache for every later job.

A table is `CACHE/KEY/ID/` and counts once `CACHE/KEY/manifest.json` names it. Only one process can create that
file, so the first of two that make the same table wins, and no folder is ever renamed or replaced. The cache may
be deleted at any time: what is not there is made again.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Final

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from retail_clusters import schema
from retail_clusters.data import csv_files, invoices, listing, quarantine, reduce
from retail_clusters.data.csv_files import Layout
from retail_clusters.data.listing import Listing
from retail_clusters.data.quarantine import Reason, Tally
from retail_clusters.errors import InputError, RetailClustersError
from retail_clusters.infra import locations, storage
from retail_clusters.infra.locations import join
from retail_clusters.input_settings import Input
from retail_clusters.settings import Experiment

DEFAULT_CACHE: Final = "data/prepared"
#: A year of weekly trainings would keep 52; twenty are what a person compares, at some 10 MB each.
TABLES_KEPT: Final = 20

_MANIFEST: Final = "manifest.json"
_ROWS: Final = "rows"


@dataclass(frozen=True)
class Source:
    """The files of a data set with their headers, and the settings that decide which rows they give."""

    data: str
    found: Listing
    layouts: Mapping[str, Layout]
    experiment: Experiment

    @property
    def key(self) -> str:
        """Hash everything that the rows depend on; no content is read."""
        settings = (self.experiment.split, self.experiment.input, reduce.PREPARATION_VERSION)
        parts = (listing.fingerprint(self.found.files), *settings)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class PreparedTable:
    """Where the weighted rows of a data set are, and what is in them; `run_id` is the run that made them."""

    folder: str
    run_id: str
    data: str
    data_digest: str
    lines: Mapping[str, int]
    rows: Mapping[str, int]
    quarantined: int
    reasons: Sequence[Reason] = ()

    @property
    def total_lines(self) -> int:
        """Count the invoice lines that came in."""
        return sum(self.lines.values()) + self.quarantined


@dataclass(frozen=True)
class Prepared:
    """A prepared table and its reduced rows, by split."""

    table: PreparedTable
    reduced: DataFrame

    def rows(self, *splits: str) -> DataFrame:
        """Return the weighted rows of some splits in canonical layout."""
        count = self.count(*splits)
        return reduce.canonical(reduce.weighted_rows(self.reduced, splits), count=count)

    def count(self, *splits: str) -> int:
        """Count the weighted rows of some splits; a key that two of them have counts twice."""
        return sum(self.table.rows[split] for split in splits)


def source(data: str, experiment: Experiment) -> Source:
    """List the files of a data set, and read their headers.

    Raises:
        InputError: a file cannot be read as invoice lines, or nothing can be kept in the cache.
    """
    storage.check(cache())
    found, layouts = csv_files.check_data(data, experiment.input)
    return Source(data, found, layouts, experiment)


def find(spark: SparkSession, source: Source) -> Prepared | None:
    """Return the rows that were made of the same files and settings; None when there are none."""
    table = _read_manifest(source.key)
    if table is None or not storage.is_folder(join(cache(), table.folder, _ROWS)):
        return None
    with suppress(RetailClustersError):  # the cache of others may be one to read only
        storage.write_text(_manifest(source.key), _as_text(table))  # used now: `_prune` removes the others
    return Prepared(table, read_rows(spark, table))


def make(spark: SparkSession, source: Source, *, run_id: str) -> Prepared:
    """Read the files in one pass, reduce their lines to weighted rows, and keep these.

    Raises:
        InputError: a packed file is damaged, too many lines are quarantined, or a part of the split is empty.
        RetailClustersError: Spark has not read every file.
    """
    how, folder = source.experiment.input, join(source.key, uuid.uuid4().hex[:12])
    parsed, seen = invoices.read(spark, source.layouts, how=how)
    reduced = reduce.reduce_lines(parsed, split=source.experiment.split).cache()
    with _naming_damage(spark, list(source.layouts)):
        contents = reduce.summarize(reduced)
    listing.check_read(source.found.locations, invoices.files_seen(seen))
    made = PreparedTable(
        folder=folder,
        run_id=run_id,
        data=source.data,
        data_digest=contents.digest,
        lines={name: contents.lines.get(name, 0) for name in schema.SPLITS},
        rows={name: contents.rows.get(name, 0) for name in schema.SPLITS},
        quarantined=contents.lines.get(schema.QUARANTINE, 0),
    )
    try:
        if made.quarantined:
            made = replace(made, reasons=_keep_quarantine(parsed, folder, how=how))
        _check_lines(made, source.experiment)
    except InputError:
        storage.remove(join(cache(), folder))
        raise
    table = store(made, source.key, reduced=reduced)
    reduced.unpersist()
    _prune()
    return Prepared(table, read_rows(spark, table))


def cache() -> str:
    """Return the location of the cache: `RETAIL_CLUSTERS_PREPARED`, else a folder of the project."""
    return os.environ.get("RETAIL_CLUSTERS_PREPARED") or DEFAULT_CACHE


@contextmanager
def _naming_damage(spark: SparkSession, files: Sequence[str]) -> Iterator[None]:
    """Turn a failure that comes of a damaged file into one that names the file."""
    try:
        yield
    except (PySparkException, Py4JJavaError) as failure:
        for file in files:
            if problem := csv_files.damage(spark, file):
                raise InputError(
                    f"data must be readable to its end, but {locations.for_display(file)}: {problem}; "
                    "bring the file anew, or take it out"
                ) from failure
        raise


def _keep_quarantine(parsed: DataFrame, folder: str, *, how: Input) -> Sequence[Reason]:
    place = join(cache(), folder, schema.QUARANTINE)
    invoices.quarantined(parsed).write.parquet(locations.to_uri(place))
    tally = Tally()
    tally.add(quarantine.read(place))
    return tally.reasons(how)


def _check_lines(table: PreparedTable, experiment: Experiment) -> None:
    """Refuse lines of which too many are quarantined, and a split with an empty part."""
    quarantine.check_share(table.reasons, of=table.total_lines, how=experiment.input)
    split = experiment.split
    empty = [name for name, lines in table.lines.items() if not lines]
    if empty:
        counts = ", ".join(f"{name} {lines:,}" for name, lines in table.lines.items())
        raise InputError(
            f"every part of the split needs lines, but {' and '.join(empty)} got none ({counts}, "
            f"quarantined {table.quarantined:,}): move split.train_until {split.train_until} or "
            f"split.validate_until {split.validate_until}"
        )


def store(table: PreparedTable, key: str, *, reduced: DataFrame) -> PreparedTable:
    """Write rows and manifest; return the table that counts, which another process may have made.

    A process that dies in here leaves no table, only a folder that nobody reads.
    """
    place = join(cache(), table.folder)
    reduced.write.parquet(locations.to_uri(join(place, _ROWS)))
    if storage.create_exclusive(_manifest(key), _as_text(table)):
        return table
    winner = _read_manifest(key)
    if winner and storage.is_folder(join(cache(), winner.folder, _ROWS)):
        storage.remove(place)
        return winner
    storage.write_text(_manifest(key), _as_text(table))
    return table


def read_rows(spark: SparkSession, table: PreparedTable) -> DataFrame:
    """Read the reduced rows of a prepared table."""
    columns = StructType([StructField(schema.SPLIT, StringType()), *schema.WEIGHTED_ROW, schema.DAYS_FIELD])
    rows = spark.read.schema(columns).parquet(locations.literal(join(cache(), table.folder, _ROWS)))
    return rows.where(F.col(schema.SPLIT) != schema.QUARANTINE)


def _prune() -> None:
    """Remove all but the tables used last; what a killed process left counts as one."""
    by_use = sorted(storage.list_folders(cache()), key=_last_use, reverse=True)
    for folder in by_use[TABLES_KEPT:]:
        storage.remove(join(folder, _MANIFEST))
        storage.remove(folder)


def _last_use(folder: str) -> int:
    found = storage.status(join(folder, _MANIFEST)) or storage.status(folder)
    return found.modified_ms if found else 0


def _read_manifest(key: str) -> PreparedTable | None:
    """Return what a manifest says; None when there is none, or none that can be read."""
    try:
        text = storage.find_text(_manifest(key))
        found = json.loads(text or "{}")
        return PreparedTable(**found | {"reasons": tuple(Reason(**each) for each in found["reasons"])})
    except (ValueError, TypeError, KeyError):
        return None


def _manifest(key: str) -> str:
    return join(cache(), key, _MANIFEST)


def _as_text(table: PreparedTable) -> str:
    return json.dumps(asdict(table), indent=2)
