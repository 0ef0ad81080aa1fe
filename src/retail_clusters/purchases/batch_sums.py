"""A batch of the appending stream summed up: customer-days, and what is not in them kept apart."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import click
import pyarrow as pa
from pyspark.sql import DataFrame, Observation, SparkSession

from retail_clusters.data import csv_files, invoices
from retail_clusters.infra import locations
from retail_clusters.infra.plans import Template, empty
from retail_clusters.purchases import customer_days, sink
from retail_clusters.purchases.account import BatchRecord, Counts
from retail_clusters.purchases.customer_days import EPOCH, SHAPE, flat
from retail_clusters.purchases.request import PurchasesRequest
from retail_clusters.purchases.spend import LINES, NEWEST, QUARANTINED, late, spend, tally
from retail_clusters.purchases.stream import FEW_FILES


class BatchSums:
    """What is asked of each batch, built once: lines to parsed lines, and those to customer-days."""

    def __init__(self, spark: SparkSession, request: PurchasesRequest) -> None:
        """Build the queries; what a batch keeps apart goes to the request's place."""
        self._spark = spark
        self._place = request.place
        self._columns = request.columns
        self._in_one_task = request.settings.max_files_per_trigger <= FEW_FILES
        self._parsed = Template(empty(spark, csv_files.TEXT), self._parse)
        self._days = Template(self._parsed.result, lambda parsed: flat(spend(invoices.good(parsed))))

    def take(self, batch: int, files: list[str], *, closed_before: datetime) -> tuple[BatchRecord, pa.Table]:
        """Sum up the files that can be trusted; keep late and quarantined lines apart.

        For the same batch again, what is kept apart replaces itself.
        """
        problems = {file: csv_files.problem(file, self._columns) for file in files}
        unreadable = {file: problem for file, problem in problems.items() if problem}
        readable = [file for file in files if file not in unreadable]
        parsed, timely, found = None, SHAPE.empty_table(), Counts()
        newest = EPOCH
        if readable:
            parsed = self._parsed.over(csv_files.read_text(self._spark, readable))
            timely, found, newest = self._sum_up(batch, parsed, closed_before=closed_before)
        else:
            sink.write_late(self._place, batch, None)
        in_files = sink.write_quarantine(
            self._place,
            parsed=parsed if found.lines_quarantined else None,
            unreadable=unreadable,
            columns=self._columns,
            batch=batch,
        )
        _warn(unreadable)
        counts = found + Counts(files=len(files), lines=in_files, lines_quarantined=in_files)
        return BatchRecord(batch, tuple(files), counts, newest), timely

    def _sum_up(
        self, batch: int, parsed: DataFrame, *, closed_before: datetime
    ) -> tuple[pa.Table, Counts, datetime]:
        """Return customer-days of days that are open, counts of lines, and the newest date; keep late lines.

        Of no lines Spark would observe nothing.
        """
        observed = Observation()
        days = self._days.over(parsed.observe(observed, *tally())).toArrow().cast(SHAPE)
        too_late, timely = customer_days.split(days, closed_before=closed_before)
        seen = observed.get
        missed = late(parsed, closed_before=closed_before) if too_late.num_rows else None
        sink.write_late(self._place, batch, missed)
        counts = Counts(
            lines=seen[LINES],
            lines_late=customer_days.count_lines(too_late),
            lines_quarantined=seen[QUARANTINED],
        )
        newest = EPOCH if seen[NEWEST] is None else EPOCH + timedelta(microseconds=seen[NEWEST])
        return timely, counts, newest

    def _parse(self, text: DataFrame) -> DataFrame:
        lines = csv_files.lines_of(text, columns=self._columns)
        parsed = invoices.parse(lines, columns=self._columns)
        return parsed.coalesce(1) if self._in_one_task else parsed


def _warn(unreadable: Mapping[str, str]) -> None:
    for file, problem in unreadable.items():
        click.echo(f"purchases: quarantined {locations.for_display(file)}: {problem}")
