"""CSV files → checked, split, weighted rows, kept for every later job."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import click
from pyspark.sql import DataFrame, SparkSession

from retail_clusters import schema
from retail_clusters.data import csv_files, invoices, prepared, weighted_rows
from retail_clusters.data.prepared import PreparedTable
from retail_clusters.errors import InputError
from retail_clusters.infra import tracking
from retail_clusters.infra.storage import FileStatus
from retail_clusters.settings import Columns, Experiment, Split

OpenRun = Callable[[str], AbstractContextManager[str]]


@dataclass(frozen=True)
class Prepared:
    """A prepared table and its reduced rows, by split."""

    table: PreparedTable
    reduced: DataFrame

    def rows(self, *splits: str) -> DataFrame:
        """Return the weighted rows of some splits in canonical layout."""
        count = self.count(*splits)
        return weighted_rows.canonical(weighted_rows.weighted_rows(self.reduced, splits), count=count)

    def count(self, *splits: str) -> int:
        """Count the weighted rows of some splits; a key that two of them have counts twice."""
        return sum(self.table.rows[split] for split in splits)


def check_data(data: str, columns: Columns | None = None) -> list[FileStatus]:
    """Find the files and check their headers, before any Spark starts."""
    files = csv_files.list_files(data)
    csv_files.check_headers([file.location for file in files], columns or Columns())
    return files


def prepare(
    spark: SparkSession, *, data: str, experiment: Experiment, open_run: OpenRun = tracking.run
) -> Prepared:
    """Run as the step `prepare`: reuse the rows made of the same files and settings, or make them."""
    files = check_data(data, experiment.columns)
    with open_run("prepare") as run_id:
        tracking.log_settings({"data": data, "files": str(len(files))} | experiment.flat())
        key = _key(files, experiment.split)
        table = prepared.find(key)
        if table:
            click.echo(f"prepare: reused the rows of run {table.run_id}; files and settings are unchanged")
        else:
            table = _make(spark, files, PreparedTable.named(key, run_id, data), split=experiment.split)
        _log(table, reused=table.run_id != run_id)
    return Prepared(table=table, reduced=prepared.read_rows(spark, table))


def ensure_prepared(spark: SparkSession, *, data: str, experiment: Experiment) -> Prepared:
    """Reuse the rows if they were made before; else make them, in a run beside the caller's."""
    table = prepared.find(_key(check_data(data), experiment.split))
    if table is None:
        return prepare(spark, data=data, experiment=experiment, open_run=tracking.separate_run)
    click.echo(f"prepare: reused the rows of run {table.run_id}, digest {table.data_digest}")
    return Prepared(table=table, reduced=prepared.read_rows(spark, table))


def _key(files: list[FileStatus], split: Split) -> str:
    return prepared.cache_key(csv_files.fingerprint(files), split, weighted_rows.PREPARATION_VERSION)


def _make(
    spark: SparkSession, files: list[FileStatus], empty: PreparedTable, *, split: Split
) -> PreparedTable:
    started = time.perf_counter()
    parsed = invoices.parse(csv_files.read_lines(spark, [file.location for file in files]))
    reduced = weighted_rows.reduce_lines(parsed, split=split).cache()
    contents = weighted_rows.summarize(reduced)
    table = replace(
        empty,
        data_digest=contents.digest,
        lines={name: contents.lines.get(name, 0) for name in schema.SPLITS},
        rows={name: contents.rows.get(name, 0) for name in schema.SPLITS},
        quarantined=contents.lines.get(schema.QUARANTINE, 0),
    )
    _check_splits(table, split)
    prepared.store(table, reduced=reduced, quarantine=invoices.quarantined(parsed))
    reduced.unpersist()
    seconds = time.perf_counter() - started
    click.echo(f"prepare: {table.total_lines:,} lines of {len(files)} files in {seconds:.1f} s")
    return table


def _check_splits(table: PreparedTable, split: Split) -> None:
    empty = [name for name, lines in table.lines.items() if not lines]
    if empty:
        counts = ", ".join(f"{name} {lines:,}" for name, lines in table.lines.items())
        raise InputError(
            f"every part of the split needs lines, but {' and '.join(empty)} got none ({counts}, "
            f"quarantined {table.quarantined:,}): move split.train_until {split.train_until} or "
            f"split.validate_until {split.validate_until}"
        )


def _log(table: PreparedTable, *, reused: bool) -> None:
    tracking.set_tags({"data_digest": table.data_digest, "prepare_run_id": table.run_id})
    if reused:
        tracking.set_tags({"reused_run_id": table.run_id})
    tracking.log_input(data=table.data, digest=table.data_digest, context="preparation")
    tracking.log_metrics(
        {f"lines_{name}": lines for name, lines in table.lines.items()}
        | {f"rows_{name}": rows for name, rows in table.rows.items()}
        | {"lines_quarantined": table.quarantined}
    )
    per_split = ", ".join(f"{name} {lines:,}" for name, lines in table.lines.items())
    click.echo(f"prepare: {per_split}, quarantined {table.quarantined:,}; digest {table.data_digest}")
