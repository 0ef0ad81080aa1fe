"""Invoice lines → spend per customer and day, at rest or as a stream."""

import time
from pathlib import Path

import click
from pyspark.sql import SparkSession

from retail_clusters.data import csv_files, invoices
from retail_clusters.errors import InputError
from retail_clusters.infra import tracking
from retail_clusters.infra.spark import spark_session
from retail_clusters.purchases.append import append
from retail_clusters.purchases.live import live
from retail_clusters.purchases.report import Mode, Request, Sink, report, summed
from retail_clusters.purchases.sink import read_table, write_table
from retail_clusters.purchases.spend import LINES, QUARANTINED
from retail_clusters.settings import Purchases


def purchases(  # noqa: PLR0913 - one argument a command-line option
    *,
    data: str,
    mode: Mode,
    top: int,
    output: Path,
    sink: Sink,
    checkpoint: Path | None,
    once: bool,
    settings: Purchases,
) -> None:
    """Sum up the lines of `data`, print the `top` customer-days, write the result to `output`.

    `mode="batch"` reads files at rest. `mode="stream"` with `sink="memory"` drains them through the
    table `customer_purchases`, redrawn as files arrive, and compares it with the batch;
    `sink="parquet"` writes each day once it is closed, restartable from `checkpoint`, until nothing is
    left (`once`) or for ever.

    Raises:
        InputError: an argument is wrong, or arguments do not go together.
        DifferenceFoundError: the stream and the batch differ.
    """
    request = Request(data, mode, top, output, sink, checkpoint, once, settings)
    check(request)
    with spark_session("purchases") as spark:
        run(spark, request)


def check(request: Request) -> None:
    """Refuse what cannot be done, before Spark starts."""
    if request.top < 1:
        raise InputError(f"top must be at least 1, but got {request.top}: say how many rows to show")
    appends = request.mode == "stream" and request.sink == "parquet"
    if request.sink == "parquet" and not appends:
        raise InputError(
            "sink=parquet goes with mode=stream, but got mode=batch, which always writes Parquet"
        )
    if request.checkpoint and not appends:
        raise InputError("checkpoint goes with sink=parquet: only that stream can be restarted; leave it out")
    if not request.once and not appends:
        raise InputError("once=false goes with sink=parquet: only that stream can run for ever; leave it out")
    if not request.once and Path(request.data).is_dir():
        return
    csv_files.check_headers(csv_files.find_files(request.data))


def run(spark: SparkSession, request: Request) -> None:
    """Do what a checked request asks for, in an MLflow run of its own."""
    with tracking.run("purchases"):
        params = {"data": request.data, "mode": request.mode, "top": str(request.top), "sink": request.sink}
        settings = {f"purchases.{name}": str(value) for name, value in request.settings.model_dump().items()}
        tracking.log_settings(params | settings)
        tracking.set_tags({"output": str(request.output), "once": str(request.once)})
        if request.mode == "batch":
            _batch(spark, request)
        elif request.sink == "memory":
            live(spark, request)
        else:
            append(spark, request)


def _batch(spark: SparkSession, request: Request) -> None:
    started = time.perf_counter()
    files = csv_files.find_files(request.data)
    result, counts = summed(invoices.parse(csv_files.read_lines(spark, files)))
    write_table(result, request.output)
    result = read_table(spark, request.output)
    rows, lines, bad = result.count(), counts.get[LINES], counts.get[QUARANTINED]
    seconds = time.perf_counter() - started
    counted = {"files": len(files), "lines": lines, "lines_quarantined": bad, "customer_days": rows}
    report(result, request, metrics=counted | {"seconds": seconds})
    click.echo(
        f"purchases: {rows:,} customer-days of {lines:,} lines in {len(files)} files, "
        f"{bad:,} quarantined, in {seconds:.1f} s; written to {request.output}"
    )
