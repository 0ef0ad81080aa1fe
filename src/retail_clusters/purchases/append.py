"""The endless stream of `purchases`: closed days appended as Parquet, and an account of every line."""

import time
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import click
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from retail_clusters import schema
from retail_clusters.data import invoices, line_stream
from retail_clusters.purchases import sink
from retail_clusters.purchases import spend as core
from retail_clusters.purchases.report import Request, report, report_parity, summed
from retail_clusters.purchases.stream import good_lines, log_plan, stopped, watch

_LATE_LINE: Final = StructType(
    [schema.QUARANTINED_LINE[schema.LINE], schema.QUARANTINED_LINE[schema.SOURCE_FILE]]
)


def append(spark: SparkSession, request: Request) -> None:
    """Write each day once the watermark has closed it; when drained, account for every line."""
    session = line_stream.small_session(spark)
    output, checkpoint = request.output, request.checkpoint or request.output / "checkpoint"
    identity, last = line_stream.query_id(checkpoint), line_stream.last_batch(checkpoint)
    sink.check_resumable(output, checkpoint, query=identity, committed=last is not None)
    lateness = f"{request.settings.allowed_lateness_days} days"
    timed = good_lines(session, request.data, request.settings, lateness=lateness)
    writer = (
        core.spend(timed).writeStream.outputMode("append").foreachBatch(partial(_take, output, checkpoint))
    )
    writer = writer.option("checkpointLocation", str(checkpoint.absolute()))
    writer = writer.trigger(availableNow=True) if request.once else writer.trigger(processingTime="0 seconds")
    started = time.perf_counter()
    query = writer.start()
    with stopped(query):
        try:
            watch(query, body=str)
        except KeyboardInterrupt:
            click.echo("purchases: stopping; the same command goes on from here")
    log_plan(query)
    _account(session, request, checkpoint, seconds=time.perf_counter() - started)


def _take(output: Path, checkpoint: Path, windows: DataFrame, batch: int) -> None:
    """Write what a batch closed, and the lines of its files that came too late for that."""
    sink.bind(output, line_stream.query_id(checkpoint) or "")
    arrived = line_stream.batch_input(checkpoint, batch)
    customer_days = sink.write_batch(output, batch, sink.PURCHASES, windows)
    counts: dict[str, int] = {}
    if arrived.files:
        parsed = core.summable(invoices.parse(line_stream.read_files(windows.sparkSession, arrived.files)))
        kinds = core.sort_arrivals(parsed, watermark=arrived.watermark)
        counts = {row[0]: row[1] for row in kinds.groupBy(core.KIND).count().collect()}
        if counts.get(core.LATE):
            late = kinds.where(F.col(core.KIND) == core.LATE).select(*_LATE_LINE.names)
            sink.write_batch(output, batch, sink.LATE, late)
        if counts.get(core.QUARANTINED):
            sink.write_batch(output, batch, schema.QUARANTINE, invoices.quarantined(parsed))
    record = sink.BatchRecord(
        batch_id=batch,
        files=len(arrived.files),
        lines=sum(counts.values()),
        late=counts.get(core.LATE, 0),
        quarantined=counts.get(core.QUARANTINED, 0),
        customer_days=customer_days,
        watermark=arrived.watermark.isoformat(),
    )
    sink.write_record(output, record)
    if record.late:
        before = f"{arrived.watermark:%Y-%m-%d %H:%M}"
        click.echo(f"purchases: batch {batch}: {record.late:,} lines late, of days closed before {before}")


def _account(session: SparkSession, request: Request, checkpoint: Path, *, seconds: float) -> None:
    """Report where every line went: written, kept back, late or quarantined; when drained, prove it."""
    output, last = request.output, line_stream.last_batch(checkpoint)
    records = sink.read_records(output, last=last)
    shape = core.spend(session.createDataFrame([], schema.INVOICE_LINE)).schema
    closed = sink.read_batches(session, output, sink.PURCHASES, shape=shape, last=last)
    kept = closed.limit(0) if last is None else sink.read_open(session, checkpoint, shape=shape)
    held, held_lines = kept.agg(F.count(F.lit(1)), F.coalesce(F.sum(core.LINES), F.lit(0))).collect()[0]
    totals = {
        "files": sum(record.files for record in records),
        "lines": sum(record.lines for record in records),
        "lines_late": sum(record.late for record in records),
        "lines_quarantined": sum(record.quarantined for record in records),
        "lines_kept_back": held_lines,
        "customer_days": sum(record.customer_days for record in records),
        "customer_days_kept_back": held,
    }
    report(closed, request, metrics=totals | {"seconds": seconds, "batches": len(records)})
    summary = _summary(totals, until=line_stream.watermark(checkpoint), seconds=seconds)
    files = line_stream.committed_files(checkpoint)
    gone = sum(not file.is_file() for file in files)
    if gone or not request.once:
        unproven = f"; {gone:,} input files are gone, so no parity is taken" if gone else ""
        click.echo(f"purchases: {summary}{unproven}")
        return
    late = sink.read_batches(session, output, sink.LATE, shape=_LATE_LINE, last=last)
    missed = core.spend(invoices.good(invoices.parse(late)))
    batch, _ = summed(
        invoices.parse(line_stream.read_files(session, line_stream.committed_files(checkpoint)))
    )
    report_parity(core.parity(core.merge(closed, kept, missed), batch), summary=summary)


def _summary(totals: Mapping[str, int], *, until: datetime, seconds: float) -> str:
    text = (
        f"{totals['lines']:,} lines in {totals['files']:,} files: {totals['customer_days']:,} customer-days "
        f"of days closed before {until:%Y-%m-%d %H:%M} written, {totals['customer_days_kept_back']:,} "
        f"({totals['lines_kept_back']:,} lines) kept back until their day closes, "
        f"{totals['lines_late']:,} lines late, {totals['lines_quarantined']:,} quarantined, "
        f"in {seconds:.1f} s"
    )
    if not totals["lines_late"]:
        return text
    return (
        f"{text}; files are read by modification time: if that is not the order of their days, raise "
        "purchases.allowed_lateness_days or purchases.max_files_per_trigger"
    )
