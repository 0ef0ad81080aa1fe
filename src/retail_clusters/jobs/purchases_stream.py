"""The two streams of `purchases`: a live table that ends, and closed days appended for ever."""

import contextlib
import io
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import click
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.types import StructType

from retail_clusters import schema
from retail_clusters.core import invoices
from retail_clusters.core import purchases as core
from retail_clusters.io import line_stream, purchases_charts, tracking
from retail_clusters.io import purchases_sink as sink
from retail_clusters.jobs.purchases_report import Request, report, report_parity, summed, table_rows
from retail_clusters.settings import Purchases

QUERY_NAME: Final = "customer_purchases"
TOP_SQL: Final = f"SELECT * FROM {QUERY_NAME} ORDER BY total_cost DESC"

_FEW_FILES: Final = 4
_LATE_LINE: Final = StructType(
    [schema.QUARANTINED_LINE[schema.LINE], schema.QUARANTINED_LINE[schema.SOURCE_FILE]]
)


def live(spark: SparkSession, request: Request) -> None:
    """Drain the files through the memory table, show it as it grows, compare it with the batch."""
    session = line_stream.small_session(spark)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="retail-clusters-purchases-") as folder:
        checkpoint = Path(folder) / "checkpoint"
        query = start_live(session, request.data, settings=request.settings, checkpoint=checkpoint)
        with _stopped(query):
            _watch(query, body=partial(_top_table, session, request.top))
        _log_plan(query)
        files = line_stream.committed_files(checkpoint)
    seconds = time.perf_counter() - started
    result = session.table(QUERY_NAME)
    batch, counts = summed(invoices.parse(line_stream.read_files(session, files)))
    found = core.parity(result, batch)
    sink.write_table(result, request.output)
    bad, lines = counts.get[core.QUARANTINED], counts.get[core.LINES]
    counted = {"files": len(files), "lines": lines, "lines_quarantined": bad, "customer_days": result.count()}
    report(result, request, metrics=counted | {"seconds": seconds})
    summary = (
        f"{lines:,} lines in {len(files)} files, {bad:,} quarantined, none late, drained in {seconds:.1f} s"
    )
    report_parity(found, summary=summary)


def start_live(session: SparkSession, data: str, *, settings: Purchases, checkpoint: Path) -> StreamingQuery:
    """Start to drain the files of `data` into the session's table `customer_purchases`."""
    writer = core.spend(_good_lines(session, data, settings)).writeStream.format("memory")
    writer = writer.queryName(QUERY_NAME).outputMode("complete").trigger(availableNow=True)
    return writer.option("checkpointLocation", str(checkpoint)).start()


def append(spark: SparkSession, request: Request) -> None:
    """Write each day once the watermark has closed it; when drained, account for every line."""
    session = line_stream.small_session(spark)
    output, checkpoint = request.output, request.checkpoint or request.output / "checkpoint"
    identity, last = line_stream.query_id(checkpoint), line_stream.last_batch(checkpoint)
    sink.check_resumable(output, checkpoint, query=identity, committed=last is not None)
    lateness = f"{request.settings.allowed_lateness_days} days"
    timed = _good_lines(session, request.data, request.settings, lateness=lateness)
    writer = (
        core.spend(timed).writeStream.outputMode("append").foreachBatch(partial(_take, output, checkpoint))
    )
    writer = writer.option("checkpointLocation", str(checkpoint.absolute()))
    writer = writer.trigger(availableNow=True) if request.once else writer.trigger(processingTime="0 seconds")
    started = time.perf_counter()
    query = writer.start()
    with _stopped(query):
        try:
            _watch(query, body=str)
        except KeyboardInterrupt:
            click.echo("purchases: stopping; the same command goes on from here")
    _log_plan(query)
    _account(session, request, checkpoint, seconds=time.perf_counter() - started)


def _good_lines(
    session: SparkSession, data: str, settings: Purchases, *, lateness: str | None = None
) -> DataFrame:
    """Read the stream's good lines; a batch of a few small files is one task, without a shuffle."""
    files = settings.max_files_per_trigger
    lines = line_stream.read_stream(session, data, max_files_per_trigger=files)
    good = invoices.good(core.summable(invoices.parse(lines)))
    timed = good.withWatermark(schema.INVOICE_DATE, lateness) if lateness else good
    return timed.coalesce(1) if files <= _FEW_FILES else timed


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


def _watch(query: StreamingQuery, *, body: Callable[[], str]) -> None:
    """Show how far the stream is until it ends."""
    screen = purchases_charts.Screen()
    shown = -1
    try:
        while not query.awaitTermination(screen.interval):
            progress = query.lastProgress
            if progress and progress.batchId > shown:
                shown, states = progress.batchId, progress.stateOperators
                held = states[0].numRowsTotal if states else 0
                screen.draw(f"purchases: batch {shown}, {held:,} customer-days in the state store", body())
    finally:
        screen.clear()


def _top_table(session: SparkSession, top: int) -> str:
    return purchases_charts.table(table_rows(session.sql(TOP_SQL), top))


@contextlib.contextmanager
def _stopped(query: StreamingQuery) -> Iterator[None]:
    """Stop the query however the block ends."""
    try:
        yield
    finally:
        query.stop()


def _log_plan(query: StreamingQuery) -> None:
    """Log the physical plan of the last batch: Spark prints it, so it is caught."""
    with contextlib.redirect_stdout(io.StringIO()) as plan:
        query.explain()
    tracking.log_text(plan.getvalue(), "physical_plan.txt")
