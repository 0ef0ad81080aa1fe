"""The clusters seen from the customers who bought: a description, on which nothing is trained."""

from typing import Final

import click
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.errors import InputError
from retail_clusters.infra.locations import for_display, join
from retail_clusters.purchases import charts
from retail_clusters.purchases.job import Summary, write_csv, write_parquet, writing_to
from retail_clusters.purchases.spend import LINES, PRICE, TOTAL
from retail_clusters.registry import tracking

#: Where the table is written unless told.
OUTPUT: Final = "output/purchases/customers"

RECENCY: Final = "recency_days"
FREQUENCY: Final = "frequency"
SPEND: Final = "spend"
CANCELLED: Final = "cancelled_spend"
SHARE: Final = "share_of_cluster_"

_NAME: Final = "customers"
_SHOWN: Final = [schema.CUSTOMER_ID, RECENCY, FREQUENCY, SPEND, CANCELLED, LINES]


def describe_customers(scored: DataFrame, *, clusters: int) -> DataFrame:
    """Describe each customer by the scored lines, those of the largest spend first.

    Takes invoice lines with a `prediction` from 0 to `clusters` - 1. Lines without a customer are left out;
    a price that no exact sum can hold costs nothing. `recency_days`
    counts from the customer's last purchase to the newest line; `frequency` counts invoices that are no
    cancellation; `spend` is the sum over all lines, `cancelled_spend` the part of it that is cancellations;
    `share_of_cluster_N` is the share of the customer's lines in cluster N.
    """
    day = F.to_date(schema.INVOICE_DATE)
    cancelled = F.coalesce(F.col(schema.INVOICE_NO).startswith("C"), F.lit(False))
    cost = F.coalesce(F.col(schema.UNIT_PRICE).try_cast(PRICE) * F.col(schema.QUANTITY), F.lit(0).cast(TOTAL))
    newest = scored.agg(F.max(day).alias("_newest"))
    shares = {
        f"{SHARE}{at}": F.avg((F.col(schema.PREDICTION) == at).cast("double")) for at in range(clusters)
    }
    described = scored.where(F.col(schema.CUSTOMER_ID).isNotNull())
    return (
        described.groupBy(schema.CUSTOMER_ID)
        .agg(
            F.max(F.when(~cancelled, day)).alias("_last"),
            F.count_distinct(F.when(~cancelled, F.col(schema.INVOICE_NO))).alias(FREQUENCY),
            F.sum(cost).cast(TOTAL).alias(SPEND),
            F.coalesce(F.sum(F.when(cancelled, cost)), F.lit(0)).cast(TOTAL).alias(CANCELLED),
            F.count(F.lit(1)).alias(LINES),
            *(share.alias(name) for name, share in shares.items()),
        )
        .crossJoin(F.broadcast(newest))
        .withColumn(RECENCY, F.date_diff("_newest", "_last"))
        .select(*_SHOWN, *shares)
        .orderBy(F.desc(SPEND), schema.CUSTOMER_ID)
    )


def run_customers(scored: DataFrame, *, source: str, output: str, top: int) -> Summary:
    """Describe the customers of scored lines; write OUTPUT/customers and OUTPUT/customers.csv.

    `source` is where the lines are from.

    Raises:
        InputError: there are no lines.
    """
    with writing_to(output), tracking.run("customers"):
        tracking.log_settings({"customers": source})
        lines = scored.cache()
        highest = lines.agg(F.max(schema.PREDICTION)).collect()[0][0]
        if highest is None:
            raise InputError(
                f"customers must name the output of score, but found no scored lines in "
                f"{for_display(source)}: name the folder that score wrote to"
            )
        described = describe_customers(lines, clusters=highest + 1)
        table = write_parquet(described, join(output, _NAME)).coalesce(1)
        table = table.sortWithinPartitions(F.desc(SPEND), schema.CUSTOMER_ID)
        lines.unpersist()
        write_csv(table, join(output, f"{_NAME}.csv"))
        first, count = table.limit(top).toPandas(), table.count()
        tracking.log_table(first, _NAME)
        tracking.log_metrics({"customers": count})
        click.echo(charts.table(first[_SHOWN]))
        click.echo(f"purchases: {count:,} customers; written to {for_display(join(output, _NAME))}.csv")
        return Summary(output, {"customers": count}, top=first.to_dict("records"))
