"""What the two streams of `purchases` share: their lines, what a person sees of them, how they stop."""

import contextlib
import io
from collections.abc import Callable, Iterator
from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from retail_clusters import schema
from retail_clusters.data import invoices, line_stream
from retail_clusters.infra import tracking
from retail_clusters.purchases import charts
from retail_clusters.purchases.spend import summable
from retail_clusters.settings import Purchases

_FEW_FILES: Final = 4


def good_lines(
    session: SparkSession, data: str, settings: Purchases, *, lateness: str | None = None
) -> DataFrame:
    """Read the stream's good lines; a batch of a few small files is one task, without a shuffle."""
    files = settings.max_files_per_trigger
    lines = line_stream.read_stream(session, data, max_files_per_trigger=files)
    good = invoices.good(summable(invoices.parse(lines)))
    timed = good.withWatermark(schema.INVOICE_DATE, lateness) if lateness else good
    return timed.coalesce(1) if files <= _FEW_FILES else timed


def watch(query: StreamingQuery, *, body: Callable[[], str]) -> None:
    """Show how far the stream is until it ends."""
    screen = charts.Screen()
    shown = -1
    try:
        while not query.awaitTermination(screen.interval):
            progress = query.lastProgress
            if progress and progress.batchId > shown:
                shown, states = progress.batchId, progress.stateOperators
                held = states[0].numRowsTotal if states else 0
                screen.draw(f"purchases: batch {shown}, {held:,} customer-days in the state store", body())
    finally:
        screen.clear()


@contextlib.contextmanager
def stopped(query: StreamingQuery) -> Iterator[None]:
    """Stop the query however the block ends."""
    try:
        yield
    finally:
        query.stop()


def log_plan(query: StreamingQuery) -> None:
    """Log the physical plan of the last batch: Spark prints it, so it is caught."""
    with contextlib.redirect_stdout(io.StringIO()) as plan:
        query.explain()
    tracking.log_text(plan.getvalue(), "physical_plan.txt")
