"""The live stream of `purchases`: a table in memory that grows as files are read, and then ends."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any, Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from retail_clusters import schema
from retail_clusters.data import csv_files, invoices
from retail_clusters.infra import checkpoint, locations, storage
from retail_clusters.infra.locations import join
from retail_clusters.infra.spark import small_session
from retail_clusters.infra.streams import DRAIN, start, stopped, wait
from retail_clusters.purchases import charts, query, sink
from retail_clusters.purchases.batch import account, damaged_files, read_parsed
from retail_clusters.purchases.report import Summary, report, report_answer, report_parity, table_rows
from retail_clusters.purchases.request import PurchasesRequest
from retail_clusters.purchases.spend import parity, spend, summed
from retail_clusters.purchases.stream import FEW_FILES, for_display, plan_of
from retail_clusters.registry import tracking
from retail_clusters.settings import Columns, Purchases
from retail_clusters.wording import pluralize

TOP_SQL: Final = f"SELECT * FROM {query.TABLE} ORDER BY total_cost DESC"


def run_live(spark: SparkSession, request: PurchasesRequest) -> Summary:
    """Drain the files through the memory table, show it as it grows, compare it with the batch."""
    session = small_session(spark)
    body = _body(session, request.sql, top=request.top)
    damaged = damaged_files(map(locations.to_uri, csv_files.find_files(request.data)))
    started = time.perf_counter()
    with _scratch(request.place) as place:
        lines = stream_lines(
            session, request.data, settings=request.settings, columns=request.columns, without=damaged
        )
        stream = start_live(lines, checkpoint=place)
        with stopped(stream), for_display(lambda: _headline(stream), body) as show:
            wait(stream, meanwhile=show)
        tracking.log_text(plan_of(stream), "physical_plan.txt")
        files = checkpoint.committed_files(place)
    seconds = time.perf_counter() - started
    return _finish(session, request, files, damaged, seconds=seconds)


def stream_lines(
    session: SparkSession,
    data: str,
    *,
    settings: Purchases,
    columns: Columns,
    without: Mapping[str, str] | None = None,
) -> DataFrame:
    """Read the good lines of files as they arrive, but for those of some files."""
    lines = csv_files.read_line_stream(
        session, data, max_files_per_trigger=settings.max_files_per_trigger, columns=columns
    )
    if without:
        names = [csv_files.source_name(file) for file in without]
        lines = lines.where(~F.col(schema.SOURCE_FILE).isin(names))
    good = invoices.good(invoices.parse(lines, columns=columns))
    return good.coalesce(1) if settings.max_files_per_trigger <= FEW_FILES else good


def start_live(lines: DataFrame, *, checkpoint: str) -> StreamingQuery:
    """Start to drain a stream of good lines into its session's table `customer_purchases`."""
    writer = spend(lines).writeStream.format("memory").queryName(query.TABLE).outputMode("complete")
    return start(writer.trigger(**DRAIN), session=lines.sparkSession, checkpoint=checkpoint)


@contextmanager
def _scratch(output: str) -> Iterator[str]:
    """Lend a folder for the stream's state beside its result, where executors reach it as they do that."""
    storage.remove_drafts(output)
    folder = storage.draft_beside(join(output, sink.CHECKPOINT))
    try:
        yield folder
    finally:
        storage.remove(folder)


def _body(session: SparkSession, sql: str | None, *, top: int) -> Callable[[], str]:
    if sql is None:
        return lambda: charts.table(table_rows(session.sql(TOP_SQL), top))
    return lambda: query.for_display(query.answer(session, sql, top=top))


def _headline(stream: StreamingQuery) -> str:
    progress: Any = stream.lastProgress
    if not progress:
        return ""
    states = progress.stateOperators
    held = states[0].numRowsTotal if states else 0
    return f"purchases: batch {progress.batchId}, {held:,} customer-days in the state store"


def _finish(
    session: SparkSession,
    request: PurchasesRequest,
    files: list[str],
    damaged: Mapping[str, str],
    *,
    seconds: float,
) -> Summary:
    """Compare the table with a batch over the files that the stream took; write and report it."""
    readable = [file for file in map(locations.to_uri, files) if file not in damaged]
    csv_files.check_headers(readable, request.columns)
    parsed = read_parsed(session, readable, columns=request.columns)
    batch, observed = summed(parsed)
    found = parity(session.table(query.TABLE), batch)
    result = sink.write_table(session.table(query.TABLE), request.place)
    counts = account(request, result, parsed, observed.get, files=len(files), unreadable=damaged)
    summary = report(result, request, metrics=asdict(counts) | {"seconds": seconds})
    answer = report_answer(session, request)
    report_parity(
        found,
        summary=f"{pluralize(counts.lines, 'line')} in {pluralize(len(files), 'file')}, "
        f"{counts.lines_quarantined:,} quarantined, none late, drained in {seconds:.1f} s",
    )
    return replace(summary, answer=answer)
