"""What the open run is told: params, metrics, tags, tables, figures, data sets."""

import json
from collections.abc import Mapping
from typing import Any

import mlflow
import pandas as pd
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.spark_dataset_source import SparkDatasetSource
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, Schema

from retail_clusters.errors import InputError
from retail_clusters.infra import locations, project_run
from retail_clusters.infra.secrets import masked
from retail_clusters.infra.tracking.store import answered


def log_settings(settings: Mapping[str, str]) -> None:
    """Log params on the open run; what it holds with the same value, or as `mlflow run` typed it, stays.

    Raises:
        InputError: the run holds another value; a param cannot change.
    """
    opened = mlflow.active_run()
    run_id = opened.info.run_id if opened else ""
    with answered():
        held = dict(MlflowClient().get_run(run_id).data.params) if opened else {}
        own = project_run.own_settings(run_id, {key: masked(value) for key, value in settings.items()})
        for key, value in own.items():
            if held.get(key, value) != value:
                raise InputError(
                    f"a run's params cannot change, but {key} is {masked(held[key])!r} in it and {value!r} "
                    "now: give the same value, or start a new run"
                )
        mlflow.log_params({key: value for key, value in own.items() if key not in held})


def log_metrics(metrics: Mapping[str, float]) -> None:
    """Log metrics on the open run."""
    with answered():
        mlflow.log_metrics(dict(metrics))


def set_tags(tags: Mapping[str, str]) -> None:
    """Set tags on the open run."""
    with answered():
        mlflow.set_tags(dict(tags))


def describe(markdown: str) -> None:
    """Set the open run's description, as the MLflow UI shows it."""
    set_tags({"mlflow.note.content": markdown})


def log_table(table: pd.DataFrame, name: str) -> None:
    """Log a table on the open run, as CSV."""
    log_text(table.to_csv(index=False), f"{name}.csv")


def log_text(text: str, name: str) -> None:
    """Log a text on the open run."""
    with answered():
        mlflow.log_text(text, name)


def log_figure(figure: Any, name: str) -> None:
    """Log a matplotlib or plotly figure on the open run."""
    with answered():
        mlflow.log_figure(figure, name)


def log_input(
    *,
    data: str,
    digest: str,
    context: str,
    columns: Mapping[str, str] | None = None,
    profile: Mapping[str, float | str] | None = None,
) -> None:
    """Log a data set on the open run, under a digest of its content.

    `columns` (name to MLflow type) and `profile` (what it holds, such as lines by split) are what the UI
    shows of it.
    """
    source = SparkDatasetSource(path=masked(locations.to_uri(data)))
    spec = Schema([ColSpec(kind, column) for column, kind in columns.items()]) if columns else None
    dataset = _Profiled(
        source, name=locations.name(data) or data, digest=digest, columns=spec, profile=profile or {}
    )
    with answered():
        mlflow.log_input(dataset, context=context)


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
