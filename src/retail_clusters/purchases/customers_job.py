"""A table of the customers in a scorer's output."""

from typing import Final

import click
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.errors import InputError
from retail_clusters.infra import locations, storage, tracking
from retail_clusters.infra.locations import join
from retail_clusters.purchases import sink
from retail_clusters.purchases.customers import (
    CANCELLED,
    FREQUENCY,
    LINES,
    RECENCY,
    SPEND,
    count_clusters,
    describe_customers,
)
from retail_clusters.purchases.request import PurchasesRequest

CUSTOMERS: Final = "customers"
_SHOWN: Final = (schema.CUSTOMER_ID, RECENCY, FREQUENCY, SPEND, CANCELLED, LINES)
_SCORED: Final = "scored"
_COMMITS: Final = "commits"


def run_customers(spark: SparkSession, request: PurchasesRequest) -> None:
    """Describe the customers of a scorer's output; write OUTPUT/customers and OUTPUT/customers.csv.

    Raises:
        InputError: there are no scored lines.
    """
    scored = read_scored(spark, request.customers or "").cache()
    described = describe_customers(scored, clusters=count_clusters(scored))
    written = sink.write_parquet_table(described, join(request.place, CUSTOMERS)).coalesce(1)
    written = written.sortWithinPartitions(F.desc(SPEND), schema.CUSTOMER_ID)
    sink.write_csv(written, join(request.place, f"{CUSTOMERS}.csv"))
    scored.unpersist()
    first = written.limit(request.top).toPandas()
    click.echo(first[list(_SHOWN)].to_string(index=False))
    tracking.log_table(first, CUSTOMERS)
    count = written.count()
    tracking.log_metrics({"customers": count})
    click.echo(f"purchases: {count:,} customers; written to {join(request.place, CUSTOMERS)}.csv")


def read_scored(spark: SparkSession, output: str) -> DataFrame:
    """Read the lines that a scorer has committed; where it keeps no records, all that it has written.

    Raises:
        InputError: there are none.
    """
    folder = join(output, _SCORED)
    if not storage.is_folder(folder):
        raise InputError(
            f"customers must name the output of score, but found no scored lines in {locations.shown(output)}"
        )
    lines = spark.read.parquet(locations.to_uri(folder))
    records = join(output, _COMMITS)
    if not storage.is_folder(records):
        return lines
    names = [locations.name(file.location) for file in storage.list_files(records, suffixes=[".json"])]
    batches = [int(stem) for name in names if (stem := name.removesuffix(".json")).isdecimal()]
    return lines.where(F.col(schema.BATCH_ID) <= max(batches, default=-1))
