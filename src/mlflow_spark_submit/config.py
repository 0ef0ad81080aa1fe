"""The backend's configuration: what `cluster.json` may say, and what of `mlflow run` has no meaning here."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from mlflow.exceptions import ExecutionException
from mlflow.projects import utils as projects
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

# What MLflow adds to the configuration by itself.
_ADDED_BY_MLFLOW = (
    projects.PROJECT_ENV_MANAGER,
    projects.PROJECT_SYNCHRONOUS,
    projects.PROJECT_DOCKER_ARGS,
    projects.PROJECT_STORAGE_DIR,
    projects.PROJECT_BUILD_IMAGE,
    projects.PROJECT_DOCKER_AUTH,
)


class ClusterConfig(BaseModel):
    """Where and how to submit. What is not given is left to `spark-defaults.conf`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    master: str | None = None
    deploy_mode: Literal["client", "cluster"] = "client"
    conf: dict[str, bool | int | float | str] = Field(default_factory=dict)
    archive: str | None = None
    py_files: list[str] = Field(default_factory=list)
    spark_submit: str | None = None
    env: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _can_be_submitted(self) -> Self:
        foreign = [key for key in self.conf if not key.startswith("spark.")]
        if foreign:
            raise ValueError(f"keys of conf begin with 'spark.', but got {foreign[0]!r}")
        for key, name in (("spark.master", "master"), ("spark.submit.deployMode", "deploy_mode")):
            if key in self.conf:
                raise ValueError(f"{key} is given as {name!r}, not in conf")
        if self.deploy_mode == "cluster" and not (self.master or "").startswith(("yarn", "k8s://")):
            raise ValueError(
                "Spark runs Python in cluster mode on master 'yarn' or 'k8s://…', "
                f"but got {self.master!r}: use deploy_mode 'client' there"
            )
        for path in [*self.py_files, *filter(None, [self.archive, self.spark_submit])]:
            if is_local(path) and not Path(path).is_file():
                raise ValueError(f"found no file {path!r} in {os.getcwd()}")  # noqa: PTH109 - as typed
        return self


def is_local(path: str) -> bool:
    """Tell a path of this machine from a URI that Spark fetches itself."""
    return not urlsplit(path).scheme


def read_config(backend_config: Mapping[str, Any]) -> ClusterConfig:
    """Return the checked configuration; MLflow's own additions are checked and left out.

    Raises:
        ExecutionException: in one line, which `mlflow run` prints before it exits with 1.
    """
    manager = backend_config.get(projects.PROJECT_ENV_MANAGER)
    if manager not in {None, "local"}:
        raise ExecutionException(
            "the backend spark-submit runs in the environment of its config's archive, or in this one, "
            f"but got --env-manager {manager}: leave it out"
        )
    given = {key: value for key, value in backend_config.items() if key not in _ADDED_BY_MLFLOW}
    try:
        return ClusterConfig.model_validate(given)
    except ValidationError as error:
        raise ExecutionException(f"backend config: {_first_line(error)}") from None


def _first_line(error: ValidationError) -> str:
    """Return the first fault in one line, without the values, which may be secret."""
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = ", ".join(ClusterConfig.model_fields)
        return f"it has no key {place!r}; its keys are {known}"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
