"""What every way of summing up purchases reports: the top on the terminal, the rest in the MLflow run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click
import pandas as pd
from pyspark.sql import DataFrame, SparkSession

from retail_clusters import schema
from retail_clusters.errors import DifferenceFoundError
from retail_clusters.purchases import charts, query, spend
from retail_clusters.purchases.description import of_purchases
from retail_clusters.purchases.request import PurchasesRequest
from retail_clusters.registry import tracking

_CHARTED: Final = 15


@dataclass(frozen=True)
class Summary:
    """What one call of `purchases` wrote and found.

    Attributes:
        metrics: its figures, under their names in MLflow.
        top: the largest rows of the table, by column.
        answer: the first rows of the answer to `sql`; None where nothing was asked.
    """

    output: str
    metrics: Mapping[str, float]
    top: Sequence[Mapping[Any, object]]
    answer: Sequence[Mapping[Any, object]] | None = None


def report(result: DataFrame | None, request: PurchasesRequest, *, metrics: Mapping[str, float]) -> Summary:
    """Print the top of a result, if there is one, and log it: table, charts, metrics."""
    tracking.log_metrics(metrics)
    if result is None:
        return Summary(request.place, metrics, top=[])
    rows = table_rows(result, request.top)
    tracking.describe(of_purchases(request, metrics=metrics, rows=rows))
    click.echo(charts.table(rows))
    names = (schema.CUSTOMER_ID, spend.DAY, *spend.COLUMNS[2:])
    top = pd.DataFrame(rows, columns=list(names))
    tracking.log_table(top, "top")
    days = spend.per_day(result)
    tracking.log_metrics({"days": len(days), "total_cost": float(sum(day[1] for day in days))})
    if days:
        customers = [(row[0], row[1], row[2]) for row in spend.top_customers(result, _CHARTED)]
        tracking.log_chart(charts.customers_chart(customers), "top_customers.png")
        spent = [(row[0], row[1]) for row in days]
        tracking.log_chart(charts.days_chart(spent), "spend_per_day.png")
    return Summary(request.place, metrics, top=top.to_dict("records"))


def report_answer(spark: SparkSession, request: PurchasesRequest) -> Sequence[Mapping[Any, object]] | None:
    """Print the answer to the request's own query, and return its rows; None where it has none."""
    if request.sql is None:
        return None
    found = query.answer(spark, request.sql, top=request.top)
    click.echo(query.for_display(found))
    return found.to_dict("records")


def report_parity(found: spend.Parity, *, summary: str) -> None:
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
            f"a stream must give what a batch over the same files gives, but {verdict}: see differences.csv "
            "in the run; unless a file has changed since it was read, keep the checkpoint for whoever looks "
            "into it"
        )


def table_rows(result: DataFrame, top: int) -> list[tuple[Any, ...]]:
    """Return the largest customer-days with the window as its day."""
    return [(row[0], row[spend.WINDOW].start.date(), *row[2:]) for row in spend.largest(result, top)]
