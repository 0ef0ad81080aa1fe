"""What every way of summing up purchases has in common: the request, the batch, the report."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import click
import pandas as pd
from pyspark.sql import DataFrame, Observation

from retail_clusters import schema
from retail_clusters.data import invoices
from retail_clusters.errors import DifferenceFoundError
from retail_clusters.infra import tracking
from retail_clusters.purchases import charts as purchases_charts
from retail_clusters.purchases import spend as core
from retail_clusters.settings import Purchases

Mode = Literal["batch", "stream"]
Sink = Literal["memory", "parquet"]

_CHARTED: Final = 15


@dataclass(frozen=True)
class Request:
    """What was asked for, checked."""

    data: str
    mode: Mode
    top: int
    output: Path
    sink: Sink
    checkpoint: Path | None
    once: bool
    settings: Purchases


def summed(parsed: DataFrame) -> tuple[DataFrame, Observation]:
    """Return the spend of parsed lines, and the counts of lines that are known once it is computed."""
    counts = Observation()
    checked = core.summable(parsed).observe(counts, *core.tally())
    return core.spend(invoices.good(checked)), counts


def report(result: DataFrame, request: Request, *, metrics: Mapping[str, float]) -> None:
    """Print the top of a result and log it: table, charts, metrics."""
    rows = table_rows(result, request.top)
    click.echo(purchases_charts.table(rows))
    names = (schema.CUSTOMER_ID, core.DAY, *core.COLUMNS[2:])
    tracking.log_table(pd.DataFrame(rows, columns=list(names)), "top")
    days = core.per_day(result)
    totals = {"days": len(days), "total_cost": float(sum(day[1] for day in days))}
    tracking.log_metrics(totals | dict(metrics))
    if days:
        customers = [(row[0], row[1], row[2]) for row in core.top_customers(result, _CHARTED)]
        tracking.log_figure(purchases_charts.customers_chart(customers), "top_customers.png")
        spent = [(row[0], row[1]) for row in days]
        tracking.log_figure(purchases_charts.days_chart(spent), "spend_per_day.png")


def report_parity(found: core.Parity, *, summary: str) -> None:
    """Say whether stream and batch agree; log it.

    Raises:
        DifferenceFoundError: they do not.
    """
    verdict = f"{found.differing:,} of {found.customer_days:,} customer-days differ from the batch"
    click.echo(f"purchases: {verdict}; {summary}")
    tracking.log_metrics({"parity_customer_days": found.customer_days, "parity_differing": found.differing})
    tracking.log_text(f"# Parity of stream and batch\n\n{verdict}.\n\n{summary}.\n", "parity.md")
    if found.differing:
        tracking.log_table(
            pd.DataFrame([row.asDict(recursive=True) for row in found.examples]), "differences"
        )
        raise DifferenceFoundError(
            f"a stream must give what a batch over the same files gives, but {verdict}: "
            "see differences.csv in the run, and keep the checkpoint for whoever looks into it"
        )


def table_rows(result: DataFrame, top: int) -> list[tuple[Any, ...]]:
    """Return the largest customer-days with the window as its day."""
    return [(row[0], row[core.WINDOW].start.date(), *row[2:]) for row in core.largest(result, top)]
