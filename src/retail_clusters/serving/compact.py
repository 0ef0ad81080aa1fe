"""Scored batches → few files: rewritten beside them, exchanged by one object, then removed."""

import math
import uuid
from dataclasses import dataclass
from typing import Final

import click
from pyspark.sql import DataFrame, SparkSession

from retail_clusters import schema
from retail_clusters.errors import InputError
from retail_clusters.infra import storage
from retail_clusters.infra.locations import for_display, join, name, to_uri
from retail_clusters.infra.locks import lock
from retail_clusters.infra.staging import staged_folder
from retail_clusters.serving.output import Output
from retail_clusters.serving.reader import read_batches
from retail_clusters.serving.records import Compacted, Record, read_compacted, read_record, write_compacted
from retail_clusters.wording import pluralize

#: Bytes of a file that is large enough to be left alone.
SENSIBLE_SIZE: Final = 128 << 20


@dataclass(frozen=True)
class CompactSummary:
    """What one call of `run` did."""

    batches: int
    lines: int
    files: int


def check(output: str) -> None:
    """Refuse an output that no scorer has written.

    Raises:
        InputError: there are no records in it.
    """
    storage.check(output)
    if not storage.is_folder(Output(output).commits):
        raise InputError(
            f"output must be a scorer's, but {for_display(output)} holds no records of batches: name the folder "
            "that was given to the entry point score"
        )


def run(spark: SparkSession, output: str) -> CompactSummary:
    """Rewrite the committed batches into few files, in the order of the invoices' days.

    The scorer may run meanwhile: committed batches do not change. Until the list of what is compacted is
    replaced, in one step, readers take the batches; from then on, the new files. After a kill at any
    moment the next call removes what is in neither. A folder's name is one call's alone: what one that stood
    still writes late is in no list.
    """
    place = Output(output)
    purpose = "one compact at a time works on an output"
    with lock(join(place.location, "compact.lock"), purpose=purpose) as held:
        done = read_compacted(place)
        _remove_leftovers(place, done)
        records = [read_record(place, number) for number in place.committed() if number > done.until]
        summary = CompactSummary(0, 0, 0)
        if records:
            compacted, summary = _rewrite(spark, place, records, done)
            held.confirm()
            write_compacted(place, compacted)
            _remove_leftovers(place, compacted)
    click.echo(
        f"compact: {pluralize(summary.batches, 'batch', 'batches')}, {pluralize(summary.lines, 'line')}, "
        f"in {pluralize(summary.files, 'file')} of {join(output, 'compacted')}"
    )
    return summary


def _rewrite(
    spark: SparkSession, place: Output, records: list[Record], done: Compacted
) -> tuple[Compacted, CompactSummary]:
    """Write the lines of batches, and those of earlier folders that are still small, to one folder."""
    sizes = {folder: _size(join(place.compacted, folder)) for folder in done.folders}
    small = [folder for folder in done.folders if sizes[folder] < SENSIBLE_SIZE]
    size = sum(sizes[folder] for folder in small) + sum(
        _size(place.scored_batch(record.batch_id)) for record in records
    )
    until = records[-1].batch_id
    known = Compacted(done.until, tuple(small), done.replaced)
    lines = read_batches(spark, place, records, known)
    folder = f"until={until}-{uuid.uuid4().hex[:8]}"
    with staged_folder(join(place.compacted, folder)) as staged:
        _write(lines, staged, files=max(1, math.ceil(size / SENSIBLE_SIZE)))
        files = storage.list_files(staged, suffixes=(".parquet",))
        count = spark.read.parquet(to_uri(staged)).count()
    replaced = {pair for record in records for pair in record.replaces}
    kept = tuple(each for each in done.folders if each not in small)
    still = [pair for pair in (*done.replaced, *sorted(replaced)) if kept and pair[0] <= done.until]
    return Compacted(until, (*kept, folder), tuple(still)), CompactSummary(len(records), count, len(files))


def _write(lines: DataFrame, folder: str, *, files: int) -> None:
    ordered = lines.repartitionByRange(files, schema.INVOICE_DATE) if files > 1 else lines.coalesce(1)
    ordered.sortWithinPartitions(schema.INVOICE_DATE, schema.INVOICE_NO).write.mode("append").parquet(
        to_uri(folder)
    )


def _remove_leftovers(place: Output, compacted: Compacted) -> None:
    """Remove batches that are compacted, and folders that are not in the list."""
    for batch_id in place.begun():
        if batch_id <= compacted.until:
            storage.remove(place.scored_batch(batch_id))
    if storage.is_folder(place.compacted):
        storage.remove_drafts(place.compacted)
        for folder in storage.list_folders(place.compacted):
            if name(folder) not in compacted.folders:
                storage.remove(folder)


def _size(folder: str) -> int:
    return sum(file.length for file in storage.list_files(folder)) if storage.is_folder(folder) else 0
