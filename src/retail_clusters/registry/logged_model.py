"""A model as MLflow keeps it: its interface, how it is logged, and how it comes back."""

import importlib.metadata
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import mlflow
import mlflow.spark
import pandas as pd
from mlflow.entities import Metric
from mlflow.environment_variables import MLFLOW_DFS_TMP
from mlflow.models import Model, ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, Schema
from mlflow.types.schema import AnyType
from pyspark import SparkContext
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession

from retail_clusters.errors import InputError, RegistryError
from retail_clusters.infra import locations, storage
from retail_clusters.infra.spark import is_one_machine

#: Names the folder through which MLflow saves and loads a Spark model.
_FOLDER: Final = "MLFLOW_DFS_TMP"

#: The type of a column whose type is left to the caller: no check, no conversion.
ANY: Final = "any"
#: Ends the type of a column that a caller may leave out, as in "integer (optional)".
OPTIONAL: Final = " (optional)"

#: Column name to type as MLflow writes it, such as "integer" or "integer (optional)", or `ANY`.
Columns = Mapping[str, str]


@dataclass(frozen=True, eq=False)
class ModelInterface:
    """What a client of a model must know: the columns in and out, an example, and the packages it needs."""

    inputs: Columns
    outputs: Columns
    example: pd.DataFrame
    packages: tuple[str, ...]

    def signature(self) -> ModelSignature:
        """Return the columns as MLflow's signature."""
        return ModelSignature(inputs=_schema(self.inputs), outputs=_schema(self.outputs))


@dataclass(frozen=True)
class OpenedVersion:
    """A version in memory: its model, the columns it takes, and the metadata registered with it."""

    version: str
    model: PipelineModel
    inputs: Columns | None
    metadata: Mapping[str, Any]


def log_model(model: PipelineModel, *, interface: ModelInterface, metadata: Mapping[str, Any] | None) -> Any:
    """Log a model as `mlflow.spark.log_model` does, but without loading it once more to try the example.

    That takes as long as saving it, and ends in a warning at most; promotion and the scorer try what they
    use. With the requirements pinned and the signature given, MLflow starts no second Spark.
    """
    return Model.log(
        name="model",
        artifact_path=None,
        flavor=mlflow.spark,
        spark_model=model,
        signature=interface.signature(),
        input_example=interface.example,
        pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in interface.packages],
        metadata=dict(metadata or {}),
        validate_serving_input=False,
    )


def copy_metrics(source: str, target: str, *, run_id: str | None) -> None:
    """Give a logged model the figures that a run has logged of another, with their data sets.

    `source` is what that one's version was made of; an older release registered other things than models.
    """
    client = MlflowClient()
    scheme, _, model_id = source.partition(":/")
    if scheme != "models" or not run_id or client.get_run(run_id).info.lifecycle_stage != "active":
        return
    figures = [each for each in client.get_logged_model(model_id).metrics or [] if each.run_id == run_id]
    copies = [
        Metric(
            each.key,
            each.value,
            each.timestamp,
            each.step,
            model_id=target,
            dataset_name=each.dataset_name,
            dataset_digest=each.dataset_digest,
            run_id=run_id,
        )
        for each in figures
    ]
    client.log_batch(run_id, metrics=copies)


def read_description(uri: str, *, version: str) -> Model:
    """Read what MLflow notes beside a model, its signature and its metadata, and leave no file behind.

    Raises:
        RegistryError: it is no Spark model.
    """
    with _private_folder() as folder:
        return _described(mlflow.artifacts.download_artifacts(f"{uri}/MLmodel", dst_path=folder), version)


def _described(local: str, version: str) -> Model:
    """Read a description that is on this machine's disks: of another, MLflow would keep a copy for ever."""
    described = Model.load(local)
    if mlflow.spark.FLAVOR_NAME not in described.flavors:
        raise RegistryError(
            f"a model to score with must have MLflow's flavour spark, but version {version} has "
            f"{', '.join(sorted(described.flavors)) or 'none'}: register one with train, "
            "or take the alias off this one"
        )
    return described


def load_model(uri: str, *, version: str) -> OpenedVersion:
    """Load a model and its metadata, and leave no file behind.

    Raises:
        RegistryError: it is no Spark model.
    """
    with _scratch() as (folder, shared):
        local = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)
        described = _described(local, version)
        return OpenedVersion(
            version=version,
            model=mlflow.spark.load_model(local, dfs_tmpdir=shared),
            inputs=columns_of(described.signature),
            metadata=described.metadata or {},
        )


def _private_folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="retail-clusters-model-", ignore_cleanup_errors=True)


@contextmanager
def _scratch() -> Iterator[tuple[str, str]]:
    """Lend a folder for MLflow to download a model to, and one for executors to read it in.

    On disks it is the same one: what is there already, MLflow does not copy.
    """
    with _private_folder() as private:
        named = _shared_folder(SparkContext.getOrCreate())
        shared = locations.join(named or private, f"retail-clusters-{uuid4().hex}")
        try:
            yield (locations.local_path(shared) if locations.is_local(shared) else private), shared
        finally:
            storage.remove(shared)


def _shared_folder(context: Any) -> str | None:
    """Return the folder through which machines pass models on; None where each has files of its own.

    A path is one of the default file system, as MLflow takes it.
    """
    named = os.environ.get(_FOLDER)
    default = str(context._jsc.hadoopConfiguration().get("fs.defaultFS", "file:///"))
    if locations.is_local(default):
        return named
    folder = named or MLFLOW_DFS_TMP.default
    return locations.join(default, folder.lstrip("/")) if folder.startswith("/") else folder


def check_model_folder(spark: SparkSession) -> None:
    """Refuse a cluster whose executors would save their part of a model where nobody else finds it.

    Raises:
        InputError: executors run on other machines, and files are each machine's own.
    """
    context: Any = spark.sparkContext
    if _shared_folder(context) or is_one_machine(context.master):
        return
    hosts = {executor.host() for executor in context._jsc.sc().statusTracker().getExecutorInfos()}
    elsewhere = sorted(hosts - {context.getConf().get("spark.driver.host")})
    if elsewhere:
        raise InputError(
            f"Spark saves a model through a folder that every machine sees, but executors run on "
            f"{elsewhere[0]}, and files are each machine's own: name a shared folder with {_FOLDER}"
        )


def columns_of(signature: ModelSignature | None) -> Columns | None:
    """Return the input columns of a signature; None without one, or where it names none."""
    if signature is None or signature.inputs is None:
        return None
    return {
        str(column.name): _kind(column.type) + ("" if getattr(column, "required", True) else OPTIONAL)
        for column in signature.inputs.inputs
    }


def _kind(kind: object) -> str:
    return ANY if isinstance(kind, AnyType) else getattr(kind, "name", "tensor")


def _schema(columns: Columns) -> Schema:
    return Schema([_spec(name, kind) for name, kind in columns.items()])


def _spec(name: str, kind: str) -> ColSpec:
    bare = kind.removesuffix(OPTIONAL)
    free: Any = AnyType  # has no annotations
    return ColSpec(free() if bare == ANY else bare, name, required=bare == kind)
