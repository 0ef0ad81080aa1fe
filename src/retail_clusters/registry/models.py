"""The model registry: log and register a model, name its versions by alias, look them up, load them."""

import importlib.metadata
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import mlflow
import mlflow.pyfunc
import mlflow.spark
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.environment_variables import MLFLOW_DFS_TMP
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType
from pyspark import SparkContext
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession

from retail_clusters.errors import InputError, NotRegisteredError, RegistryError
from retail_clusters.infra import locations, storage
from retail_clusters.infra.console import must_answer
from retail_clusters.infra.spark import is_one_machine
from retail_clusters.registry import keyed_predictions, tracking

#: The type of a column whose type is left to the caller: no check, no conversion.
ANY: Final = "any"
#: Ends the type of a column that a caller may leave out, as in "integer (optional)".
OPTIONAL: Final = " (optional)"

#: Column name to type as MLflow writes it, such as "integer" or "integer (optional)", or `ANY`.
Columns = Mapping[str, str]

#: How MLflow says that there is no such model, version or alias; the second for an unknown alias.
_UNKNOWN: Final = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
#: Names the folder through which MLflow saves and loads a Spark model.
_FOLDER: Final = "MLFLOW_DFS_TMP"


@dataclass(frozen=True, eq=False)
class ModelInterface:
    """What a client of a model must know: the columns in and out, an example, and the packages it needs.

    A model that is `keyed` answers with a row a unit, and takes the end of its window as the parameter `as_of`.
    """

    inputs: Columns
    outputs: Columns
    example: pd.DataFrame
    packages: tuple[str, ...]
    keyed: bool = False

    def signature(self) -> ModelSignature:
        """Return the columns as MLflow's signature."""
        as_of: Any = ParamSchema([ParamSpec("as_of", "string", "")]) if self.keyed else None
        return ModelSignature(inputs=_schema(self.inputs), outputs=_schema(self.outputs), params=as_of)


@dataclass(frozen=True)
class OpenedVersion:
    """A version in memory: its model, the columns it takes, and the metadata registered with it."""

    version: str
    model: PipelineModel
    inputs: Columns | None
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class ModelRegistry:
    """The versions of one registered model, and the aliases that name them.

    Every method raises RegistryError when the registry does not answer, or refuses.
    """

    name: str

    def register(
        self,
        model: PipelineModel,
        *,
        interface: ModelInterface,
        metadata: Mapping[str, Any],
        tags: Mapping[str, str],
        trained_by: str | None = None,
        about: str = "",
    ) -> str:
        """Log a model as `model` on the open run, and register it; return its version.

        `trained_by` names its training run, where that is another one; `about` describes the registered model
        where nothing does yet.
        """
        with _answered():
            client, logged = MlflowClient(), _log(model, interface, metadata)
            uri, kept = logged.model_uri, dict(tags)
            if trained_by is None:
                made = mlflow.register_model(uri, self.name, tags=kept)
            else:
                made = client.create_model_version(
                    self.name, uri, trained_by, tags=kept, model_id=logged.model_id
                )
            if about and not client.get_registered_model(self.name).description:
                client.update_registered_model(self.name, description=about)
        return str(made.version)

    def set_alias(self, *, alias: str, version: str) -> None:
        """Let an alias name a version."""
        with _answered():
            MlflowClient().set_registered_model_alias(self.name, alias, version)

    def remove_alias(self, *, alias: str) -> None:
        """Delete an alias."""
        with _answered():
            MlflowClient().delete_registered_model_alias(self.name, alias)

    def tag(self, *, version: str, tags: Mapping[str, str]) -> None:
        """Set tags on a version."""
        with _answered():
            for key, value in tags.items():
                MlflowClient().set_model_version_tag(self.name, version, key, value)

    def describe(self, *, version: str, markdown: str) -> None:
        """Set the description of a version."""
        with _answered():
            MlflowClient().update_model_version(self.name, version, description=markdown)

    def latest_version(self, *, tags: Mapping[str, str] | None = None) -> str | None:
        """Return the newest version, of those that carry all of some tags; None when there is none."""
        conditions = [f"tags.`{key}` = '{value}'" for key, value in (tags or {}).items()]
        with _answered():
            found = MlflowClient().search_model_versions(
                " and ".join([f"name = '{self.name}'", *conditions]),
                max_results=1,
                order_by=["version_number DESC"],
            )
        return str(found[0].version) if found else None

    def version_named(self, *, alias: str) -> str | None:
        """Return the version that an alias names; None when it names none."""
        with _answered():
            try:
                return str(MlflowClient().get_model_version_by_alias(self.name, alias).version)
            except mlflow.MlflowException as unknown:
                if unknown.error_code in _UNKNOWN:
                    return None
                raise

    def has(self, *, version: str) -> bool:
        """Tell whether the registry holds a version."""
        try:
            self.read_version(version=version)
        except NotRegisteredError:
            return False
        return True

    def read_version(self, *, version: str) -> ModelVersion:
        """Look up a version.

        Raises:
            NotRegisteredError: the registry holds no such version.
        """
        with _answered():
            try:
                return MlflowClient().get_model_version(self.name, version)
            except mlflow.MlflowException as unknown:
                if unknown.error_code not in _UNKNOWN:
                    raise
                raise NotRegisteredError(
                    f"version must name a version of {self.name}, but the registry holds no {version!r}: "
                    "train or sweep first, or look the version up in the MLflow UI"
                ) from unknown

    def open_version(self, *, version: str) -> OpenedVersion:
        """Load a version's model and metadata, and leave no file behind.

        Raises:
            RegistryError: it is no Spark model.
        """
        asked = must_answer(f"version {version} of {self.name}", mlflow.get_registry_uri, RegistryError)
        with asked, _scratch() as (folder, shared):
            uri = f"models:/{self.name}/{version}"
            local = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)
            described = Model.load(local)
            if mlflow.spark.FLAVOR_NAME not in described.flavors:
                raise RegistryError(
                    f"a model to score with must have MLflow's flavour spark, but version {version} has "
                    f"{', '.join(sorted(described.flavors)) or 'none'}: register one with train, "
                    "or take the alias off this one"
                )
            return OpenedVersion(
                version=version,
                model=mlflow.spark.load_model(local, dfs_tmpdir=shared),
                inputs=_columns_of(described.signature),
                metadata=described.metadata or {},
            )

    def training_run(self, *, version: str) -> str:
        """Return the run that trained a version.

        Raises:
            NotRegisteredError: there is no such version, it was registered without a run, or that one is gone.
        """
        run_id = str(self.read_version(version=version).run_id or "")
        if not tracking.is_active(run_id):
            raise NotRegisteredError(
                f"a version must name the run that trained it, but version {version} of {self.name} names "
                f"{f'run {run_id}, which is deleted' if run_id else 'none'}: restore that run (mlflow runs restore), "
                "or choose a version that train, sweep or main has registered"
            )
        return run_id


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


@contextmanager
def _answered() -> Iterator[None]:
    with must_answer("the model registry", mlflow.get_registry_uri, RegistryError):
        yield


def _log(model: PipelineModel, interface: ModelInterface, metadata: Mapping[str, Any]) -> Any:
    """Log a model as `mlflow.spark.log_model` does, but without loading it once more to try the example.

    That takes as long as saving it, and ends in a warning at most; promotion and the scorer try what they
    use. With the requirements pinned and the signature given, MLflow starts no second Spark.
    """
    return Model.log(
        name="model",
        artifact_path=None,
        flavor=_Keyed if interface.keyed else mlflow.spark,
        spark_model=model,
        code_paths=[keyed_predictions.__file__] if interface.keyed else None,
        signature=interface.signature(),
        input_example=interface.example,
        pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in interface.packages],
        metadata=dict(metadata),
        validate_serving_input=False,
    )


class _Keyed:
    """MLflow's flavour spark, whose Python function answers with keys."""

    @staticmethod
    def save_model(path: str, mlflow_model: Model, **given: Any) -> None:
        """Save as `mlflow.spark.save_model` does, and name the loader that travels with the model."""
        mlflow.spark.save_model(path=path, mlflow_model=mlflow_model, **given)
        function = mlflow_model.flavors[mlflow.pyfunc.FLAVOR_NAME]
        function[mlflow.pyfunc.MAIN] = keyed_predictions.__name__.rpartition(".")[2]
        mlflow_model.save(str(Path(path) / MLMODEL_FILE_NAME))


@contextmanager
def _scratch() -> Iterator[tuple[str, str]]:
    """Lend a folder for MLflow to download a model to, and one for executors to read it in.

    On disks it is the same one: what is there already, MLflow does not copy.
    """
    with tempfile.TemporaryDirectory(prefix="retail-clusters-model-", ignore_cleanup_errors=True) as private:
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


def _columns_of(signature: ModelSignature | None) -> Columns | None:
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
