"""The rows that a version was trained and measured on: one Parquet file among its training run's artifacts."""

import io
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from retail_clusters.registry import tracking

#: The tag, of run and version, that says whether these are all the rows or a sample, such as
#: "a sample: 500,000 of 812,345 rows".
TAG: Final = "evidence"
ALL_ROWS: Final = "all rows"

_FILE: Final = "evidence/rows.parquet"


def log_evidence(rows: pa.Table) -> None:
    """Log rows on the open run."""
    content = io.BytesIO()
    pq.write_table(rows, content, compression="zstd")
    tracking.log_files({_FILE: content.getvalue()})


def read_evidence(run_id: str) -> pa.Table | None:
    """Read the rows of a training run; None where it has none, as those of earlier releases."""
    content = tracking.read_files(run_id, [_FILE]).get(_FILE)
    return pq.read_table(io.BytesIO(content)) if content else None
