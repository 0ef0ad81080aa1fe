"""Segments or moves as one file that others take: CSV or Parquet."""

from collections.abc import Mapping
from datetime import date

import click
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from retail_clusters.errors import InputError
from retail_clusters.infra import storage
from retail_clusters.infra.locations import for_display, parent
from retail_clusters.serving.moves import MOVES, joined, read_moved, since
from retail_clusters.serving.snapshot import NAME, SEGMENT, SEGMENTS, dated_folders, read_snapshot


def write_table(
    spark: SparkSession, scored: str, *, as_of: date | None, only_moves: bool, output: str
) -> Mapping[str, object]:
    """Write the segments as of a date, with `since` and `previous`, or the moves to them; return what was written.

    Keys stand as they came.

    Raises:
        InputError: the scorer's output has none as of that date.
    """
    dates = dated_folders(scored, MOVES if only_moves else SEGMENTS)
    chosen = as_of or (dates[-1] if dates else None)
    if chosen is None or chosen not in dates:
        have = f"those as of {', '.join(map(str, dates[-5:]))}" if dates else "none"
        raise InputError(
            f"as_of must name a date that {for_display(scored)} has {'moves' if only_moves else 'segments'} of, but "
            f"got {chosen or 'latest'}, and it has {have}: write it with score --as-of DATE"
        )
    if only_moves:
        frame = read_moved(spark, scored, chosen)
    else:
        snapshot = read_snapshot(spark, scored, chosen)
        keys = snapshot.columns[: snapshot.columns.index(SEGMENT)]
        whole = joined(snapshot, since(spark, scored, keys, until=chosen), keys)
        dated = [*keys, SEGMENT, NAME, "since", "previous", "previous_name"]
        frame = whole.select(*dated, *(name for name in snapshot.columns if name not in dated)).orderBy(*keys)
    table = frame.toArrow()
    storage.make_folder(parent(output))
    with storage.open_write(output) as stream:
        if output.endswith(".parquet"):
            pq.write_table(table, stream)
        else:
            pa.csv.write_csv(table, stream)
    click.echo(f"segments: {table.num_rows:,} rows as of {chosen} in {for_display(output)}")
    return {"as_of": str(chosen), "rows": table.num_rows, "output": output}
