"""Everything that a report tells of a sweep or a version, collected from MLflow."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import pandas as pd

from retail_clusters.errors import InputError
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.registry.tracking import Run
from retail_clusters.search.cluster_report import CHARTS
from retail_clusters.search.sweep_report import CHARTS as SWEEP_CHARTS
from retail_clusters.search.sweep_report import SWEEP_RUN
from retail_clusters.settings import CHAMPION, Experiment

_COMMIT: Final = "mlflow.source.git.commit"
_GATE: Final = "gate."


@dataclass(frozen=True, eq=False)
class Training:
    """A run that trained a version, and what it logged."""

    run_id: str
    when: datetime
    settings: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    lines: Mapping[str, int]
    profile: pd.DataFrame
    pictures: Mapping[str, bytes]


@dataclass(frozen=True, eq=False)
class Search:
    """A run that searched over K and seed, and what it logged."""

    run_id: str
    settings: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    winners: pd.DataFrame
    seeds: pd.DataFrame
    pictures: Mapping[str, bytes]


@dataclass(frozen=True, eq=False)
class Champion:
    """The champion beside the version: its figures, and how the version stood before the gates, if it did."""

    version: str | None
    metrics: Mapping[str, float]
    verdict: str
    held_against: str
    gates: Sequence[tuple[str, str]]


@dataclass(frozen=True, eq=False)
class ReportFacts:
    """What a report tells; a search without a usable trial has no training, a single training no search."""

    model: str
    version: str | None
    aliases: Sequence[str]
    training: Training | None
    search: Search | None
    champion: Champion | None
    commit: str


def facts_of_version(version: str, *, model: str) -> ReportFacts:
    """Collect what is known of a registered version.

    Raises:
        RegistryError: there is no such version.
    """
    registry = ModelRegistry(model)
    found = registry.read_version(version=version)
    trained = tracking.read_run(registry.training_run(version=version))
    searched = trained.data.tags.get(SWEEP_RUN)
    return ReportFacts(
        model=model,
        version=version,
        aliases=tuple(found.aliases),
        training=_training(trained, numbers=found.tags.get("cluster_numbers")),
        search=_search(tracking.read_run(searched)) if searched else None,
        champion=_champion(registry, version, found.tags),
        commit=trained.data.tags.get(_COMMIT, ""),
    )


def facts_of_run(run_id: str) -> ReportFacts:
    """Collect what is known of a run that searched, trained, or did both, or of `main`.

    Raises:
        InputError: the run did none of it, or there is no such run.
    """
    run = tracking.read_run(run_id)
    model = tracking.settings_of(run).get("model", Experiment().model)
    version = _version_of(run)
    if version:
        return facts_of_version(version, model=model)
    if "trials_completed" not in run.data.metrics:
        raise InputError(
            f"report takes a run that searched or trained, but run {run_id} ({run.info.run_name}) did "
            "neither: choose a main, sweep, train or register run"
        )
    return ReportFacts(
        model=model,
        version=None,
        aliases=(),
        training=None,
        search=_search(run),
        champion=None,
        commit=run.data.tags.get(_COMMIT, ""),
    )


def _version_of(run: Run) -> str | None:
    """Return the version that a run registered, or that a run beside it registered of its search."""
    version: str | None = run.data.tags.get("model_version")
    parent = run.data.tags.get("mlflow.parentRunId")
    if version or not parent:
        return version
    beside = [each.data.tags for each in tracking.children(parent)]
    return next((tags["model_version"] for tags in beside if tags.get(SWEEP_RUN) == run.info.run_id), None)


def _training(run: Run, *, numbers: str | None) -> Training:
    tags = run.data.tags
    return Training(
        run_id=run.info.run_id,
        when=datetime.fromtimestamp(run.info.start_time / 1000, tz=UTC),
        settings=tracking.settings_of(run),
        metrics=run.data.metrics,
        tags=tags,
        lines=json.loads(tags.get("prepared_lines", "{}")),
        profile=_numbered(tracking.read_table(run.info.run_id, "profile"), numbers),
        pictures=tracking.read_files(run.info.run_id, CHARTS),
    )


def _numbered(profile: pd.DataFrame, numbers: str | None) -> pd.DataFrame:
    """Return a profile with the numbers that the version gives its clusters."""
    if not numbers:
        return profile
    given = [int(number) for number in numbers.split(",")]
    return profile.assign(cluster=[given[cluster] for cluster in profile["cluster"]])


def _search(run: Run) -> Search:
    return Search(
        run_id=run.info.run_id,
        settings=tracking.settings_of(run),
        metrics=run.data.metrics,
        tags=run.data.tags,
        winners=tracking.read_table(run.info.run_id, "winners"),
        seeds=tracking.read_table(run.info.run_id, "seed_agreement"),
        pictures=tracking.read_files(run.info.run_id, SWEEP_CHARTS),
    )


def _champion(registry: ModelRegistry, version: str, tags: Mapping[str, str]) -> Champion:
    named = registry.version_named(alias=CHAMPION)
    run_id = str(registry.read_version(version=named).run_id) if named and named != version else None
    return Champion(
        version=named,
        metrics=tracking.read_run(run_id).data.metrics if run_id and tracking.is_active(run_id) else {},
        verdict=tags.get("verdict", ""),
        held_against=tags.get("held_against", ""),
        gates=[
            (key.removeprefix(_GATE), text) for key, text in sorted(tags.items()) if key.startswith(_GATE)
        ],
    )
