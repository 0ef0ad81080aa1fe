"""The live stream of `purchases`: a table in memory that grows as files are read, and then ends."""

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Final

from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from retail_clusters.data import invoices, line_stream
from retail_clusters.purchases import charts, sink
from retail_clusters.purchases.report import Request, report, report_parity, summed, table_rows
from retail_clusters.purchases.spend import LINES, QUARANTINED, parity, spend
from retail_clusters.purchases.stream import good_lines, log_plan, stopped, watch
from retail_clusters.settings import Purchases

QUERY_NAME: Final = "customer_purchases"
TOP_SQL: Final = f"SELECT * FROM {QUERY_NAME} ORDER BY total_cost DESC"


def live(spark: SparkSession, request: Request) -> None:
    """Drain the files through the memory table, show it as it grows, compare it with the batch."""
    session = line_stream.small_session(spark)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="retail-clusters-purchases-") as folder:
        checkpoint = Path(folder) / "checkpoint"
        query = start_live(session, request.data, settings=request.settings, checkpoint=checkpoint)
        with stopped(query):
            watch(query, body=partial(_top_table, session, request.top))
        log_plan(query)
        files = line_stream.committed_files(checkpoint)
    seconds = time.perf_counter() - started
    result = session.table(QUERY_NAME)
    batch, counts = summed(invoices.parse(line_stream.read_files(session, files)))
    found = parity(result, batch)
    sink.write_table(result, request.output)
    bad, lines = counts.get[QUARANTINED], counts.get[LINES]
    counted = {"files": len(files), "lines": lines, "lines_quarantined": bad, "customer_days": result.count()}
    report(result, request, metrics=counted | {"seconds": seconds})
    summary = (
        f"{lines:,} lines in {len(files)} files, {bad:,} quarantined, none late, drained in {seconds:.1f} s"
    )
    report_parity(found, summary=summary)


def start_live(session: SparkSession, data: str, *, settings: Purchases, checkpoint: Path) -> StreamingQuery:
    """Start to drain the files of `data` into the session's table `customer_purchases`."""
    writer = spend(good_lines(session, data, settings)).writeStream.format("memory")
    writer = writer.queryName(QUERY_NAME).outputMode("complete").trigger(availableNow=True)
    return writer.option("checkpointLocation", str(checkpoint)).start()


def _top_table(session: SparkSession, top: int) -> str:
    return charts.table(table_rows(session.sql(TOP_SQL), top))
