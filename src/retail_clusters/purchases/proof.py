"""Where every line of the appending stream went, and the proof of it."""

import time
from dataclasses import replace

import click
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from retail_clusters import schema
from retail_clusters.data import invoices, unreadable_files
from retail_clusters.infra import checkpoint as spark_checkpoint
from retail_clusters.infra import storage
from retail_clusters.purchases import customer_days, sink
from retail_clusters.purchases.account import Account, Counts, State
from retail_clusters.purchases.batch import read_parsed
from retail_clusters.purchases.report import report, report_parity
from retail_clusters.purchases.request import PurchasesRequest
from retail_clusters.purchases.spend import merge, parity, spend, summed


def account_for(
    spark: SparkSession,
    request: PurchasesRequest,
    checkpoint: str,
    before: State,
    state: State,
    *,
    started: float,
) -> None:
    """Report what was written since `before` and where every line went; when drained, prove it.

    `started` is when the run did, by `time.perf_counter`.
    """
    account = Account(request.place)
    kept = account.read_open(state.through)
    closed = sink.folders_between(request.place, sink.PURCHASES, after=before.through, last=state.through)
    result = sink.read_folder(spark, *closed, shape=_shape(spark))
    seconds = time.perf_counter() - started
    held = {
        "lines_kept_back": customer_days.count_lines(kept),
        "customer_days_kept_back": kept.num_rows,
        "batches": state.through + 1,
        "seconds": seconds,
    }
    report(result, request, counts=state.counts, metrics=held)
    summary = _summary(state, lines=customer_days.count_lines(kept), days=kept.num_rows, seconds=seconds)
    files = spark_checkpoint.committed_files(checkpoint)
    prove_all = request.prove == "all"
    new = files if prove_all else files[state.proven_files :]
    gone = sum(not storage.is_file(file) for file in new)
    if gone:
        summary += f"; {gone:,} input files are gone, so no parity is taken"
    if gone or not request.once:
        click.echo(f"purchases: {summary}")
    if not request.once:
        return
    proven = replace(state, proven=state.through, proven_files=len(files))
    if not gone:
        since = State(query=state.query) if prove_all else state
        left, right = _sides(spark, request, since=since, state=state, files=new)
        report_parity(parity(left, right), summary=f"{summary}{'' if prove_all else _scope(new, files)}")
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
    missed = invoices.parse(sink.read_folder(spark, *late, shape=sink.LATE_LINE))
    stream = merge(sink.read_folder(spark, *written, shape=shape), kept(last), spend(invoices.good(missed)))
    readable = [file for file in files if not unreadable_files.problem(file, request.columns)]
    batch, _ = summed(read_parsed(spark, readable, columns=request.columns))
    return stream, merge(batch, kept(after))


def _shape(spark: SparkSession) -> StructType:
    return spend(spark.createDataFrame([], schema.INVOICE_LINE)).schema


def _scope(new: list[str], files: list[str]) -> str:
    return f"; compared were the {len(new):,} new of {len(files):,} files (prove=all compares all)"


def _summary(state: State, *, lines: int, days: int, seconds: float) -> str:
    counts: Counts = state.counts
    return (
        f"{counts.lines:,} lines in {counts.files:,} files: {counts.customer_days:,} customer-days "
        f"of days closed before {state.closed_before:%Y-%m-%d %H:%M} written, {days:,} ({lines:,} lines) "
        f"kept back until their day closes, {counts.lines_late:,} lines late, "
        f"{counts.lines_quarantined:,} quarantined, in {seconds:.1f} s"
    )
