"""The run that `mlflow run` makes before the command starts.

The command goes on in it, so that a command is one run. When nobody named an experiment, MLflow puts it into
`Default`, and cannot move it: there it becomes a placeholder, and the command's own run is in the experiment
of its file.
"""

import os
import shlex
from typing import Final

from mlflow.entities import Run, SourceType
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import (
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NAME,
    MLFLOW_RUN_NOTE,
    MLFLOW_SOURCE_TYPE,
)

from retail_clusters.registry.experiment_page import run_page

VARIABLE: Final = "MLFLOW_RUN_ID"
_DEFAULT: Final = "0"
_OF_ITS_OWN: Final = {MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE, MLFLOW_PARENT_RUN_ID}

_placeholder: list[Run] = []


def adopted() -> Run | None:
    """Return the run of `mlflow run` in which the command goes on; make one in `Default` a placeholder.

    A command of its own process asks once, before its first run.
    """
    _placeholder.clear()
    run_id = os.environ.get(VARIABLE)
    if not run_id:
        return None
    made = MlflowClient().get_run(run_id)
    if made.info.experiment_id != _DEFAULT or os.environ.get("MLFLOW_EXPERIMENT_NAME"):
        return made
    _placeholder.append(made)
    for name in (VARIABLE, "MLFLOW_EXPERIMENT_ID"):
        os.environ.pop(name, None)
    return None


def inherited_tags() -> dict[str, str]:
    """Return what `mlflow run` has noted on the placeholder: source, commit, user, entry point."""
    noted = _placeholder[0].data.tags if _placeholder else {}
    return {
        name: value for name, value in noted.items() if name.startswith("mlflow.") and name not in _OF_ITS_OWN
    }


def link_placeholder_run(run_id: str) -> None:
    """Let the placeholder, if there is one, point to the command's own run."""
    if not _placeholder:
        return
    client, placeholder = MlflowClient(), _placeholder.pop().info.run_id
    own = client.get_run(run_id).info
    experiment = client.get_experiment(own.experiment_id).name
    tags = {
        MLFLOW_PARENT_RUN_ID: run_id,
        MLFLOW_RUN_NAME: f"{own.run_name} → {experiment}",
        MLFLOW_RUN_NOTE: f"`mlflow run` started this. Its run is [{own.run_name}]"
        f"({run_page(own.experiment_id, run_id)}) in the experiment `{experiment}`. With "
        f"`--experiment-name {experiment}` it starts there.",
    }
    for name, value in tags.items():
        client.set_tag(placeholder, name, value)


def as_typed(run: Run) -> dict[str, str]:
    """Return a run's params without the quotes of a shell, in which `mlflow run` logs what has a space."""
    params: dict[str, str] = run.data.params
    if run.data.tags.get(MLFLOW_SOURCE_TYPE) != SourceType.to_string(SourceType.PROJECT):
        return params
    return {name: _unquoted(value) for name, value in params.items()}


def _unquoted(value: str) -> str:
    """Undo `shlex.quote`, and nothing else.

    >>> _unquoted("'my data'"), _unquoted("''"), _unquoted("it's")
    ('my data', '', "it's")
    """
    try:
        words = shlex.split(value)
    except ValueError:
        return value
    return words[0] if len(words) == 1 and shlex.quote(words[0]) == value else value
