"""Where every line of the appending stream went, and the proof of it."""

import time
from dataclasses import asdict, replace

import click
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from retail_clusters import schema
from retail_clusters.data import csv_files, invoices
from retail_clusters.infra import storage
from retail_clusters.infra.locations import to_uri
from retail_clusters.purchases import customer_days, sink
from retail_clusters.purchases.account import Account, State
from retail_clusters.purchases.batch import read_parsed
from retail_clusters.purchases.report import Summary, report, report_parity
from retail_clusters.purchases.request import PurchasesRequest
from retail_clusters.purchases.spend import merge, parity, spend, summed


def report_account(
    spark: SparkSession,
    request: PurchasesRequest,
    before: State,
    state: State,
    *,
    kept: pa.Table,
    started: float,
) -> Summary:
    """Report what was written since `before`, and where every line went.

    `kept` are the customer-days that are not closed yet; `started` is when the run did, by
    `time.perf_counter`.
    """
    closed = sink.folders_between(request.place, sink.PURCHASES, after=before.through, last=state.through)
    held_lines, seconds = customer_days.count_lines(kept), time.perf_counter() - started
    held = {"lines_kept_back": held_lines, "customer_days_kept_back": kept.num_rows}
    metrics = asdict(state.counts) | held | {"batches": state.through + 1, "seconds": seconds}
    summary = report(sink.read_folder(spark, *closed) if closed else None, request, metrics=metrics)
    counts = state.counts
    click.echo(
        f"purchases: {counts.lines:,} lines in {counts.files:,} files: {counts.customer_days:,} "
        f"customer-days of days closed before {state.closed_before:%Y-%m-%d %H:%M} written, "
        f"{kept.num_rows:,} ({held_lines:,} lines) kept back until their day closes, "
        f"{counts.lines_late:,} lines late, {counts.lines_quarantined:,} quarantined, in {seconds:.1f} s"
    )
    return summary


def prove(spark: SparkSession, request: PurchasesRequest, state: State, *, files: list[str]) -> None:
    """Compare what the stream made of its files with a batch over the same: the new ones, or all.

    Raises:
        DifferenceFoundError: a customer-day differs.
    """
    if state.through < 0:
        return
    everything = request.prove == "all"
    since = State(query=state.query) if everything else state
    source = to_uri(request.data)
    compared = [
        file for file in files[since.proven_files :] if not csv_files.loops(to_uri(file), source=source)
    ]
    gone = sum(not storage.is_file(file) for file in compared)
    scope = f"compared were {len(compared):,} of {len(files):,} files"
    if gone:
        click.echo(f"purchases: {gone:,} of the input files are gone, so no parity is taken")
    else:
        stream, batch = _sides(spark, request, since=since, state=state, files=compared)
        report_parity(
            parity(stream, batch), summary=scope if everything else f"{scope}: those new since the last time"
        )
    account = Account(request.place)
    proven = replace(state, proven=state.through, proven_files=len(files))
    account.write_state(proven)
    account.forget(state, proven)


def _sides(
    spark: SparkSession, request: PurchasesRequest, *, since: State, state: State, files: list[str]
) -> tuple[DataFrame, DataFrame]:
    """Return what the stream made of `files`, and what a batch does; both start from what was open before."""
    shape = _shape(spark)
    account = Account(request.place)

    def kept(through: int) -> DataFrame:
        return spark.createDataFrame(customer_days.with_windows(account.read_open(through)), shape)

    after, last = since.proven, state.through
    written = sink.folders_between(request.place, sink.PURCHASES, after=after, last=last)
    late = sink.folders_between(request.place, sink.LATE, after=after, last=last)
    missed = invoices.parse(sink.read_folder(spark, *late, shape=sink.LATE_LINE), columns=request.columns)
    stream = merge(sink.read_folder(spark, *written, shape=shape), kept(last), spend(invoices.good(missed)))
    readable = [file for file in files if not csv_files.problem(file, request.columns)]
    batch, _ = summed(read_parsed(spark, readable, columns=request.columns))
    return stream, merge(batch, kept(after))


def _shape(spark: SparkSession) -> StructType:
    return spend(spark.createDataFrame([], schema.INVOICE_LINE)).schema
