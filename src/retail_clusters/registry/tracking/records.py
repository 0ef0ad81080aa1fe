"""What the open run is told: params, metrics, tags, tables, figures, data sets."""

import json
import shlex
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mlflow
import pandas as pd
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.spark_dataset_source import SparkDatasetSource
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, Schema

from retail_clusters.errors import InputError
from retail_clusters.infra import locations
from retail_clusters.infra.secrets import masked
from retail_clusters.registry.tracking.store import answered
from retail_clusters.wording import pad_table

#: Settings that the run could not take as params, as `mlflow run` had logged that they are not given.
LATE_PARAM_TAG: Final = "settings."
#: The tag that holds a description.
NOTE: Final = "mlflow.note.content"


def log_settings(settings: Mapping[str, str]) -> None:
    """Log params on the open run; those that it holds with the same value stay.

    `mlflow run` has logged its arguments as a shell would quote them, and empty ones for those not given:
    the same value, or none, is no conflict.

    Raises:
        InputError: the run holds another value; a param cannot change.
    """
    active = mlflow.active_run()
    with answered():
        held = _held(active.info.run_id) if active else {}
        shown = {key: masked(value) for key, value in settings.items()}
        conflicts = _conflicts(held, shown)
        later = {key: shown[key] for key in conflicts if _plain(held[key]) == ""}
        for key in conflicts:
            if key not in later:
                raise InputError(
                    f"a run's params cannot change, but {key} is {held[key]!r} in it and {shown[key]!r} now: "
                    "give the same value, or start a new run"
                )
        mlflow.log_params({key: value for key, value in shown.items() if key not in held})
        if later:
            mlflow.set_tags({f"{LATE_PARAM_TAG}{key}": value for key, value in later.items()})


def accepts_settings(run_id: str, settings: Mapping[str, str]) -> bool:
    """Tell whether `log_settings` would find no other value of any of these in a run."""
    with answered():
        held = _held(run_id)
    shown = {key: masked(value) for key, value in settings.items()}
    return all(_plain(held[key]) == "" for key in _conflicts(held, shown))


def _held(run_id: str) -> dict[str, str]:
    params = MlflowClient().get_run(run_id).data.params
    return {key: masked(value) for key, value in params.items()}


def _conflicts(held: Mapping[str, str], shown: Mapping[str, str]) -> list[str]:
    return [key for key in shown if key in held and not _same(held[key], shown[key])]


@dataclass(frozen=True)
class DataSet:
    """A data set that was logged on a run, as MLflow tells it from others."""

    name: str
    digest: str


def log_metrics(metrics: Mapping[str, float], *, measured_on: Mapping[str, DataSet] | None = None) -> None:
    """Log metrics on the open run, and on the models that were logged on it, of whatever step.

    `measured_on` ties metrics, by their names, to data sets of the run. A database keeps that for models
    alone, so the model comes first, then what was measured of it.
    """
    active = mlflow.active_run()
    if active is None or not measured_on:
        with answered():
            mlflow.log_metrics(dict(metrics))
        return
    now, run_id, client = int(time.time() * 1000), active.info.run_id, MlflowClient()
    with answered():
        outputs = client.get_run(run_id).outputs
        models: list[str | None] = [each.model_id for each in outputs.model_outputs] if outputs else []
        points = [
            Metric(
                name,
                value,
                now,
                0,
                model_id=model_id,
                dataset_name=data.name if (data := measured_on.get(name)) else None,
                dataset_digest=data.digest if data else None,
                run_id=run_id,
            )
            for name, value in metrics.items()
            for model_id in models or [None]
        ]
        client.log_batch(run_id, metrics=points)


def set_tags(tags: Mapping[str, str]) -> None:
    """Set tags on the open run."""
    with answered():
        mlflow.set_tags(dict(tags))


def describe(markdown: str) -> None:
    """Set the open run's description, as the MLflow UI shows it."""
    set_tags({NOTE: pad_table(markdown)})


def log_table(table: pd.DataFrame, name: str) -> None:
    """Log a table on the open run, as CSV."""
    log_text(table.to_csv(index=False), f"{name}.csv")


def log_comparable_table(table: pd.DataFrame, name: str) -> None:
    """Log a table on the open run in the form that the UI's evaluation view compares across runs.

    MLflow adds rows to a table that is there already: a run that goes on keeps its own.
    """
    active = mlflow.active_run()
    with answered():
        tags = MlflowClient().get_run(active.info.run_id).data.tags if active else {}
        if f"{name}.json" not in tags.get("mlflow.loggedArtifacts", ""):
            mlflow.log_table(table, f"{name}.json")


def log_text(text: str, name: str) -> None:
    """Log a text on the open run."""
    with answered():
        mlflow.log_text(text, name)


def log_chart(figure: Any, name: str) -> None:
    """Log a matplotlib or plotly figure on the open run."""
    with answered():
        mlflow.log_figure(figure, name)


def log_pictures(pictures: Mapping[str, bytes]) -> None:
    """Log pictures, such as `charts/sizes.png`, on the open run, all at once."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in pictures.items():
            place = Path(folder, name)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        with answered():
            mlflow.log_artifacts(folder)


def log_input(
    *,
    data: str,
    digest: str,
    context: str,
    part: str | None = None,
    columns: Mapping[str, str] | None = None,
    profile: Mapping[str, float | str] | None = None,
) -> DataSet:
    """Log a data set on the open run, under a digest of its content.

    `columns` (name to MLflow type) and `profile` (what it holds, such as lines by split) are what the UI
    shows of it. Its name is that of the folder or file, after that of the `part`, without white space: at
    that, MLflow's file store takes the metrics of a data set apart.
    """
    source = SparkDatasetSource(path=masked(locations.to_uri(data)))
    spec = Schema([ColSpec(kind, column) for column, kind in columns.items()]) if columns else None
    name = "-".join([*([part] if part else []), *(locations.name(data) or data).split()])
    dataset = _Profiled(source, name=name, digest=digest, columns=spec, profile=profile or {})
    with answered():
        mlflow.log_input(dataset, context=context)
    return DataSet(name, digest)


class _Profiled(MetaDataset):
    """A data set by its description alone, with a profile."""

    def __init__(
        self,
        source: SparkDatasetSource,
        *,
        name: str,
        digest: str,
        columns: Schema | None,
        profile: Mapping[str, float | str],
    ) -> None:
        super().__init__(source, name=name, digest=digest, schema=columns)
        self._described = profile

    @property
    def profile(self) -> Mapping[str, float | str]:
        return self._described

    def to_dict(self) -> dict[str, str]:
        described: dict[str, str] = super().to_dict()
        return described | ({"profile": json.dumps(dict(self._described))} if self._described else {})


def _same(held: str, value: str) -> bool:
    one, other = _plain(held), _plain(value)
    return one == other or ("/" in one + other and locations.to_uri(one) == locations.to_uri(other))


def _plain(text: str) -> str:
    """Undo a shell's quoting of one word."""
    try:
        words = shlex.split(text)
    except ValueError:
        return text
    return words[0] if len(words) == 1 else "" if not words else text
