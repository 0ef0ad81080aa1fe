"""The batch of `purchases`: files at rest, summed up at once."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace

import click
from pyspark.sql import DataFrame, SparkSession

from retail_clusters.data import csv_files, invoices
from retail_clusters.purchases import sink
from retail_clusters.purchases.account import Counts
from retail_clusters.purchases.query import register
from retail_clusters.purchases.report import Summary, report, report_answer
from retail_clusters.purchases.request import PurchasesRequest
from retail_clusters.purchases.spend import LINES, QUARANTINED, summed
from retail_clusters.settings import Columns
from retail_clusters.wording import pluralize


def run_batch(spark: SparkSession, request: PurchasesRequest) -> Summary:
    """Sum up the files of a request, write the table and what is quarantined, report it."""
    started = time.perf_counter()
    files = csv_files.find_files(request.data)
    unreadable = damaged_files(files)
    parsed = read_parsed(spark, [file for file in files if file not in unreadable], columns=request.columns)
    result, observed = summed(parsed)
    result = sink.write_table(result, request.place)
    counts = account(request, result, parsed, observed.get, files=len(files), unreadable=unreadable)
    seconds = time.perf_counter() - started
    summary = report(result, request, metrics=asdict(counts) | {"seconds": seconds})
    register(result)
    answer = report_answer(spark, request)
    click.echo(
        f"purchases: {counts.customer_days:,} customer-days of {pluralize(counts.lines, 'line')} "
        f"in {pluralize(len(files), 'file')}, {counts.lines_quarantined:,} quarantined, "
        f"in {seconds:.1f} s; written to {request.place}"
    )
    return replace(summary, answer=answer)


def account(
    request: PurchasesRequest,
    result: DataFrame,
    parsed: DataFrame,
    tallied: Mapping[str, int],
    *,
    files: int,
    unreadable: Mapping[str, str],
) -> Counts:
    """Keep what is not in a result apart, and account for every line of its files.

    Takes parsed lines with their tally, and the files that cannot be read, each with the reason.
    """
    in_files = sink.write_quarantine(
        request.place,
        parsed=parsed if tallied[QUARANTINED] else None,
        unreadable=unreadable,
        columns=request.columns,
    )
    return Counts(
        files=files,
        lines=tallied[LINES] + in_files,
        lines_quarantined=tallied[QUARANTINED] + in_files,
        customer_days=result.count(),
    )


def read_parsed(spark: SparkSession, files: list[str], *, columns: Columns) -> DataFrame:
    """Read files as parsed lines."""
    return invoices.parse(csv_files.read_lines(spark, files, columns=columns), columns=columns)


def damaged_files(files: Iterable[str]) -> dict[str, str]:
    """Return the files that cannot be read to their end, each with the reason."""
    return {file: damage for file in files if (damage := csv_files.damage(file))}
