"""The model registry: log a model, register it, name it by alias, load it."""

import importlib.metadata
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mlflow
import mlflow.spark
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import Model, ModelSignature, get_model_info
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


def register(
    model: PipelineModel, *, tags: Mapping[str, str], metadata: Mapping[str, Any] | None = None
) -> str:
    """Log a model of raw invoice lines as `model` on the open run, register it, and give its version."""
    version = str(_log(model, metadata=metadata, registered_model_name=MODEL_NAME).registered_model_version)
    tag_version(version, tags)
    return version


def set_alias(alias: str, version: str) -> None:
    """Let an alias name a version."""
    MlflowClient().set_registered_model_alias(MODEL_NAME, alias, version)


def remove_alias(alias: str) -> None:
    """Let an alias name nothing."""
    MlflowClient().delete_registered_model_alias(MODEL_NAME, alias)


def tag_version(version: str, tags: Mapping[str, str]) -> None:
    """Set tags on a version."""
    for key, value in tags.items():
        MlflowClient().set_model_version_tag(MODEL_NAME, version, key, value)


def describe_version(version: str, markdown: str) -> None:
    """Set the description of a version."""
    MlflowClient().update_model_version(MODEL_NAME, version, description=markdown)


def find_version(tags: Mapping[str, str]) -> str | None:
    """Return the newest version that carries all of some tags; None when none does."""
    conditions = [f"name = '{MODEL_NAME}'", *(f"tags.`{key}` = '{value}'" for key, value in tags.items())]
    found = MlflowClient().search_model_versions(" and ".join(conditions))
    return str(max(int(version.version) for version in found)) if found else None


def tag_values(key: str) -> list[str]:
    """List what the versions carry under a tag."""
    versions = MlflowClient().search_model_versions(f"name = '{MODEL_NAME}'")
    return [version.tags[key] for version in versions if key in version.tags]


def register_again(
    model: PipelineModel, *, of: str, tags: Mapping[str, str], metadata: Mapping[str, Any]
) -> str:
    """Log a model made of a version's on the open run; register it under that one's training run."""
    logged = _log(model, metadata=metadata)
    made = MlflowClient().create_model_version(
        MODEL_NAME,
        source=logged.model_uri,
        run_id=read_version(of).run_id,
        tags=dict(tags),
        model_id=logged.model_id,
    )
    return str(made.version)


def input_columns(version: str) -> dict[str, str] | None:
    """Return a version's input columns, name to type as MLflow writes it; None when it has no signature."""
    signature = get_model_info(f"models:/{MODEL_NAME}/{version}").signature
    return None if signature is None else _columns(signature)


def version_named(alias: str) -> str | None:
    """Return the version that an alias names; None when it names none."""
    try:
        found: str = MlflowClient().get_model_version_by_alias(MODEL_NAME, alias).version
    except mlflow.MlflowException as unknown:
        if unknown.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise
    return str(found)


def latest_version() -> str | None:
    """Return the newest version; None when there is none."""
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


def _log(model: PipelineModel, *, metadata: Mapping[str, Any] | None, **options: str) -> Any:
    """Log a model as `mlflow.spark.log_model` does, but without loading it once more to try the example.

    That takes as long as saving it, and ends in a warning at most; promotion and the scorer try what they
    use. With the requirements pinned and the signature given, MLflow starts no second Spark.
    """
    example = _EXAMPLE.assign(InvoiceDate=pd.to_datetime(_EXAMPLE[schema.INVOICE_DATE]))
    return Model.log(
        name="model",
        artifact_path=None,
        flavor=mlflow.spark,
        spark_model=model,
        signature=SIGNATURE,
        input_example=example.astype({schema.QUANTITY: "int32"}),
        pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in _CLIENT_PACKAGES],
        metadata=dict(metadata or {}),
        validate_serving_input=False,
        **options,
    )


def _columns(signature: ModelSignature) -> dict[str, str]:
    optional = {True: "", False: " (optional)"}
    return {
        str(column.name): getattr(column.type, "name", "tensor") + optional[getattr(column, "required", True)]
        for column in signature.inputs.inputs
    }


#: The input columns of a model that takes raw invoice lines.
INPUT_COLUMNS: Final = _columns(SIGNATURE)


@dataclass(frozen=True)
class OpenedVersion:
    """A version in memory: its model, and the metadata that was registered with it."""

    version: str
    model: PipelineModel
    metadata: Mapping[str, Any]


def answered_version(alias: str) -> str | None:
    """Return the version that an alias names, as `version_named`.

    Raises:
        RegistryError: the registry does not answer.
    """
    try:
        return version_named(alias)
    except mlflow.MlflowException as failure:
        raise RegistryError(
            f"the registry must answer, but {mlflow.get_registry_uri()} gave: {_in_short(failure)}"
        ) from failure


def open_version(version: str) -> OpenedVersion:
    """Load a version's model and metadata, and leave no file behind.

    Raises:
        RegistryError: the registry does not give it, or its signature is not that of invoice lines.
    """
    folder = tempfile.mkdtemp(prefix="retail-clusters-model-")
    try:
        local = mlflow.artifacts.download_artifacts(
            artifact_uri=f"models:/{MODEL_NAME}/{version}", dst_path=folder
        )
        described = Model.load(local)
        _check_signature(version, described.signature)
        model = mlflow.spark.load_model(local, dfs_tmpdir=str(Path(folder, "dfs")))
        return OpenedVersion(version=version, model=model, metadata=described.metadata or {})
    except RegistryError:
        raise
    except Exception as failure:
        raise RegistryError(
            f"the registry must give version {version} of {MODEL_NAME}, but it gave: {_in_short(failure)}"
        ) from failure
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_signature(version: str, signature: ModelSignature | None) -> None:
    found = {} if signature is None else {column.name: column.type for column in signature.inputs.inputs}
    wanted = {column.name: column.type for column in SIGNATURE.inputs.inputs}
    if found != wanted:
        names = ", ".join(str(name) for name in found) or "no signature"
        raise RegistryError(
            f"a model to score with must take raw invoice lines, but version {version} takes {names}: "
            "register one that does"
        )


def _in_short(failure: Exception) -> str:
    return " ".join(str(failure).split())[:200]
