"""Files of sales, and what the jobs make of them, read without the project's own readers."""

import csv
import gzip
import os
from datetime import date
from decimal import Decimal
from io import StringIO
from pathlib import Path

import mlflow
import pyarrow.dataset as ds

from retail_clusters import schema

#: customer ("" for none), day of March 2011, price, quantity
Sale = tuple[str, int, str, int]

HEADER = ",".join(schema.COLUMNS)
SWAPPED = HEADER.replace("UnitPrice,CustomerID", "CustomerID,UnitPrice")

NOTEBOOK_BATCH = [
    ("16813.0", "2011-12-01", "148.54"),
    ("13102.0", "2011-12-01", "308.06"),
    ("15311.0", "2011-11-18", "266.91"),
    ("14688.0", "2011-10-18", "205.17"),
    ("16950.0", "2010-12-07", "172.00"),
]
NOTEBOOK_STREAM = [
    ("", "2011-03-29", "33521.40"),
    ("", "2010-12-21", "31347.48"),
    ("18102.0", "2010-12-07", "25920.37"),
    ("", "2010-12-10", "25399.56"),
    ("", "2010-12-17", "25371.77"),
    ("", "2010-12-06", "23395.10"),
]
LARGEST = [
    ("17450.0", "2011-09-20", "71601.44"),
    ("", "2011-11-14", "55316.08"),
    ("", "2011-11-07", "42939.17"),
    ("", "2011-03-29", "33521.40"),
    ("", "2011-12-08", "31975.59"),
]


def text(*sales: Sale, header: str = HEADER) -> str:
    """Return a file of sales."""
    rows = [
        f'5,A,"MUG, ""RED""",{n},2011-03-{day:02} 12:00:00,{price},{who},UK' for who, day, price, n in sales
    ]
    return "\n".join([header, *rows]) + "\n"


def write(name: str, *sales: Sale, at: int = 0, header: str = HEADER) -> None:
    """Write a file of sales, modified `at` seconds: streams read by modification time."""
    put(name, text(*sales, header=header).encode(), at=at)


def put(name: str, content: bytes, *, at: int = 0) -> None:
    """Let a file arrive whole in the folder `data`."""
    folder = Path("data")
    folder.mkdir(exist_ok=True)
    draft = folder / f".{name}"
    draft.write_bytes(content)
    os.utime(draft, (1_700_000_000 + at,) * 2)
    draft.replace(folder / name)


def truncated(*sales: Sale) -> bytes:
    """Return a packed file of sales without its end."""
    return gzip.compress(text(*sales).encode())[:-12]


def totals(output: str) -> dict[tuple[str, str], Decimal]:
    """Read OUTPUT/purchases.csv: (customer, day) to total."""
    rows = csv.DictReader(StringIO(Path(output, "purchases.csv").read_text()))
    return {(row["CustomerID"], row["day"]): Decimal(row["total_cost"]) for row in rows}


def written(output: str) -> list[tuple[float | None, date, Decimal, int]]:
    """Read OUTPUT/purchases: customer, day, total, lines."""
    found = [
        (row["CustomerID"], row["window"]["start"].date(), row["total_cost"], row["lines"])
        for row in rows(output, "purchases")
    ]
    return sorted(found, key=lambda row: (row[1], row[0] or 0.0))


def rows(output: str, kind: str) -> list[dict[str, object]]:
    """Read OUTPUT/kind without Spark."""
    folder = Path(output, kind)
    found: list[dict[str, object]] = ds.dataset(folder, format="parquet").to_table().to_pylist()
    return found


def metrics() -> dict[str, float]:
    """Read the metrics of the newest run."""
    (newest,) = mlflow.search_runs(search_all_experiments=True, output_format="list", max_results=1)
    return dict(newest.data.metrics)


def artifacts() -> set[str]:
    """List the artifacts of the newest run."""
    (newest,) = mlflow.search_runs(search_all_experiments=True, output_format="list", max_results=1)
    return {file.path for file in mlflow.MlflowClient().list_artifacts(newest.info.run_id)}


def read_artifact(name: str) -> str:
    """Read an artifact of the newest run."""
    (newest,) = mlflow.search_runs(search_all_experiments=True, output_format="list", max_results=1)
    found: str = mlflow.artifacts.load_text(f"runs:/{newest.info.run_id}/{name}")
    return found


def assert_shows_the_notebook(found: dict[tuple[str, str], Decimal]) -> None:
    """Hold the totals of the real data to the notebook's, to the cent."""
    assert len(found) == 19_573
    cents = {key: str(total.quantize(Decimal("0.01"))) for key, total in found.items()}
    for figures in (NOTEBOOK_BATCH, NOTEBOOK_STREAM, LARGEST):
        assert [(who, day, cents[who, day]) for who, day, _ in figures] == list(figures)
    assert sorted(found, key=lambda key: -found[key])[:5] == [(who, day) for who, day, _ in LARGEST]
