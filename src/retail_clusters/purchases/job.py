"""Invoice lines → spend per customer and day, at rest or as a stream.

OUTPUT/purchases, OUTPUT/purchases.csv   the customer-days
OUTPUT/quarantine                        lines that are not counted, as they came, and why
"""

import contextlib
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from retail_clusters import schema
from retail_clusters.data import csv_files, invoices, listing, quarantine
from retail_clusters.data.csv_files import Layout
from retail_clusters.data.listing import Account, Listing
from retail_clusters.data.quarantine import Reason, Tally
from retail_clusters.errors import DifferenceFoundError, InputError
from retail_clusters.infra import locations, markdown, storage
from retail_clusters.infra.locations import for_display, join
from retail_clusters.infra.locks import lock
from retail_clusters.infra.spark import saying_what_is_wrong, small_session
from retail_clusters.infra.storage import staged_folder
from retail_clusters.infra.stream import DRAIN, start, stopped
from retail_clusters.input_settings import Input
from retail_clusters.purchases import charts
from retail_clusters.purchases.request import PurchasesRequest, check
from retail_clusters.purchases.spend import (
    COLUMNS,
    DAY,
    LINES,
    QUARANTINED,
    WINDOW,
    Parity,
    largest,
    parity,
    per_day,
    spend,
    summed,
)
from retail_clusters.registry import tracking
from retail_clusters.settings import Purchases
from retail_clusters.wording import pluralize

__all__ = ["PurchasesRequest", "check", "run"]

#: The table that is asked by SQL.
TABLE: Final = "customer_purchases"
PURCHASES: Final = "purchases"

_DESCRIBED: Final = 10
#: Seconds between two looks at the table as it grows.
_SHOW_EVERY: Final = 5.0
#: A batch of so few files is one task, without a shuffle.
_FEW_FILES: Final = 4
_QUARANTINED_LINE: Final = pa.schema([(name, pa.string()) for name in schema.QUARANTINED_LINE.names])


@dataclass(frozen=True)
class Summary:
    """What one call of `purchases` wrote and found.

    Attributes:
        metrics: under their names in MLflow.
        top: the largest rows of the table, by column.
        answer: the first rows of the answer to `sql`; None where nothing was asked.
    """

    output: str
    metrics: Mapping[str, float]
    top: Sequence[Mapping[Any, object]]
    answer: Sequence[Mapping[Any, object]] | None = None
    reasons: Sequence[Reason] = ()
    account: Account | None = None


def run(spark: SparkSession, request: PurchasesRequest) -> Summary:
    """Do what a checked request asks for, in an MLflow run of its own.

    Raises:
        InputError: another process writes to the output, or `sql` is no query.
        DifferenceFoundError: the stream and the batch differ.
    """
    if request.sql is not None:
        check_sql(spark, request.sql)
    with writing_to(request.place), tracking.run("purchases"):
        params = {"data": request.data, "mode": request.mode, "top": str(request.top)}
        settings = {f"purchases.{name}": str(value) for name, value in request.settings.model_dump().items()}
        tracking.log_settings(params | settings)
        tracking.set_tags({"output": request.place})
        return _sum_up(small_session(spark) if request.mode == "stream" else spark, request)


@contextlib.contextmanager
def writing_to(place: str) -> Iterator[None]:
    """Be the only one of `purchases` that writes to a folder; make it, and remove what a killed one left.

    Raises:
        InputError: another process writes to it.
    """
    storage.make_folder(place)
    purpose = f"one purchases at a time writes to {for_display(place)}"
    with lock(join(place, ".purchases.lock"), purpose=purpose):
        storage.remove_drafts(place)
        yield


def _sum_up(session: SparkSession, request: PurchasesRequest) -> Summary:
    """Sum up the files as a batch, and of a stream as one, too; write the table, report and answer."""
    started = time.perf_counter()
    found = listing.require(locations.to_uri(request.data))
    layouts, damaged = _readable(session, found, how=request.how)
    parsed, seen = invoices.read(session, layouts, how=request.how)
    batch, observed = summed(parsed)
    batch = batch.cache()
    agreement = None
    if request.mode == "stream":
        drain(session, request, layouts=layouts)
        agreement = parity(session.table(TABLE), batch)
    customer_days, counted = batch.count(), observed.get
    listing.check_read(list(layouts), invoices.files_seen(seen))
    bad = parsed if counted[QUARANTINED] else None
    reasons = write_quarantine(request.place, lines=bad, files=damaged, how=request.how)
    quarantined = sum(each.lines for each in reasons)
    lines = counted[LINES] - counted[QUARANTINED] + quarantined
    quarantine.check_share(reasons, of=lines, how=request.how)
    result = write_table(batch if agreement is None else session.table(TABLE), request.place)
    batch.unpersist()
    result.createOrReplaceTempView(TABLE)
    metrics = {
        "files": len(found.files),
        "lines": lines,
        "lines_quarantined": quarantined,
        "customer_days": customer_days,
        "seconds": time.perf_counter() - started,
    }
    account = listing.account(found, quarantined=len(damaged))
    return report(result, request, metrics=metrics, agreement=agreement, reasons=reasons, account=account)


def _readable(
    session: SparkSession, found: Listing, *, how: Input
) -> tuple[dict[str, Layout], dict[str, str]]:
    """Return the files that unpack to their end, each with its layout, and the others, each with the reason.

    Raises:
        InputError: no file is readable, or one has another header.
    """
    damaged = {file: why for file in found.locations if (why := csv_files.damage(session, file))}
    layouts = csv_files.check_headers([file for file in found.locations if file not in damaged], how)
    if not layouts:
        raise InputError(
            "data needs at least one file that unpacks to its end, but found none: copy them anew"
        )
    return layouts, damaged


def drain(session: SparkSession, request: PurchasesRequest, *, layouts: Mapping[str, Layout]) -> None:
    """Drain files through the table in memory; show it, or the answer to the query, every few seconds."""
    lines = stream_lines(session, request.data, settings=request.settings, how=request.how, layouts=layouts)
    # The stream's state lies beside its result, where executors reach it as they do that.
    checkpoint = storage.draft_beside(join(request.place, PURCHASES))
    stream, shown = start_live(lines, checkpoint=checkpoint), time.monotonic()
    try:
        with stopped(stream):
            while not stream.awaitTermination(1):
                if time.monotonic() - shown > _SHOW_EVERY:
                    click.echo(f"purchases: so far\n{_so_far(session, request)}")
                    shown = time.monotonic()
    finally:
        storage.remove(checkpoint)


def stream_lines(
    session: SparkSession, data: str, *, settings: Purchases, how: Input, layouts: Mapping[str, Layout]
) -> DataFrame:
    """Read the good lines of some files as they arrive.

    Raises:
        InputError: the files have more than one header, and a stream can be parsed by one alone.
    """
    by_header = {layout: file for file, layout in layouts.items()}
    if len(by_header) > 1:
        two = " and ".join(for_display(file) for file in list(by_header.values())[:2])
        raise InputError(f"mode=stream needs one header in all files, but {two} differ: use mode=batch")
    (layout,) = by_header
    lines = csv_files.read_line_stream(
        session, data, max_files_per_trigger=settings.max_files_per_trigger, layout=layout, how=how
    )
    names = [locations.quoted(file) for file in layouts]
    parsed = invoices.parse(lines.where(F.col(schema.SOURCE_FILE).isin(names)), layout=layout, how=how)
    good = invoices.good(parsed)
    return good.coalesce(1) if settings.max_files_per_trigger <= _FEW_FILES else good


def start_live(lines: DataFrame, *, checkpoint: str) -> StreamingQuery:
    """Start to drain a stream of good lines into its session's table `customer_purchases`."""
    writer = spend(lines).writeStream.format("memory").queryName(TABLE).outputMode("complete")
    return start(writer.trigger(**DRAIN), session=lines.sparkSession, checkpoint=checkpoint)


def _so_far(session: SparkSession, request: PurchasesRequest) -> str:
    if request.sql is None:
        return charts.table(charts.cells(_rows(session.table(TABLE), request.top)))
    return charts.table(answer(session, request.sql, top=request.top))


def check_sql(spark: SparkSession, sql: str) -> None:
    """Refuse what is not one query over the table, before there is anything in it.

    Raises:
        InputError: says what Spark finds wrong with it.
    """
    spend(spark.createDataFrame([], schema.INVOICE_LINE)).createOrReplaceTempView(TABLE)
    try:
        # As a query within a query it cannot be a command, which Spark would carry out at once.
        with saying_what_is_wrong(f"sql must be one query over {TABLE} (columns {', '.join(COLUMNS)})"):
            spark.sql(f"SELECT * FROM (\n{_without_end(sql)}\n)")
    finally:
        spark.catalog.dropTempView(TABLE)


def answer(spark: SparkSession, sql: str, *, top: int) -> pd.DataFrame:
    """Return the first rows of the answer to a query."""
    return spark.sql(_without_end(sql)).limit(top).toPandas()


def _without_end(sql: str) -> str:
    return sql.strip().rstrip(";")


def write_table(result: DataFrame, output: str) -> DataFrame:
    """Put OUTPUT/purchases (Parquet) and OUTPUT/purchases.csv in place of earlier ones; return the table."""
    written = write_parquet(result, join(output, PURCHASES))
    day = F.to_date(F.col(WINDOW)["start"]).alias(DAY)
    rows = written.select(schema.CUSTOMER_ID, day, *COLUMNS[2:]).coalesce(1)
    write_csv(rows.sortWithinPartitions(DAY, schema.CUSTOMER_ID), join(output, f"{PURCHASES}.csv"))
    return written


def write_parquet(result: DataFrame, folder: str) -> DataFrame:
    """Put a folder of Parquet in place of an earlier one, which stays until the new one is whole; read it."""
    with staged_folder(folder) as staged:
        result.write.mode("overwrite").parquet(locations.to_uri(staged))
    return result.sparkSession.read.parquet(locations.literal(folder))


def write_csv(rows: DataFrame, file: str) -> None:
    """Put one CSV file with a header in place of an earlier one, from rows in one partition."""
    draft = storage.draft_beside(file)
    try:
        rows.write.option("header", True).csv(locations.to_uri(draft))
        (part,) = storage.list_files(draft, suffixes=[".csv"])
        with storage.open_read(part.location) as source, storage.open_write(file) as target:
            shutil.copyfileobj(source, target)
    finally:
        storage.remove(draft)


def write_quarantine(
    output: str, *, lines: DataFrame | None, files: Mapping[str, str], how: Input
) -> tuple[Reason, ...]:
    """Keep what is not counted in OUTPUT/quarantine, in place of what is there; return why.

    Takes parsed lines, or None where all are good, and files that cannot be read, each with the reason.
    """
    folder, tally = join(output, schema.QUARANTINE), Tally()
    if lines is None and not files:
        storage.remove(folder)
        return ()
    rows = [
        row for file, why in files.items() for row in csv_files.quarantine_rows(file, reason=why, how=how)
    ]
    with staged_folder(folder) as staged:
        if lines is not None:
            invoices.quarantined(lines).write.mode("append").parquet(locations.to_uri(staged))
        if rows:
            with storage.open_write(join(staged, "files.parquet")) as stream:
                pq.write_table(pa.Table.from_pylist(rows, schema=_QUARANTINED_LINE), stream)
        tally.add(quarantine.read(staged))
    return tally.reasons(how)


def report(
    result: DataFrame,
    request: PurchasesRequest,
    *,
    metrics: Mapping[str, float],
    agreement: Parity | None,
    reasons: Sequence[Reason],
    account: Account,
) -> Summary:
    """Print the top of a result and the answer to the request's query; log table and metrics.

    Raises:
        DifferenceFoundError: stream and batch differ.
    """
    rows = _rows(result, request.top)
    cells = charts.cells(rows)
    top = pd.DataFrame(rows, columns=list(cells.columns))
    days = [(row[0], row[1]) for row in per_day(result)]
    totals = {"days": len(days), "total_cost": float(sum(total for _, total in days))}
    tracking.log_metrics({**metrics, **totals})
    tracking.log_table(top, "top")
    found = None if request.sql is None else answer(result.sparkSession, request.sql, top=request.top)
    for frame in (cells, found):
        if frame is not None:
            click.echo(charts.table(frame))
    counts = (
        f"{metrics['customer_days']:,} customer-days of {pluralize(int(metrics['lines']), 'line')} in "
        f"{pluralize(int(metrics['files']), 'file')}, {metrics['lines_quarantined']:,} quarantined"
    )
    click.echo(f"purchases: {counts}, in {metrics['seconds']:.1f} s; written to {for_display(request.place)}")
    quarantine.echo("purchases", reasons, of=int(metrics["lines"]), account=account)
    notes = quarantine.described(reasons, of=int(metrics["lines"]), account=account)
    tracking.describe("\n\n".join([_description(request, counts, cells), *notes]))
    if agreement is not None:
        report_parity(agreement)
    return Summary(
        request.place,
        metrics,
        top=top.to_dict("records"),
        answer=None if found is None else found.to_dict("records"),
        reasons=reasons,
        account=account,
    )


def report_parity(found: Parity) -> None:
    """Say whether stream and batch agree; log it.

    Raises:
        DifferenceFoundError: they do not.
    """
    verdict = f"{found.differing:,} of {found.customer_days:,} customer-days differ from the batch"
    click.echo(f"purchases: {verdict}")
    tracking.log_metrics({"parity_customer_days": found.customer_days, "parity_differing": found.differing})
    if found.differing:
        examples = [row.asDict(recursive=True) for row in found.examples]
        tracking.log_table(pd.DataFrame(examples), "differences")
        raise DifferenceFoundError(
            f"a stream must give what a batch over the same files gives, but {verdict}: see differences.csv "
            "in the run, and start again if a file has changed meanwhile"
        )


def _rows(result: DataFrame, top: int) -> list[tuple[Any, ...]]:
    """Return the largest customer-days with the window as its day.

    A window comes to Python in the time zone of this machine, where its start may be on another day.
    """
    by_day = result.withColumn(WINDOW, F.to_date(F.col(WINDOW)["start"]))
    return [tuple(row) for row in largest(by_day, top)]


def _description(request: PurchasesRequest, counts: str, top: pd.DataFrame) -> str:
    """Write the description of the run for the MLflow UI."""
    return "\n\n".join(
        [
            f"Spend per customer and day of `{for_display(request.data)}` as a {request.mode}: {counts}.",
            markdown.table(list(top.columns), top.head(_DESCRIBED).values.tolist()),
        ]
    )
