"""CSV files → checked, split, weighted rows, kept for every later job."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

import click
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.data import csv_files, invoices, prepared, unreadable_files, weighted_rows
from retail_clusters.data.prepare_description import description
from retail_clusters.data.prepared import PreparedTable
from retail_clusters.data.weighted_rows import PREPARATION_VERSION
from retail_clusters.errors import InputError
from retail_clusters.infra import locations, storage
from retail_clusters.infra.storage import FileStatus
from retail_clusters.registry import tracking
from retail_clusters.settings import Experiment, Split
from retail_clusters.wording import pluralize

OpenRun = Callable[[tracking.Kind], AbstractContextManager[str]]


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


def prepare(
    spark: SparkSession, *, data: str, experiment: Experiment, open_run: OpenRun = tracking.run
) -> Prepared:
    """Run as the step `prepare`: reuse the rows made of the same files and settings, or make them."""
    files = _check(data, experiment)
    with open_run("prepare") as run_id:
        tracking.log_settings({"data": data, "files": str(len(files))} | experiment.flat())
        key = _key(files, experiment)
        table = prepared.find(key)
        if table:
            click.echo(f"prepare: reused the rows of run {table.run_id}; files and settings are unchanged")
        else:
            empty = PreparedTable.named(key, run_id, data)
            table = _make(spark, [file.location for file in files], empty, experiment=experiment)
        reused = table.run_id != run_id
        _log(table, reused=reused)
        tracking.describe(description(table, split=experiment.split, reused=reused))
    return Prepared(table=table, reduced=prepared.read_rows(spark, table))


def ensure_prepared(spark: SparkSession, *, data: str, experiment: Experiment) -> Prepared:
    """Reuse the rows if they were made before; else make them, in a run beside the caller's."""
    table = prepared.find(_key(_check(data, experiment), experiment))
    if table is None:
        return prepare(spark, data=data, experiment=experiment, open_run=tracking.separate_run)
    click.echo(f"prepare: reused the rows of run {table.run_id}, digest {table.data_digest}")
    return Prepared(table=table, reduced=prepared.read_rows(spark, table))


def _check(data: str, experiment: Experiment) -> list[FileStatus]:
    """List the files; refuse those that cannot be read, and a cache where nothing can be kept."""
    storage.check(prepared.cache())
    return csv_files.check_data(data, experiment.columns)


def _key(files: Sequence[FileStatus], experiment: Experiment) -> str:
    return prepared.cache_key(
        csv_files.fingerprint(files), experiment.split, experiment.columns, PREPARATION_VERSION
    )


def _make(
    spark: SparkSession, files: Sequence[str], empty: PreparedTable, *, experiment: Experiment
) -> PreparedTable:
    started = time.perf_counter()
    lines = csv_files.read_lines(spark, files, columns=experiment.columns)
    parsed = invoices.parse(lines, columns=experiment.columns)
    reduced = weighted_rows.reduce_lines(parsed, split=experiment.split).cache()
    with _naming_damage(files):
        contents = weighted_rows.summarize(reduced, columns=experiment.columns)
    made = replace(
        empty,
        data_digest=contents.digest,
        lines={name: contents.lines.get(name, 0) for name in schema.SPLITS},
        rows={name: contents.rows.get(name, 0) for name in schema.SPLITS},
        quarantined=contents.lines.get(schema.QUARANTINE, 0),
    )
    _check_lines(made, parsed, split=experiment.split)
    table = prepared.store(made, reduced=reduced, quarantine=invoices.quarantined(parsed))
    reduced.unpersist()
    seconds = time.perf_counter() - started
    click.echo(
        f"prepare: {pluralize(table.total_lines, 'line')} of {pluralize(len(files), 'file')} in {seconds:.1f} s"
    )
    if removed := prepared.prune():
        click.echo(f"prepare: removed {removed} prepared tables; the {prepared.TABLES_KEPT} used last stay")
    return table


@contextmanager
def _naming_damage(files: Sequence[str]) -> Iterator[None]:
    """Turn a failure that comes of a damaged file into one that names the file."""
    try:
        yield
    except (PySparkException, Py4JJavaError) as failure:
        for file in filter(csv_files.is_packed, files):
            if problem := unreadable_files.damage(file):
                raise InputError(
                    f"data must be readable to its end, but {locations.for_display(file)}: {problem}; "
                    "bring the file anew, or take it out"
                ) from failure
        raise


def _check_lines(table: PreparedTable, parsed: DataFrame, *, split: Split) -> None:
    """Warn where most lines are quarantined; refuse a split with an empty part."""
    mostly = _mostly_quarantined(table, parsed) if 2 * table.quarantined > table.total_lines else None
    empty = [name for name, lines in table.lines.items() if not lines]
    if mostly and empty:
        raise InputError(mostly)
    if mostly:
        click.echo(f"warning: {mostly}", err=True)
    if empty:
        counts = ", ".join(f"{name} {lines:,}" for name, lines in table.lines.items())
        raise InputError(
            f"every part of the split needs lines, but {' and '.join(empty)} got none ({counts}, "
            f"quarantined {table.quarantined:,}): move split.train_until {split.train_until} or "
            f"split.validate_until {split.validate_until}"
        )


def _mostly_quarantined(table: PreparedTable, parsed: DataFrame) -> str:
    reasons = (
        invoices.quarantined(parsed)
        .groupBy(schema.REASON)
        .agg(F.count(F.lit(1)).alias("lines"), F.min_by(schema.LINE, F.length(schema.LINE)).alias("example"))
    )
    reason, lines, example = reasons.orderBy(F.desc("lines"), schema.REASON).first() or ("", 0, "")
    return (
        f"most lines should be good, but {table.quarantined:,} of {table.total_lines:,} are quarantined, "
        f"{lines:,} because {reason} (such as {example[:120]!r}): {_way_out(reason, example)}"
    )


def _way_out(reason: str, example: str) -> str:
    if reason.startswith(schema.INVOICE_DATE):
        return "say in columns.date_format how the date is written, such as dd/MM/yyyy HH:mm"
    if reason in {invoices.MISSING_FIELD, invoices.EXTRA_FIELD} and ";" in example:
        return "is the separator a semicolon? It must be a comma"
    return "correct the files"


def _log(table: PreparedTable, *, reused: bool) -> None:
    facts = {"data_digest": table.data_digest, "prepare_run_id": table.run_id}
    tracking.set_tags(facts)
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
