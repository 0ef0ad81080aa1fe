"""Invoice lines → spend per customer and day, at rest or as a stream.

OUTPUT/purchases, OUTPUT/purchases.csv   the customer-days
OUTPUT/quarantine                        lines that are not counted, as they came, and why
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click
import pandas as pd
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from retail_clusters import schema
from retail_clusters.data import csv_files, invoices, listing, quarantine
from retail_clusters.data.csv_files import Layout
from retail_clusters.data.listing import Account
from retail_clusters.data.quarantine import Reason, Tally
from retail_clusters.errors import DifferenceFoundError, InputError
from retail_clusters.infra import locations, markdown, storage
from retail_clusters.infra.locations import for_display, join
from retail_clusters.infra.spark import small_session
from retail_clusters.infra.stream import DRAIN, start, stopped
from retail_clusters.input_settings import Input
from retail_clusters.purchases.request import PurchasesRequest
from retail_clusters.purchases.spend import (
    COLUMNS,
    DAY,
    LINES,
    QUARANTINED,
    TOTAL_COST,
    Parity,
    by_day,
    largest,
    parity,
    spend,
    summed,
)
from retail_clusters.registry import tracking
from retail_clusters.settings import Purchases
from retail_clusters.wording import pluralize

#: The table that the stream keeps up to date.
TABLE: Final = "customer_purchases"
PURCHASES: Final = "purchases"

#: Rows of the table in the run's description, and seconds between two looks at it as it grows.
_DESCRIBED: Final = 10
_SHOW_EVERY: Final = 5
#: A batch of so few files is one task, without a shuffle.
_FEW_FILES: Final = 4


@dataclass(frozen=True)
class Summary:
    """What one call of `purchases` wrote and found: metrics as in MLflow, the largest rows, what is left out."""

    output: str
    metrics: Mapping[str, float]
    top: Sequence[Mapping[Any, object]]
    reasons: Sequence[Reason]
    account: Account


def run(spark: SparkSession, request: PurchasesRequest) -> Summary:
    """Do what a checked request asks for, in an MLflow run of its own.

    Raises:
        InputError: a file is damaged, or too many lines are quarantined.
        DifferenceFoundError: the stream and the batch differ.
    """
    with tracking.run("purchases"):
        params = {"data": request.data, "mode": request.mode, "top": str(request.top)}
        settings = {f"purchases.{name}": str(value) for name, value in request.settings.model_dump().items()}
        tracking.log_settings(params | settings)
        tracking.set_tags({"output": request.place})
        return _sum_up(small_session(spark) if request.mode == "stream" else spark, request)


def _sum_up(session: SparkSession, request: PurchasesRequest) -> Summary:
    """Sum up the files as a batch, and of a stream as one, too; write and report what comes of it."""
    started = time.perf_counter()
    found, layouts = csv_files.check_data(locations.to_uri(request.data), request.how)
    parsed, seen = invoices.read(session, layouts, how=request.how)
    batch, observed = summed(parsed)
    batch = batch.cache()
    with csv_files.naming_damage(session, found.locations):
        customer_days, counted = batch.count(), observed.get
    listing.check_read(found.locations, invoices.files_seen(seen))
    reasons = _write_quarantine(parsed if counted[QUARANTINED] else None, request)
    quarantine.check_share(reasons, of=counted[LINES], how=request.how)
    agreement = None
    if request.mode == "stream":
        drain(session, request, layouts=layouts)
        agreement = parity(session.table(TABLE), batch)
    result = batch if agreement is None else session.table(TABLE)
    _write_table(result, request.place)
    metrics = {
        "files": len(found.files),
        "lines": counted[LINES],
        "lines_quarantined": counted[QUARANTINED],
        "customer_days": customer_days,
        "seconds": time.perf_counter() - started,
    }
    summary = _report(result, request, metrics=metrics, reasons=reasons, account=listing.account(found))
    batch.unpersist()
    if agreement is not None:
        report_parity(agreement, customer_days=customer_days)
    return summary


def drain(session: SparkSession, request: PurchasesRequest, *, layouts: Mapping[str, Layout]) -> None:
    """Drain files through the table in memory, and show it every few seconds."""
    lines = stream_lines(session, request.data, settings=request.settings, how=request.how, layouts=layouts)
    # The stream's state lies beside its result, where executors reach it as they do that.
    checkpoint = join(request.place, "_checkpoint")
    storage.remove(checkpoint)  # of one that was killed
    stream = start_live(lines, checkpoint=checkpoint)
    try:
        with stopped(stream):
            while not stream.awaitTermination(_SHOW_EVERY):
                shown = table(cells(largest(session.table(TABLE), request.top)))
                click.echo(f"purchases: so far\n{shown}")
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


def _write_table(result: DataFrame, output: str) -> None:
    """Write OUTPUT/purchases (Parquet) and OUTPUT/purchases.csv in place of earlier ones."""
    result.write.mode("overwrite").parquet(locations.to_uri(join(output, PURCHASES)))
    rows = by_day(result).orderBy(DAY, schema.CUSTOMER_ID).toPandas()
    storage.write_text(join(output, f"{PURCHASES}.csv"), rows.to_csv(index=False))


def _write_quarantine(parsed: DataFrame | None, request: PurchasesRequest) -> tuple[Reason, ...]:
    """Keep the lines that are not counted in OUTPUT/quarantine, in place of what is there; return why."""
    folder, tally = join(request.place, schema.QUARANTINE), Tally()
    if parsed is None:
        storage.remove(folder)
    else:
        invoices.quarantined(parsed).write.mode("overwrite").parquet(locations.to_uri(folder))
        tally.add(quarantine.read(folder))
    return tally.reasons(request.how)


def _report(
    result: DataFrame,
    request: PurchasesRequest,
    *,
    metrics: Mapping[str, float],
    reasons: Sequence[Reason],
    account: Account,
) -> Summary:
    """Print the top of a result and what is left out; log table, metrics and description."""
    rows, of = largest(result, request.top), int(metrics["lines"])
    top, shown = pd.DataFrame(rows, columns=[schema.CUSTOMER_ID, DAY, *COLUMNS[2:]]), cells(rows)
    days, total = by_day(result).agg(F.count_distinct(DAY), F.sum(TOTAL_COST)).collect()[0]
    tracking.log_metrics({**metrics, "days": days, "total_cost": float(total or 0)})
    tracking.log_table(top, "top")
    counts = (
        f"{metrics['customer_days']:,} customer-days of {pluralize(of, 'line')} in "
        f"{pluralize(int(metrics['files']), 'file')}, {metrics['lines_quarantined']:,} quarantined"
    )
    click.echo(table(shown))
    click.echo(f"purchases: {counts}, in {metrics['seconds']:.1f} s; written to {for_display(request.place)}")
    quarantine.echo("purchases", reasons, of=of, account=account)
    paragraphs = [
        f"Spend per customer and day of `{for_display(request.data)}` as a {request.mode}: {counts}.",
        markdown.table(list(shown.columns), shown.head(_DESCRIBED).values.tolist()),
        *quarantine.described(reasons, of=of, account=account),
    ]
    tracking.describe("\n\n".join(paragraphs))
    return Summary(request.place, metrics, top.to_dict("records"), reasons, account)


def report_parity(found: Parity, *, customer_days: int) -> None:
    """Say whether stream and batch agree; log it.

    Raises:
        DifferenceFoundError: they do not.
    """
    verdict = f"{found.differing:,} of {customer_days:,} customer-days differ from the batch"
    click.echo(f"purchases: {verdict}")
    tracking.log_metrics({"parity_customer_days": customer_days, "parity_differing": found.differing})
    if found.differing:
        examples = [row.asDict(recursive=True) for row in found.examples]
        tracking.log_table(pd.DataFrame(examples), "differences")
        raise DifferenceFoundError(
            f"a stream must give what a batch over the same files gives, but {verdict}: see differences.csv "
            "in the run, and start again if a file has changed meanwhile"
        )


def cells(rows: Sequence[Row]) -> pd.DataFrame:
    """Return customer-days as text: totals to the cent, a missing customer as the notebook shows it."""
    written = [
        ("null" if customer is None else customer, f"{day}", f"{total:,.2f}", f"{lines:,}", f"{cancelled:,}")
        for customer, day, total, lines, cancelled in rows
    ]
    return pd.DataFrame(written, columns=[schema.CUSTOMER_ID, DAY, *COLUMNS[2:]])


def table(frame: pd.DataFrame) -> str:
    """Lay out a frame for the terminal."""
    return frame.to_string(index=False) if len(frame) else "(no rows)"
