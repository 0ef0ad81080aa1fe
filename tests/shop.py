"""A registry of small real models over one small prepared table, made once and copied for each test."""

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import chdir
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.models import Model
from mlflow.pyfunc import FLAVOR_NAME as PYTHON
from mlflow.tracking import MlflowClient
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession

from retail_clusters import schema
from retail_clusters.data import prepare as tables
from retail_clusters.data.prepare import PreparedTable
from retail_clusters.features import stages
from retail_clusters.features.interface import INTERFACE
from retail_clusters.features.model import centres_digest, scoring_pipeline
from retail_clusters.features.rows import weighted_rows
from retail_clusters.infra.locations import literal
from retail_clusters.promotion.ledger import Ledger
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.settings import Features
from tests import examples

#: The versions of `stocked`: three clusters; four, better ones; these in another order, moved a little; four
#: of another feature space; and the first again, of data that nobody has.
FAIR_VERSION, BETTER_VERSION, TWIN_VERSION, LOG_VERSION, UNKNOWN_DATA = "12345"

registry = ModelRegistry("retail-clusters")
book = Ledger(registry.name)

#: Price and quantity of four groups of lines, far apart, of 40 rows in each split.
GROUPS = ((2.0, 2), (2.0, 60), (70.0, 2), (70.0, 60))
FAIR = ((2.5, 31), (70.5, 2), (70.5, 60))
BETTER = ((70.5, 60), (2.5, 60), (70.5, 2), (2.5, 2))
#: The clusters of BETTER in another order, moved a little.
TWIN = ((2.4, 2.1), (70.4, 60.1), (2.6, 59.9), (70.6, 2.2))
DIGEST = "d" * 32


def prepare(spark: SparkSession) -> PreparedTable:
    """Store the prepared table in the working folder's cache."""
    rows = [
        (split, *examples.whole((price + 0.01 * step, quantity, day, 1 + step % 3, 0)))
        for split in schema.SPLITS
        for price, quantity in GROUPS
        for step in range(40)
        for day in ("Monday" if step % 2 else "Friday",)
    ]
    if_saturday = [(schema.TEST, *examples.whole((2.0, 2, "Saturday", 1, 0)))]
    fields = [f"{field.name} {field.dataType.simpleString()}" for field in schema.WEIGHTED_ROW]
    columns = ", ".join(["split string", *fields])
    days = f"array(named_struct('{schema.DAY}', 0, '{schema.LINES}', weight)) AS {schema.DAYS}"
    reduced = spark.createDataFrame(rows + if_saturday, columns).selectExpr("*", days)
    weight = 1 + schema.WEIGHTED_ROW.names.index(schema.WEIGHT)
    lines = {
        split: sum(row[weight] for row in rows + if_saturday if row[0] == split) for split in schema.SPLITS
    }
    count = {split: sum(row[0] == split for row in rows + if_saturday) for split in schema.SPLITS}
    table = PreparedTable("shop/rows", "unknown", "some/folder", DIGEST, lines, count, quarantined=0)
    return tables.store(table, "shop", reduced=reduced, quarantine=reduced)


def model(
    spark: SparkSession, table: PreparedTable, centres: Sequence[Sequence[float]], *, how: Features
) -> PipelineModel:
    """Make a model of raw lines with given centres (price, quantity), as good on any weekday."""
    rows = weighted_rows(tables.read_rows(spark, table).where("split = 'train'").drop("split").toArrow())
    pipeline = stages.fit_features(rows, features=how, spark=spark)
    points = np.array(centres, dtype=float)
    if how.scaling == "log":
        points = np.sign(points) * np.log1p(np.abs(points))
    slots = 2 if how.unseen_days == "keep" else 1
    return scoring_pipeline(pipeline, examples.centres(points.tolist(), [0.5] * slots), spark=spark)


def register(made: PipelineModel, table: PreparedTable, *, k: int) -> str:
    """Register a model as a training would; give its version."""
    with mlflow.start_run():
        mlflow.log_params({"k": k, "split.train_until": "2011-07-01", "pipeline.scaling": "none"})
        mlflow.log_metrics({"validation_silhouette": 0.5, "stable_line_share": 0.6})
        kmeans = made.stages[-2]
        return registry.register(
            registry.log(made, interface=INTERFACE),
            tags={
                "data_digest": table.data_digest,
                "prepared_lines": json.dumps(dict(table.lines)),
                "model_digest": centres_digest(np.array(kmeans.clusterCenters())),
            },
        )


def again(version: str, *, tags: Mapping[str, str]) -> None:
    """Register the artifact of a version once more, with other tags."""
    known = registry.read_version(version=version)
    MlflowClient().create_model_version(
        registry.name, source=known.source, run_id=known.run_id, tags=known.tags | dict(tags)
    )


def versions(count: int) -> None:
    """Register versions without a model: enough for what only moves aliases."""
    client = MlflowClient()
    client.create_registered_model(registry.name)
    for number in range(1, count + 1):
        client.create_model_version(
            registry.name, source=f"file://{Path.cwd()}/none", tags={"model_digest": f"digest {number}"}
        )


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
        "CustomerID double, Country string",
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
    """A folder with a prepared table, and a store with a version of each kind."""
    folder = tmp_path_factory.mktemp("shop")
    shutil.copy(empty_store, folder / "mlflow.db")
    with chdir(folder):
        use(folder)
        experiment = MlflowClient().create_experiment("shop", str(folder / "artifacts"))
        mlflow.set_experiment(experiment_id=experiment)
        table = prepare(spark)
        for centres in (FAIR, BETTER, TWIN):
            register(model(spark, table, centres, how=Features()), table, k=len(centres))
        register(model(spark, table, BETTER, how=Features(scaling="log")), table, k=4)
        again(FAIR_VERSION, tags={"data_digest": "e" * 32})
    return folder


@pytest.fixture
def store(stocked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the store, in a working folder of its own."""
    shutil.copy(stocked / "mlflow.db", tmp_path / "mlflow.db")
    (tmp_path / "data").symlink_to(stocked / "data")
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    use(tmp_path)
    return tmp_path / "mlflow.db"


def use(folder: Path) -> None:
    """Let MLflow work on the store of a folder."""
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.set_registry_uri(f"sqlite:///{folder / 'mlflow.db'}")
