"""A registry of small real models that carry the same few rows, made once and copied for each test."""

import json
import shutil
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import pytest
from mlflow.models import Model
from mlflow.pyfunc import FLAVOR_NAME as PYTHON
from mlflow.tracking import MlflowClient
from pyspark.sql import DataFrame, SparkSession

from retail_clusters import schema
from retail_clusters.features import pipeline
from retail_clusters.features.interface import interface
from retail_clusters.features.model import ScoringModel, centres_digest
from retail_clusters.features.rows import SPLIT, WeightedRows
from retail_clusters.infra.locations import literal
from retail_clusters.question import Question
from retail_clusters.registry import evidence, numbering, tracking
from retail_clusters.registry.champion import Move, move_champion, read_moves
from retail_clusters.registry.models import ModelRegistry
from tests import examples

#: The versions of `stocked`: three clusters; four, better ones; these in another order, moved a little; four
#: of another feature space.
FAIR_VERSION, BETTER_VERSION, TWIN_VERSION, LOG_VERSION = "1234"

registry = ModelRegistry("retail-clusters")

#: Price and quantity of four groups of lines, far apart, of 40 rows in each split.
GROUPS = ((2.0, 2), (2.0, 60), (70.0, 2), (70.0, 60))
FAIR = ((2.5, 31), (70.5, 2), (70.5, 60))
BETTER = ((70.5, 60), (2.5, 60), (70.5, 2), (2.5, 2))
#: The clusters of BETTER in another order, moved a little.
TWIN = ((2.4, 2.1), (70.4, 60.1), (2.6, 59.9), (70.6, 2.2))
DIGEST = "d" * 32


def rows() -> dict[str, WeightedRows]:
    """Return the same rows for each split; test lines come on a Saturday, too."""
    literal = [
        (price + 0.01 * step, quantity, "Monday" if step % 2 else "Friday", 1 + step % 3)
        for price, quantity in GROUPS
        for step in range(40)
    ]
    saturday = (2.0, 2, "Saturday", 1)
    return {
        name: examples.weighted(*literal, *([saturday] if name == schema.TEST else []))
        for name in schema.SPLITS
    }


def model(
    spark: SparkSession, centres: Sequence[Sequence[float]], *, scale: str = "none", unseen: str = "keep"
) -> ScoringModel:
    """Make a model of raw lines with given centres (price, quantity), as good on any weekday."""
    question = Question(features=examples.lines(scale=scale, unseen=unseen))
    space = pipeline.fit_space(rows()[schema.TRAIN], question, spark=spark)
    points = np.array(centres, dtype=float)
    if scale == "log":
        points = np.sign(points) * np.log1p(np.abs(points))
    slots = [0.5] * (len(space.names) - 2)
    return ScoringModel.of(space, examples.centres(points.tolist(), slots))


def register(made: ScoringModel, *, carries_rows: bool = True, **metadata: str) -> str:
    """Register a model as a training does, with its rows; give its version."""
    spark = SparkSession.active()
    with mlflow.start_run():
        mlflow.log_params({"k": len(made.centres), "split.train_until": "2011-07-01", "data": "some/folder"})
        mlflow.log_metrics({"validation_silhouette": 0.5, "stable_line_share": 0.6})
        if carries_rows:
            evidence.log_evidence(evidence_table())
        return registry.register(
            made.pipeline(spark=spark),
            interface=interface(made.space.question),
            metadata=made.metadata | metadata,
            tags={
                "data_digest": DIGEST,
                "records": json.dumps({name: int(of.weights.sum()) for name, of in rows().items()}),
                "model_digest": centres_digest(made.centres),
                "cluster_numbers": numbering.to_text(made.numbers),
            },
        )


def evidence_table() -> pa.Table:
    """Return the rows as a training keeps them with its version."""
    parts = {name: of.cells.drop_columns("_row") for name, of in rows().items()}
    return pa.concat_tables(
        [cells.append_column(SPLIT, pa.repeat(name, len(cells))) for name, cells in parts.items()]
    )


def versions(count: int) -> None:
    """Register versions without a model: enough for what only moves aliases."""
    client = MlflowClient()
    client.create_registered_model(registry.name)
    for number in range(1, count + 1):
        client.create_model_version(
            registry.name, source=f"file://{Path.cwd()}/none", tags={"model_digest": f"digest {number}"}
        )


def promote(before: str | None, after: str, *, by: ModelRegistry = registry) -> Move:
    """Let the champion move, in a run of its own, without any gate."""
    with tracking.run("promote"):
        return move_champion(by, action="promote", before=before, after=after, reason="a test")


def moves() -> list[Move]:
    """Return the history of the champion."""
    return read_moves(registry.name)


def register_foreign(folder: Path) -> str:
    """Register a model of Python's, as another team might, without a run."""
    folder.mkdir()
    Model(flavors={PYTHON: {"loader_module": "mlflow.sklearn"}}).save(folder / "MLmodel")
    client = MlflowClient()
    if not client.search_registered_models(f"name = '{registry.name}'"):
        client.create_registered_model(registry.name)
    return str(client.create_model_version(registry.name, source=folder.as_uri()).version)


def raw_lines(spark: SparkSession) -> DataFrame:
    """Return raw invoice lines, a few for each group."""
    return spark.createDataFrame(
        [
            (str(number), "A", None, quantity, price + number, None, None)
            for price, quantity in GROUPS
            for number in range(3)
        ],
        "InvoiceNo string, StockCode string, Description string, Quantity int, UnitPrice double, "
        "CustomerID string, Country string",
    ).selectExpr("*", "timestamp'2011-11-07 10:00:00' AS InvoiceDate")


def read_lines(spark: SparkSession, file: Path) -> DataFrame:
    """Read a CSV file of invoice lines as Spark does with their types."""
    return spark.read.csv(literal(str(file)), header=True, schema=schema.INVOICE_LINE)


def aliases() -> dict[str, str | None]:
    """Return what each alias names."""
    return {name: registry.version_named(alias=name) for name in ("champion", "challenger", "previous")}


def contents(store: Path) -> str:
    """Return everything in an sqlite file as one text."""
    import sqlite3

    with sqlite3.connect(store) as connection:
        return "\n".join(connection.iterdump())


@pytest.fixture(scope="session")
def stocked(spark: SparkSession, empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store that holds a version of each kind."""
    folder = tmp_path_factory.mktemp("shop")
    shutil.copy(empty_store, folder / "mlflow.db")
    with chdir(folder):
        use(folder)
        experiment = MlflowClient().create_experiment("shop", str(folder / "artifacts"))
        mlflow.set_experiment(experiment_id=experiment)
        for centres in (FAIR, BETTER, TWIN):
            register(model(spark, centres))
        register(model(spark, BETTER, scale="log"))
    return folder


@pytest.fixture
def store(stocked: Path, workplace: Path) -> Path:
    """A copy of the store, in a working folder of its own."""
    shutil.copy(stocked / "mlflow.db", workplace / "mlflow.db")
    return workplace / "mlflow.db"


def use(folder: Path) -> None:
    """Let MLflow work on the store of a folder."""
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.set_registry_uri(f"sqlite:///{folder / 'mlflow.db'}")
