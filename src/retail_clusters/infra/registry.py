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

from retail_clusters.errors import RegistryError

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
PREVIOUS: Final = "previous"

#: Ends the type of a column that a caller may leave out, as in "integer (optional)".
OPTIONAL: Final = " (optional)"

#: Column name to type as MLflow writes it, such as "integer" or "integer (optional)".
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


@dataclass(frozen=True)
class ModelRegistry:
    """The versions of one registered model, and the aliases that name them."""

    name: str

    def register(
        self,
        model: PipelineModel,
        *,
        interface: ModelInterface,
        tags: Mapping[str, str],
        metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """Log a model as `model` on the open run, register it, and return its version."""
        logged = _log(model, interface=interface, metadata=metadata, registered_model_name=self.name)
        version = str(logged.registered_model_version)
        self.tag(version=version, tags=tags)
        return version

    def register_again(
        self,
        model: PipelineModel,
        *,
        interface: ModelInterface,
        of: str,
        tags: Mapping[str, str],
        metadata: Mapping[str, Any],
    ) -> str:
        """Log a model made of a version's on the open run; register it under that one's training run."""
        logged = _log(model, interface=interface, metadata=metadata)
        made = MlflowClient().create_model_version(
            self.name,
            source=logged.model_uri,
            run_id=self.read_version(version=of).run_id,
            tags=dict(tags),
            model_id=logged.model_id,
        )
        return str(made.version)

    def set_alias(self, *, alias: str, version: str) -> None:
        """Let an alias name a version."""
        MlflowClient().set_registered_model_alias(self.name, alias, version)

    def remove_alias(self, *, alias: str) -> None:
        """Let an alias name nothing."""
        MlflowClient().delete_registered_model_alias(self.name, alias)

    def tag(self, *, version: str, tags: Mapping[str, str]) -> None:
        """Set tags on a version."""
        for key, value in tags.items():
            MlflowClient().set_model_version_tag(self.name, version, key, value)

    def describe(self, *, version: str, markdown: str) -> None:
        """Set the description of a version."""
        MlflowClient().update_model_version(self.name, version, description=markdown)

    def find_version(self, *, tags: Mapping[str, str]) -> str | None:
        """Return the newest version that carries all of some tags; None when none does."""
        return _newest(self._search(*(f"tags.`{key}` = '{value}'" for key, value in tags.items())))

    def latest_version(self) -> str | None:
        """Return the newest version; None when there is none."""
        return _newest(self._search())

    def tag_values(self, *, key: str) -> list[str]:
        """List what the versions carry under a tag."""
        return [version.tags[key] for version in self._search() if key in version.tags]

    def input_columns(self, *, version: str) -> Columns | None:
        """Return the columns that a version takes; None when it has no signature."""
        return _columns(get_model_info(f"models:/{self.name}/{version}").signature)

    def version_named(self, *, alias: str) -> str | None:
        """Return the version that an alias names; None when it names none."""
        try:
            found: str = MlflowClient().get_model_version_by_alias(self.name, alias).version
        except mlflow.MlflowException as unknown:
            if unknown.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                return None
            raise
        return str(found)

    def answered_version(self, *, alias: str) -> str | None:
        """Return the version that an alias names, as `version_named`.

        Raises:
            RegistryError: the registry does not answer.
        """
        try:
            return self.version_named(alias=alias)
        except mlflow.MlflowException as failure:
            raise RegistryError(
                f"the registry must answer, but {mlflow.get_registry_uri()} gave: {_in_short(failure)}"
            ) from failure

    def read_version(self, *, version: str) -> ModelVersion:
        """Look up a version.

        Raises:
            RegistryError: the registry holds no such version.
        """
        try:
            return MlflowClient().get_model_version(self.name, version)
        except mlflow.MlflowException as unknown:
            raise RegistryError(
                f"version must name a version of {self.name}, but the registry holds no {version!r}: "
                "train or sweep first, or look the version up in the MLflow UI"
            ) from unknown

    def open_version(self, *, version: str) -> OpenedVersion:
        """Load a version's model and metadata, and leave no file behind.

        Raises:
            RegistryError: the registry does not give it.
        """
        folder = tempfile.mkdtemp(prefix="retail-clusters-model-")
        try:
            local = mlflow.artifacts.download_artifacts(
                artifact_uri=f"models:/{self.name}/{version}", dst_path=folder
            )
            described = Model.load(local)
            return OpenedVersion(
                version=version,
                model=mlflow.spark.load_model(local, dfs_tmpdir=str(Path(folder, "dfs"))),
                inputs=_columns(described.signature),
                metadata=described.metadata or {},
            )
        except Exception as failure:
            raise RegistryError(
                f"the registry must give version {version} of {self.name}, but it gave: {_in_short(failure)}"
            ) from failure
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _search(self, *conditions: str) -> list[ModelVersion]:
        """Find versions, all pages of them."""
        client, found = MlflowClient(), []
        token: str | None = None
        while True:
            page = client.search_model_versions(
                " and ".join([f"name = '{self.name}'", *conditions]), page_token=token
            )
            found += list(page)
            token = page.token
            if not token:
                return found


def _log(
    model: PipelineModel, *, interface: ModelInterface, metadata: Mapping[str, Any] | None, **options: str
) -> Any:
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
        **options,
    )


def _newest(versions: list[ModelVersion]) -> str | None:
    return str(max(int(version.version) for version in versions)) if versions else None


def _schema(columns: Columns) -> Schema:
    return Schema(
        [
            ColSpec(kind.removesuffix(OPTIONAL), name, required=not kind.endswith(OPTIONAL))
            for name, kind in columns.items()
        ]
    )


def _columns(signature: ModelSignature | None) -> Columns | None:
    if signature is None:
        return None
    return {
        str(column.name): getattr(column.type, "name", "tensor")
        + ("" if getattr(column, "required", True) else OPTIONAL)
        for column in signature.inputs.inputs
    }


def _in_short(failure: Exception) -> str:
    return " ".join(str(failure).split())[:200]
