"""The model registry: log a model, register it, name it by alias, load it."""

import importlib.metadata
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import mlflow
import mlflow.spark
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, Schema
from pyspark.ml import PipelineModel

from retail_clusters import schema
from retail_clusters.errors import RegistryError

MODEL_NAME: Final = "retail-clusters"
CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
PREVIOUS: Final = "previous"

#: What a client needs beside Java to load and apply a registered model.
_CLIENT_PACKAGES: Final = ("mlflow", "pyspark", "pandas", "numpy")

_MLFLOW_TYPES: Final = {"string": "string", "int": "integer", "timestamp": "datetime", "double": "double"}

SIGNATURE: Final = ModelSignature(
    inputs=Schema(
        [
            ColSpec(_MLFLOW_TYPES[field.dataType.simpleString()], field.name, required=False)
            for field in schema.INVOICE_LINE
        ]
    ),
    outputs=Schema([ColSpec("integer", schema.PREDICTION)]),
)

_EXAMPLE: Final = pd.DataFrame(
    [
        ("536365", "85123A", "WHITE HANGING HEART T-LIGHT HOLDER", 6, "2010-12-01 08:26:00", 2.55, 17850.0),
        ("C536379", "D", "Discount", -1, "2010-12-01 09:41:00", 27.5, 14527.0),
    ],
    columns=list(schema.COLUMNS[:-1]),
).assign(Country="United Kingdom")


def register(model: PipelineModel, *, tags: Mapping[str, str]) -> str:
    """Log a model of raw invoice lines as `model` on the open run, register it, and give its version.

    With the requirements pinned and the signature given, MLflow starts no second Spark to infer them.
    """
    requirements = [f"{name}=={importlib.metadata.version(name)}" for name in _CLIENT_PACKAGES]
    example = _EXAMPLE.assign(InvoiceDate=pd.to_datetime(_EXAMPLE[schema.INVOICE_DATE]))
    logged = mlflow.spark.log_model(
        model,
        artifact_path="model",
        signature=SIGNATURE,
        input_example=example.astype({schema.QUANTITY: "int32"}),
        pip_requirements=requirements,
        registered_model_name=MODEL_NAME,
    )
    version = str(logged.registered_model_version)
    for key, value in tags.items():
        MlflowClient().set_model_version_tag(MODEL_NAME, version, key, value)
    return version


def set_alias(alias: str, version: str) -> None:
    """Let an alias name a version."""
    MlflowClient().set_registered_model_alias(MODEL_NAME, alias, version)


def version_named(alias: str) -> str | None:
    """Give the version that an alias names; None when it names none."""
    try:
        found: str = MlflowClient().get_model_version_by_alias(MODEL_NAME, alias).version
    except mlflow.MlflowException as unknown:
        if unknown.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise
    return str(found)


def latest_version() -> str | None:
    """Give the newest version; None when there is none."""
    versions = MlflowClient().search_model_versions(f"name = '{MODEL_NAME}'")
    return str(max(int(version.version) for version in versions)) if versions else None


def read_version(version: str) -> ModelVersion:
    """Look up a version.

    Raises:
        RegistryError: the registry holds no such version.
    """
    try:
        return MlflowClient().get_model_version(MODEL_NAME, version)
    except mlflow.MlflowException as unknown:
        raise RegistryError(
            f"version must name a version of {MODEL_NAME}, but the registry holds no {version!r}: "
            "train or sweep first, or look the version up in the MLflow UI"
        ) from unknown


@contextmanager
def loaded(version: str) -> Iterator[PipelineModel]:
    """Load a version's model; its temporary files go when the block ends."""
    folder = tempfile.mkdtemp(prefix="retail-clusters-model-")
    try:
        yield mlflow.spark.load_model(f"models:/{MODEL_NAME}/{version}", dst_path=folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
