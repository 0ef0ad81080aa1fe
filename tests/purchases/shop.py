"""Files of sales, and what the jobs make of them, read without the project's own readers."""

import csv
import gzip
from datetime import date
from decimal import Decimal
from pathlib import Path

import mlflow
import pyarrow.dataset as ds
from mlflow.entities import Run

from retail_clusters import schema

#: customer ("" for none), day of March 2011, price, quantity
Sale = tuple[str, int, str, int]

HEADER = ",".join(schema.COLUMNS)
MISNAMED = HEADER.replace("UnitPrice", "Price")


def text(*sales: Sale, header: str = HEADER) -> str:
    """Return a file of sales."""
    rows = [
        f'5,A,"MUG, ""RED""",{n},2011-03-{day:02} 12:00:00,{price},{who},UK' for who, day, price, n in sales
    ]
    return "\n".join([header, *rows]) + "\n"


def write(name: str, *sales: Sale, header: str = HEADER) -> None:
    """Write a file of sales into the folder `data`."""
    Path("data").mkdir(exist_ok=True)
    Path("data", name).write_text(text(*sales, header=header))


def write_truncated(name: str, *sales: Sale) -> None:
    """Write a packed file of sales without its end."""
    Path("data", name).write_bytes(gzip.compress(text(*sales).encode())[:-12])


def totals(output: str) -> dict[tuple[str, str], Decimal]:
    """Read OUTPUT/purchases.csv: (customer, day) to total."""
    with Path(output, "purchases.csv").open() as file:
        return {(row["CustomerID"], row["day"]): Decimal(row["total_cost"]) for row in csv.DictReader(file)}


def written(output: str) -> list[tuple[str | None, date, Decimal, int]]:
    """Read OUTPUT/purchases: customer, day, total, lines."""
    found = [
        (row["CustomerID"], row["window"]["start"].date(), row["total_cost"], row["lines"])
        for row in ds.dataset(Path(output, "purchases"), format="parquet").to_table().to_pylist()
    ]
    return sorted(found, key=lambda row: (row[1], row[0] or ""))


def quarantined(output: str) -> list[tuple[str, str, str | None]]:
    """Read OUTPUT/quarantine: name of the file, reason, line."""
    rows = ds.dataset(Path(output, "quarantine"), format="parquet").to_table().to_pylist()
    return sorted((row["source_file"].rpartition("/")[2], row["reason"], row["line"] or "") for row in rows)


def newest_run() -> Run:
    """Return the newest MLflow run."""
    (newest,) = mlflow.search_runs(search_all_experiments=True, output_format="list", max_results=1)
    return newest


def artifacts() -> set[str]:
    """List the artifacts of the newest run."""
    return {file.path for file in mlflow.MlflowClient().list_artifacts(newest_run().info.run_id)}
