"""Invoice lines → spend per customer and day, at rest or as a stream."""

from pyspark.sql import SparkSession

from retail_clusters.infra import locations
from retail_clusters.infra.locations import join
from retail_clusters.infra.locks import lock
from retail_clusters.purchases import sink
from retail_clusters.purchases.append import run_append
from retail_clusters.purchases.batch import run_batch
from retail_clusters.purchases.live import run_live
from retail_clusters.purchases.query import check_sql
from retail_clusters.purchases.report import Summary
from retail_clusters.purchases.request import PurchasesRequest, check
from retail_clusters.registry import tracking

__all__ = ["PurchasesRequest", "check", "run"]


def run(spark: SparkSession, request: PurchasesRequest) -> Summary:
    """Do what a checked request asks for, in an MLflow run of its own.

    Raises:
        InputError: the output is another's, another process writes to it, or `sql` is no query.
        DifferenceFoundError: the stream and the batch differ.
    """
    place = request.place
    if request.sql is not None:
        check_sql(spark, request.sql)
    purpose = f"one purchases at a time writes to {locations.for_display(place)}"
    with lock(join(place, sink.LOCK), purpose=purpose) as held, tracking.run("purchases"):
        params = {"data": request.data, "mode": request.mode, "top": str(request.top), "sink": request.sink}
        settings = {f"purchases.{name}": str(value) for name, value in request.settings.model_dump().items()}
        tracking.log_settings(params | settings)
        tracking.set_tags({"output": place, "once": str(request.once)})
        if request.appends:
            return run_append(spark, request, confirm=held.confirm)
        sink.check_table_place(place)
        return run_batch(spark, request) if request.mode == "batch" else run_live(spark, request)
