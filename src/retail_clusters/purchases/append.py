"""The stream of `purchases` that appends: each day is written once, when it is closed.

The files that are there when it starts are a backlog: in whatever order Spark takes them, no line of it is
late. Then, and after each later batch, the days are closed that ended `allowed_lateness_days` before the
newest InvoiceDate.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import click
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from retail_clusters.data import csv_files
from retail_clusters.errors import InputError
from retail_clusters.infra import checkpoint as spark_checkpoint
from retail_clusters.infra import storage
from retail_clusters.infra.locations import for_display as shown_name
from retail_clusters.infra.locations import is_utf8, join, to_uri
from retail_clusters.infra.signals import stop_on_signals
from retail_clusters.infra.spark import small_session
from retail_clusters.infra.streams import DRAIN, FOLLOW, Trigger, run_batches
from retail_clusters.purchases import customer_days, sink
from retail_clusters.purchases.account import Account, BatchRecord, Counts, State, advanced
from retail_clusters.purchases.batch_sums import BatchSums
from retail_clusters.purchases.customer_days import EPOCH
from retail_clusters.purchases.proof import prove, report_account
from retail_clusters.purchases.report import Summary
from retail_clusters.purchases.request import PurchasesRequest
from retail_clusters.purchases.stream import for_display


def run_append(spark: SparkSession, request: PurchasesRequest, *, confirm: Callable[[], None]) -> Summary:
    """Take the files that are there, close days, account for every line; unless `once`, go on for ever.

    `confirm` is asked before each step in the account, and raises when another process has taken over.
    """
    started = time.perf_counter()
    with stop_on_signals(lambda: click.echo("purchases: stopping after this batch")) as stopping:
        stream = DaysStream(spark, request, stopping=stopping, confirm=confirm)
        before = stream.state
        stream.drain()
        if not (request.once or stopping.is_set()):
            stream.follow()
    state, kept = stream.so_far()
    summary = report_account(stream.spark, request, before, state, kept=kept, started=started)
    if stopping.is_set():
        click.echo("purchases: stopped; the same command goes on from here")
    elif request.once:
        prove(stream.spark, request, state, files=spark_checkpoint.committed_files(stream.checkpoint))
    return summary


class DaysStream:
    """What runs in Spark's stream: batches in, closed days out."""

    def __init__(
        self,
        spark: SparkSession,
        request: PurchasesRequest,
        *,
        stopping: threading.Event | None = None,
        confirm: Callable[[], None] = lambda: None,
    ) -> None:
        """Go on where the output and the checkpoint stand.

        Raises:
            InputError: they do not belong together.
        """
        self.spark = small_session(spark)
        self._sums = BatchSums(self.spark, request)
        self.checkpoint = request.checkpoint or join(request.place, sink.CHECKPOINT)
        self._request = request
        self._account = Account(request.place)
        self._latest = ""
        self._stopping = stopping or threading.Event()
        self._confirm = confirm
        self.state = self._resume()

    def drain(self) -> None:
        """Take the files that are there now, and close days when all are through."""
        _tell_of_names(self._request.data)
        self._run(DRAIN, closing=False)
        if not self._stopping.is_set():
            self.close()

    def follow(self) -> None:
        """Take files as they arrive, and close days after each batch, until it is to stop."""
        self._run(FOLLOW, closing=True)

    def close(self, last: int | None = None) -> None:
        """Add up the batches since the last time, write the days that are now closed, keep the others."""
        last = spark_checkpoint.last_batch(self.checkpoint) if last is None else last
        before = self.state
        if last is None or last <= before.through:
            return
        state, days = self._add_up(last)
        closed_before = self._closing(state)
        closed, left = customer_days.split(days, closed_before=closed_before)
        self._confirm()
        if closed.num_rows:
            sink.write_days(self._request.place, last, closed)
        self._account.write_open(last, left)
        counts = state.counts + Counts(customer_days=closed.num_rows)
        self.state = replace(state, closed_before=closed_before, counts=counts)
        self._account.write_state(self.state)
        self._account.forget(before, self.state)

    def so_far(self) -> tuple[State, pa.Table]:
        """Return the state with the batches that are not yet added up, and the days that are not closed."""
        last = spark_checkpoint.last_batch(self.checkpoint)
        return self._add_up(self.state.through if last is None else last)

    def _add_up(self, last: int) -> tuple[State, pa.Table]:
        through = self.state.through
        records = self._account.read_records(through, last)
        parts = self._account.read_days(record.batch_id for record in records)
        days = customer_days.add_up([self._account.read_open(through), *parts])
        return advanced(self.state, records), days

    def _resume(self) -> State:
        place, checkpoint = self._request.place, self.checkpoint
        sink.check_stream_place(place)
        state, query = self._account.read_state(), spark_checkpoint.query_id(checkpoint)
        started = spark_checkpoint.last_batch(checkpoint) is not None
        known = state.query if state else None
        if known != query and (known or started):
            raise InputError(
                f"output and checkpoint must be of one stream, but {place} is of {known or 'none'} and "
                f"{checkpoint} of {query or 'none'}; name the two that belong together, or two new folders"
            )
        if state:
            sink.remove_after(place, state.through)
        return state or State(query=query or "")

    def _run(self, trigger: Trigger, *, closing: bool) -> None:
        data, files = self._request.data, self._request.settings.max_files_per_trigger
        with for_display(lambda: self._latest) as show:
            run_batches(
                csv_files.read_arriving(self.spark, data, max_files_per_trigger=files),
                checkpoint=self.checkpoint,
                trigger=trigger,
                process=lambda batch, frame: self._take(batch, _names(frame, data), closing=closing),
                stopping=self._stopping,
                meanwhile=show,
            )

    def _take(self, batch: int, files: list[str], *, closing: bool) -> None:
        """Sum up the files of a batch, unless that is done: its record is the last thing that is written."""
        if batch == 0 and not self.state.query:
            self.state = replace(self.state, query=spark_checkpoint.query_id(self.checkpoint) or "")
            self._account.write_state(self.state)
        if not self._is_done(files, batch):
            record, days = self._sums.take(batch, files, closed_before=self.state.closed_before)
            self._confirm()
            self._account.write_record(record, days)
            self._tell(record)
        if closing and batch > self.state.through and self._closes_a_day(batch):
            self.close(batch)

    def _is_done(self, files: list[str], batch: int) -> bool:
        """Tell whether a batch is in the account.

        Raises:
            InputError: it is there with other files: the checkpoint is not the one that wrote here.
        """
        record = self._account.read_record(batch)
        if record is not None and list(record.files) != files:
            raise InputError(
                f"a batch must be of the same files whenever it is done again, but batch {batch} of "
                f"{self._request.place} is of others: the checkpoint {self.checkpoint} is an older one; "
                "start anew with two new folders"
            )
        return record is not None or batch <= self.state.through

    def _tell(self, record: BatchRecord) -> None:
        counts = record.counts
        self._latest = f"purchases: batch {record.batch_id}, {counts.lines:,} lines in {counts.files:,} files"
        if counts.lines_late:
            before = f"{self.state.closed_before:%Y-%m-%d %H:%M}"
            click.echo(
                f"purchases: batch {record.batch_id}: {counts.lines_late:,} lines late, of days closed "
                f"before {before}"
            )

    def _closes_a_day(self, batch: int) -> bool:
        records = self._account.read_records(self.state.through, batch)
        return self._closing(advanced(self.state, records)) > self.state.closed_before

    def _closing(self, state: State) -> datetime:
        """Return the instant by which days must have ended to be closed in a state."""
        lateness = timedelta(days=self._request.settings.allowed_lateness_days)
        newest = state.newest - lateness if state.newest - EPOCH > lateness else EPOCH
        return max(state.closed_before, customer_days.last_closed(newest))


def _names(arrived: DataFrame, data: str) -> list[str]:
    """List the files of a batch in the order of their names: the same whenever the batch is done again.

    Those that a link to a folder above brings once more are left out.
    """
    source = to_uri(data)
    return sorted(
        row.path for row in arrived.collect() if not csv_files.loops(to_uri(row.path), source=source)
    )


def _tell_of_names(data: str) -> None:
    """Name the files that are there and that Spark does not see."""
    if not storage.is_folder(data):
        return
    for file in storage.list_files(data, recursive=True, suffixes=csv_files.SUFFIXES):
        if not is_utf8(file.location):
            click.echo(
                f"purchases: not read {shown_name(file.location)}: {csv_files.header_problem(file.location)}"
            )
