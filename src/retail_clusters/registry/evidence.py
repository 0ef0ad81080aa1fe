"""The rows that a version was trained and measured on: one Parquet file among its training run's artifacts."""

import tempfile
from pathlib import Path
from typing import Final

import mlflow
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.tracking import MlflowClient

from retail_clusters.registry import tracking

#: The tag, of run and version, that says whether these are all the rows or a sample, such as
#: "a sample: 500,000 of 812,345 rows".
TAG: Final = "evidence"
ALL_ROWS: Final = "all rows"

_FOLDER: Final = "evidence"
_FILE: Final = f"{_FOLDER}/rows.parquet"


def log_evidence(rows: pa.Table) -> None:
    """Log rows on the open run."""
    with tempfile.TemporaryDirectory() as folder, tracking.answered():
        file = Path(folder, Path(_FILE).name)
        pq.write_table(rows, file, compression="zstd")
        mlflow.log_artifact(str(file), _FOLDER)


def read_evidence(run_id: str) -> pa.Table | None:
    """Read the rows of a training run; None where it has none, as those of earlier releases."""
    with tempfile.TemporaryDirectory() as folder, tracking.answered():
        client = MlflowClient()
        if _FILE not in {each.path for each in client.list_artifacts(run_id, _FOLDER)}:
            return None
        return pq.read_table(client.download_artifacts(run_id, _FILE, folder))
