"""What to start: the backend's configuration and an entry point's command, as a call of spark-submit."""

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlflow.exceptions import ExecutionException
from mlflow.projects import utils as projects
from pydantic import BaseModel, ConfigDict, Field, ValidationError

_LAUNCHER = Path(__file__).with_name("launch.py")
_UNPACKED = "environment"

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
    conf: dict[str, bool | int | float | str] = Field(default_factory=dict)
    archive: str | None = None
    env: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class ModuleCommand:
    """A module to run as `python -m` would, with the variables that the command sets for it."""

    module: str
    arguments: tuple[str, ...]
    variables: dict[str, str]


@dataclass(frozen=True)
class Submission:
    """A process to start: its words, and its whole environment."""

    words: tuple[str, ...]
    environment: dict[str, str]


def read_config(backend_config: Mapping[str, Any]) -> ClusterConfig:
    """Return the checked configuration; MLflow's own additions are left out.

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
        # Without the values, which may be secret.
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place, known = ".".join(map(str, fault["loc"])), ", ".join(ClusterConfig.model_fields)
        raise ExecutionException(f"backend config: {place}: {fault['msg']}; its keys are {known}") from None


def parse_command(command: str) -> ModuleCommand:
    """Return the module, arguments and variables of an entry point's command; no shell expands anything.

    Raises:
        ExecutionException: it has not the form `[env] [NAME=VALUE …] python -m MODULE [ARGUMENT …]`.
    """
    words = shlex.split(command)
    if words[:1] == ["env"]:
        words = words[1:]
    variables = {}
    while words and "=" in words[0]:
        name, _, variables[name] = words.pop(0).partition("=")
    if len(words) < 3 or not words[0].startswith("python") or words[1] != "-m":
        raise ExecutionException(
            "the backend spark-submit runs commands of the form '[env] [NAME=VALUE …] python -m MODULE "
            f"[ARGUMENT …]', but got {' '.join(words[:2])!r}: change the entry point"
        )
    return ModuleCommand(module=words[2], arguments=tuple(words[3:]), variables=variables)


def prepare_submission(
    config: ClusterConfig, command: ModuleCommand, *, run_variables: dict[str, str], folder: Path
) -> Submission:
    """Return what to start, and write the files that it needs into `folder`.

    The driver runs here, and inherits the run's variables from the process. Spark's properties travel in a file
    that only its owner reads: a command line is everyone's to read.
    """
    # Without it pyspark's own script may find the jars of another Spark.
    home = os.environ.get("SPARK_HOME") or _pyspark()
    environment = os.environ | {"SPARK_HOME": home} | config.env | command.variables | run_variables
    words = [str(Path(home, "bin", "spark-submit")), "--deploy-mode", "client"]
    if config.master:
        words += ["--master", config.master]
    words += ["--load-spark-defaults", "--properties-file", _write_properties(_properties(config), folder)]
    if config.archive:
        words += ["--archives", f"{_absolute(config.archive)}#{_UNPACKED}"]
    words += [str(_LAUNCHER), command.module, *command.arguments]
    return Submission(words=tuple(words), environment=environment)


def _pyspark() -> str:
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise ExecutionException("found no pyspark here: install it, or name a Spark in SPARK_HOME")
    return str(Path(spec.origin).parent)


def _properties(config: ClusterConfig) -> dict[str, str]:
    """Return the properties: which Python, unless the user says so, and the user's own."""
    python = {"spark.pyspark.driver.python": sys.executable}
    if config.archive:
        python["spark.pyspark.python"] = f"./{_UNPACKED}/bin/python"
    given = {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in config.conf.items()
    }
    return python | given


def _write_properties(properties: Mapping[str, str], folder: Path) -> str:
    """Write the properties as java.util.Properties reads them back."""
    path = folder / "spark.properties"
    path.touch(mode=0o600)
    escaped = {key: value.replace("\\", "\\\\").replace("\n", "\\n") for key, value in properties.items()}
    path.write_text("\n".join(f"{key}={value}" for key, value in escaped.items()), encoding="utf-8")
    return str(path)


def _absolute(path: str) -> str:
    """Return a path as typed here, for spark-submit starts in the project's folder; a URI as it is."""
    return path if urlsplit(path).scheme else str(Path(path).absolute())
