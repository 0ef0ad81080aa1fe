"""The model registry: register a model, name its versions by alias, look them up, load them."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient
from pyspark.ml import PipelineModel

from retail_clusters.errors import NotRegisteredError, RegistryError
from retail_clusters.infra.console import must_answer
from retail_clusters.registry.logged_model import (
    Columns,
    ModelInterface,
    OpenedVersion,
    columns_of,
    copy_metrics,
    load_model,
    log_model,
    read_description,
)

#: How MLflow says that there is no such model, version or alias; the second for an unknown alias.
_UNKNOWN: Final = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


@dataclass(frozen=True)
class ModelRegistry:
    """The versions of one registered model, and the aliases that name them.

    Every method raises RegistryError when the registry does not answer, or refuses.
    """

    name: str

    def log(
        self, model: PipelineModel, *, interface: ModelInterface, metadata: Mapping[str, Any] | None = None
    ) -> str:
        """Log a model as `model` on the open run; return its URI, for `register`."""
        with _answered():
            return str(log_model(model, interface=interface, metadata=metadata).model_uri)

    def register(self, model_uri: str, *, tags: Mapping[str, str], about: str = "") -> str:
        """Register a logged model; return its version. `about` describes the model where nothing does yet."""
        with _answered():
            version = str(mlflow.register_model(model_uri, self.name, tags=dict(tags)).version)
            client = MlflowClient()
            if about and not client.get_registered_model(self.name).description:
                client.update_registered_model(self.name, description=about)
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
        """Log a model made of a version's on the open run; register it under that one's training run.

        It has that one's figures.
        """
        earlier = self.read_version(version=of)
        run_id = earlier.run_id
        with _answered():
            logged = log_model(model, interface=interface, metadata=metadata)
            copy_metrics(str(earlier.source), logged.model_id, run_id=run_id)
            made = MlflowClient().create_model_version(
                self.name,
                source=logged.model_uri,
                run_id=run_id,
                tags=dict(tags),
                model_id=logged.model_id,
            )
        return str(made.version)

    def set_alias(self, *, alias: str, version: str) -> None:
        """Let an alias name a version."""
        with _answered():
            MlflowClient().set_registered_model_alias(self.name, alias, version)

    def remove_alias(self, *, alias: str) -> None:
        """Let an alias name nothing."""
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

    def find_version(self, *, tags: Mapping[str, str]) -> str | None:
        """Return the newest version that carries all of some tags; None when none does."""
        return self._newest(*(f"tags.`{key}` = '{value}'" for key, value in tags.items()))

    def latest_version(self) -> str | None:
        """Return the newest version; None when there is none."""
        return self._newest()

    def input_columns(self, *, version: str) -> Columns | None:
        """Return the columns that a version takes; None when it has no signature.

        Raises:
            RegistryError: it is no Spark model.
        """
        with self._version_answers(version):
            return columns_of(read_description(self._uri(version), version=version).signature)

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
        with self._version_answers(version):
            return load_model(self._uri(version), version=version)

    def training_run(self, *, version: str) -> str:
        """Return the run that trained a version.

        Raises:
            NotRegisteredError: there is no such version, or it was registered without a run.
        """
        run_id = self.read_version(version=version).run_id
        if not run_id:
            raise NotRegisteredError(
                f"a version must name the run that trained it, but version {version} of {self.name} was "
                "registered without one: choose one that train, sweep or main has registered"
            )
        return str(run_id)

    def _uri(self, version: str) -> str:
        return f"models:/{self.name}/{version}"

    def _version_answers(self, version: str) -> AbstractContextManager[None]:
        return must_answer(f"version {version} of {self.name}", mlflow.get_registry_uri, RegistryError)

    def _newest(self, *conditions: str) -> str | None:
        """Return the newest version of those that meet some conditions; None when none does."""
        with _answered():
            found = MlflowClient().search_model_versions(
                " and ".join([f"name = '{self.name}'", *conditions]),
                max_results=1,
                order_by=["version_number DESC"],
            )
        return str(found[0].version) if found else None


@contextmanager
def _answered() -> Iterator[None]:
    with must_answer("the model registry", mlflow.get_registry_uri, RegistryError):
        yield
