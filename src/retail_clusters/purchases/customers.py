"""The clusters seen from the customers who bought: a description, on which nothing is trained."""

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.purchases.spend import PRICE, TOTAL

RECENCY: Final = "recency_days"
FREQUENCY: Final = "frequency"
SPEND: Final = "spend"
CANCELLED: Final = "cancelled_spend"
LINES: Final = "lines"
SHARE: Final = "share_of_cluster_"


def describe_customers(scored: DataFrame, *, clusters: int) -> DataFrame:
    """Describe each customer by the scored lines, those of the largest spend first.

    Takes invoice lines with a `prediction` from 0 to `clusters` - 1. Lines without a customer are left out
    (models fill in customer 0 for them); a price that no exact sum can hold costs nothing. `recency_days`
    counts from the customer's last purchase to the newest line; `frequency` counts invoices that are no
    cancellation; `spend` is the sum over all lines, `cancelled_spend` the part of it that is cancellations;
    `share_of_cluster_N` is the share of the customer's lines in cluster N.
    """
    day = F.to_date(schema.INVOICE_DATE)
    cancelled = F.coalesce(F.col(schema.INVOICE_NO).startswith("C"), F.lit(False))
    cost = F.coalesce(F.col(schema.UNIT_PRICE).try_cast(PRICE) * F.col(schema.QUANTITY), F.lit(0).cast(TOTAL))
    newest = scored.agg(F.max(day).alias("_newest"))
    described = scored.where(F.nullif(F.col(schema.CUSTOMER_ID), F.lit(0.0)).isNotNull())
    return (
        described.groupBy(schema.CUSTOMER_ID)
        .agg(
            F.max(F.when(~cancelled, day)).alias("_last"),
            F.count_distinct(F.when(~cancelled, F.col(schema.INVOICE_NO))).alias(FREQUENCY),
            F.sum(cost).cast(TOTAL).alias(SPEND),
            F.coalesce(F.sum(F.when(cancelled, cost)), F.lit(0)).cast(TOTAL).alias(CANCELLED),
            F.count(F.lit(1)).alias(LINES),
            *(_share(cluster) for cluster in range(clusters)),
        )
        .crossJoin(F.broadcast(newest))
        .withColumn(RECENCY, F.date_diff("_newest", "_last"))
        .select(schema.CUSTOMER_ID, RECENCY, FREQUENCY, SPEND, CANCELLED, LINES, *_shares(clusters))
        .orderBy(F.desc(SPEND), schema.CUSTOMER_ID)
    )


def count_clusters(scored: DataFrame) -> int:
    """Return how many clusters there are at least: the highest number that a line has, and one."""
    highest = scored.agg(F.max(schema.PREDICTION)).collect()[0][0]
    return 0 if highest is None else int(highest) + 1


def _shares(clusters: int) -> list[str]:
    return [f"{SHARE}{cluster}" for cluster in range(clusters)]


def _share(cluster: int) -> Column:
    return F.avg((F.col(schema.PREDICTION) == cluster).cast("double")).alias(f"{SHARE}{cluster}")
