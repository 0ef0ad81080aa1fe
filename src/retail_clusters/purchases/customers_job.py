"""A table of the customers behind scored lines."""

from typing import Final

import click
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.errors import InputError
from retail_clusters.infra import locations
from retail_clusters.infra.locations import join
from retail_clusters.infra.locks import lock
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
from retail_clusters.purchases.report import Summary
from retail_clusters.registry import tracking

#: Where the table is written unless told.
OUTPUT: Final = "output/purchases/customers"

_NAME: Final = "customers"
_SHOWN: Final = (schema.CUSTOMER_ID, RECENCY, FREQUENCY, SPEND, CANCELLED, LINES)


def run_customers(scored: DataFrame, *, source: str, output: str, top: int) -> Summary:
    """Describe the customers of scored lines; write OUTPUT/customers and OUTPUT/customers.csv.

    `source` is where the lines are from.

    Raises:
        InputError: there are no lines.
    """
    purpose = f"one purchases at a time writes to {locations.for_display(output)}"
    with lock(join(output, sink.LOCK), purpose=purpose), tracking.run("customers"):
        tracking.log_settings({"customers": source})
        lines = scored.cache()
        clusters = count_clusters(lines)
        if not clusters:
            raise InputError(
                f"customers must name the output of score, but found no scored lines in "
                f"{locations.for_display(source)}: name the folder that score wrote to"
            )
        written = sink.write_parquet_table(describe_customers(lines, clusters=clusters), join(output, _NAME))
        lines.unpersist()
        table = written.coalesce(1).sortWithinPartitions(F.desc(SPEND), schema.CUSTOMER_ID)
        sink.write_csv(table, join(output, f"{_NAME}.csv"))
        first, count = table.limit(top).toPandas(), table.count()
        tracking.log_table(first, _NAME)
        tracking.log_metrics({"customers": count})
        click.echo(first[list(_SHOWN)].to_string(index=False))
        click.echo(f"purchases: {count:,} customers; written to {join(output, _NAME)}.csv")
        return Summary(output, {"customers": count}, top=first.to_dict("records"))
