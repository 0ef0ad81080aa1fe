"""What to start: spark-submit's command line, its environment and its properties file."""

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from mlflow.exceptions import ExecutionException

from mlflow_spark_submit.command import ModuleCommand
from mlflow_spark_submit.config import ClusterConfig, is_local

_LAUNCHER = Path(__file__).with_name("launch.py")
_UNPACKED = "environment"
_SPECIAL = re.compile(r"[\\\n\r\t\f]")
_KEY_SPECIAL = re.compile(r"[\\\n\r\t\f :=#!]")
_LETTERS = {"\n": "n", "\r": "r", "\t": "t", "\f": "f"}
_ARCHIVED_PYTHON = f"./{_UNPACKED}/bin/python"


@dataclass(frozen=True)
class Submission:
    """A process to start: its words, and its whole environment."""

    words: tuple[str, ...]
    environment: dict[str, str]


def prepare_submission(
    config: ClusterConfig, command: ModuleCommand, *, run_variables: dict[str, str], folder: Path
) -> Submission:
    """Return what to start, and write the files that it needs into `folder`.

    In client mode the driver inherits the run's variables from the process. In cluster mode it starts
    elsewhere, and Spark's configuration is the one way to it. Spark logs that, so it must hold no secret.
    Spark's properties travel in a file that only its owner reads: a command line is everyone's to read.
    """
    program, home = _program(config)
    inherited = os.environ | home | config.env
    if config.deploy_mode == "client":
        properties = _properties(config)
        environment = inherited | command.variables | run_variables
    else:
        # A command's PYTHONPATH names folders of this machine; there, archive and py_files bring the module.
        elsewhere = {name: value for name, value in command.variables.items() if name != "PYTHONPATH"}
        properties = _driver_variables(config, config.env | elsewhere | run_variables) | _properties(config)
        environment = inherited
    words = [program]
    if config.master:
        words += ["--master", config.master]
    words += ["--deploy-mode", config.deploy_mode]
    if properties:
        words += ["--load-spark-defaults", "--properties-file", _write_properties(properties, folder)]
    if config.archive:
        words += ["--archives", f"{_absolute(config.archive)}#{_UNPACKED}"]
    if config.py_files:
        words += ["--py-files", ",".join(_importable(each, folder) for each in config.py_files)]
    words += [str(_LAUNCHER), command.module, *command.arguments]
    return Submission(words=tuple(words), environment=environment)


def _program(config: ClusterConfig) -> tuple[str, dict[str, str]]:
    """Return spark-submit, and the SPARK_HOME that makes pyspark's own script find its own jars."""
    if config.spark_submit:
        return _absolute(config.spark_submit), {}
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise ExecutionException("found no pyspark here: name the program in the config's 'spark_submit'")
    home = os.environ.get("SPARK_HOME") or str(Path(spec.origin).parent)
    return str(Path(home, "bin", "spark-submit")), {"SPARK_HOME": home}


def _properties(config: ClusterConfig) -> dict[str, str]:
    """Return the properties: which Python, unless the user says so, and the user's own."""
    python: dict[str, str] = {}
    if config.archive:
        python["spark.pyspark.python"] = _ARCHIVED_PYTHON
    if config.deploy_mode == "client":
        python["spark.pyspark.driver.python"] = sys.executable
    given = {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in config.conf.items()
    }
    return python | given


def _driver_variables(config: ClusterConfig, variables: Mapping[str, str]) -> dict[str, str]:
    _refuse_unreachable(variables.get("MLFLOW_TRACKING_URI", ""))
    prefix = "spark.yarn.appMasterEnv." if config.master == "yarn" else "spark.kubernetes.driverEnv."
    return {f"{prefix}{name}": value for name, value in variables.items()}


def _refuse_unreachable(tracking_uri: str) -> None:
    parts = urlsplit(tracking_uri)
    if parts.password is not None:
        raise ExecutionException(
            "in cluster mode the tracking URI goes into Spark's configuration, which Spark logs, "
            "but got one with a password: take it out, and let the driver find MLFLOW_TRACKING_USERNAME "
            "and MLFLOW_TRACKING_PASSWORD where it runs"
        )
    if parts.scheme in {"", "file", "sqlite"}:
        raise ExecutionException(
            "in cluster mode the driver runs on another machine, but got a tracking store in a file: "
            "set MLFLOW_TRACKING_URI to a tracking server"
        )


def _write_properties(properties: Mapping[str, str], folder: Path) -> str:
    """Write the properties as java.util.Properties reads them back."""
    path = folder / "spark.properties"
    path.touch(mode=0o600)
    lines = (f"{_escape(key, _KEY_SPECIAL)}={_escape(value, _SPECIAL)}" for key, value in properties.items())
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def _escape(text: str, special: re.Pattern[str]) -> str:
    return special.sub(lambda found: "\\" + _LETTERS.get(found[0], found[0]), text)


def _importable(path: str, folder: Path) -> str:
    """Return a file that executors import from: of a wheel, a copy that is named a zip, as Spark wants it."""
    if not (is_local(path) and path.endswith(".whl")):
        return _absolute(path)
    return str(shutil.copy(path, folder / f"{Path(path).stem}.zip"))


def _absolute(path: str) -> str:
    """Return a path as typed here; spark-submit starts in the project's folder."""
    return str(Path(path).absolute()) if is_local(path) else path
