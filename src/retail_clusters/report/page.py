"""One HTML page on a sweep or a version, made of what MLflow holds of it: pictures inside, no script."""

import io
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, cast

import click
import pandas as pd

from retail_clusters.clustering.evaluation import LATER_METRICS, METRICS
from retail_clusters.errors import InputError
from retail_clusters.infra import locations, storage
from retail_clusters.question import Question
from retail_clusters.registry import numbering, tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.registry.names import ClusterNames
from retail_clusters.registry.tracking import Run
from retail_clusters.report import over_time, profile
from retail_clusters.report.card import columns_of, gates_of, parts_of, record_of, template
from retail_clusters.report.charts import CLUSTER_CHARTS, SWEEP_CHARTS
from retail_clusters.report.rules import Rules, read_rules
from retail_clusters.report.stability_report import drawn_anew, say
from retail_clusters.settings import QUARANTINE_TEXT, REPORT, Experiment
from retail_clusters.wording import plural

#: The tag of a run that registered a version: the run of the search that found it.
SWEEP_RUN: Final = "sweep_run_id"

#: Clusters that are shown.
_PROFILED: Final = 30

#: Metrics of a version, and the words for them, in the order in which they are shown.
_METRICS: Final = {
    **LATER_METRICS,
    **{name: words for name, (words, _) in METRICS.items()},
    "stable_line_share": "share of records in stable clusters",
}


@dataclass(frozen=True, eq=False)
class RunFacts:
    """What a run that searched or trained has logged.

    Attributes:
        quarantined: why lines are in quarantine, a sentence for each reason.
    """

    run_id: str
    started: datetime
    settings: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    tables: Mapping[str, pd.DataFrame]
    charts: Mapping[str, bytes]
    quarantined: Sequence[str] = ()

    @property
    def question(self) -> Question:
        """Return what the run asked; of an earlier release, price, quantity and weekday of lines."""
        sections = tuple(f"{name}." for name in Question.model_fields)
        asked = {name: value for name, value in self.settings.items() if name.startswith(sections)}
        return Experiment.from_flat(asked).question


@dataclass(frozen=True, eq=False)
class Facts:
    """What a report tells; a search without a usable trial has no training, a single training no search.

    Attributes:
        version_tags: of the version: how it numbers and names its clusters, and what a promotion said of it.
        over_time: charts of the segments that were written with it last.
        farthest: the lines farthest from the centre of their cluster, of those that it scored last.
    """

    model: str
    version: str | None = None
    aliases: Sequence[str] = ()
    training: RunFacts | None = None
    search: RunFacts | None = None
    version_tags: Mapping[str, str] = field(default_factory=dict)
    rules: Rules | None = None
    over_time: Mapping[str, bytes] = field(default_factory=dict)
    farthest: pd.DataFrame | None = None

    @property
    def names(self) -> Mapping[int, str]:
        """Return the names of the clusters by number."""
        return ClusterNames.of(self.version_tags).names

    @property
    def profile(self) -> pd.DataFrame:
        """Return the profile with the numbers and names of the version: a promotion may have changed them."""
        table = self.about.tables["profile"].replace({"cluster": self.renumbered})
        return profile.named(table, self.names)

    @property
    def renumbered(self) -> dict[int, int]:
        """Return the number that a cluster was logged under to that which the version gives."""
        held = (tags.get("cluster_numbers", "") for tags in (self.about.tags, self.version_tags))
        return dict(zip(*map(numbering.from_text, held), strict=False))

    @property
    def about(self) -> RunFacts:
        """Return the run that the report is about."""
        return cast("RunFacts", self.training or self.search)


def write_report(*, run_id: str | None, version: str | None, model: str, output: str) -> Mapping[str, str]:
    """Write the page on a run, or on a version of `model`, to a file, and log it on the run that it is about.

    Raises:
        InputError: no file can be at `output`, there is no such run, or it has nothing to report.
        RegistryError: there is no such version.
    """
    storage.check(output)
    facts = facts_of_version(version, model=model) if version else facts_of_run(str(run_id))
    told = run_id or facts.about.run_id
    page = to_html(facts)
    storage.make_folder(locations.parent(output))
    storage.write_text(output, page)
    tracking.log_text(page, REPORT, run_id=told)
    click.echo(f"report: {output} ({len(page) / 1e6:.1f} MB), and {REPORT} of run {told}")
    return {"output": output, "run_id": told}


def log_report(run_id: str) -> None:
    """Log the report of a run on it."""
    tracking.log_text(to_html(facts_of_run(run_id)), REPORT, run_id=run_id)


def facts_of_version(version: str, *, model: str) -> Facts:
    """Collect what is known of a registered version.

    Raises:
        RegistryError: there is no such version.
    """
    registry = ModelRegistry(model)
    found = registry.read_version(version=version)
    trained = tracking.read_run(registry.training_run(version=version))
    itself = trained.info.run_id if "trials_completed" in trained.data.metrics else None
    searched = trained.data.tags.get(SWEEP_RUN, itself)
    segments, scored = (
        tracking.latest_run(tags={tag: version}, params={"model": model})
        for tag in (over_time.SEGMENTS_OF, over_time.FARTHEST_OF)
    )
    return Facts(
        model=model,
        version=version,
        aliases=tuple(found.aliases),
        training=_read(trained, tables=["profile"], charts=CLUSTER_CHARTS),
        search=_search(tracking.read_run(searched)) if searched else None,
        version_tags=found.tags,
        rules=read_rules(trained.info.run_id),
        over_time=tracking.read_files(segments.info.run_id, over_time.CHARTS) if segments else {},
        farthest=_farthest(scored.info.run_id) if scored else None,
    )


def facts_of_run(run_id: str) -> Facts:
    """Collect what is known of a run that searched, trained, or did both, or of `main`.

    Raises:
        InputError: the run did none of it, or there is no such run.
    """
    run = tracking.read_run(run_id)
    model = tracking.settings_of(run).get("model", Experiment().model)
    if version := run.data.tags.get("model_version"):
        return facts_of_version(version, model=model)
    if "trials_completed" not in run.data.metrics:
        raise InputError(
            f"report takes a run that searched or trained, but run {run_id} ({run.info.run_name}) did "
            "neither: choose a main, sweep, train or register run"
        )
    return Facts(model=model, search=_search(run))


def _search(run: Run) -> RunFacts:
    return _read(run, tables=["seed_agreement"], charts=SWEEP_CHARTS)


def _read(run: Run, *, tables: Sequence[str], charts: Sequence[str]) -> RunFacts:
    return RunFacts(
        run_id=run.info.run_id,
        started=datetime.fromtimestamp(run.info.start_time / 1000, tz=UTC),
        settings=tracking.settings_of(run),
        metrics=run.data.metrics,
        tags=run.data.tags,
        tables={name: tracking.read_table(run.info.run_id, name) for name in tables},
        charts=tracking.read_files(run.info.run_id, charts),
        quarantined=_quarantined(run.data.tags.get("prepare_run_id", "")),
    )


def _quarantined(prepared: str) -> list[str]:
    held = tracking.read_files(prepared, [QUARANTINE_TEXT]) if tracking.is_active(prepared) else {}
    return held[QUARANTINE_TEXT].decode().splitlines() if held else []


def to_html(facts: Facts) -> str:
    """Return the page."""
    training, search, question = facts.training, facts.search, facts.about.question
    return template("page.html").render(
        facts=facts,
        about=facts.about,
        training=training,
        search=search,
        question=question,
        nouns=plural(question.noun),
        record=record_of(question, facts.about.tags),
        columns=columns_of(question),
        features=", ".join(question.features),
        drawn=drawn_anew(question.noun),
        parts=parts_of(question, facts.about.settings, facts.about.tags),
        seeds=_seeds(search) if search else None,
        clusters=profile.texts(facts.profile, noun=question.noun).head(_PROFILED) if training else None,
        rules=facts.rules.renumbered(facts.renumbered) if facts.rules else None,
        stability=_stability(training) if training else "",
        metrics=_metrics(training) if training else [],
        gates=gates_of(facts.version_tags),
        digests=[item for item in sorted(facts.about.tags.items()) if item[0].endswith("_digest")],
        settings=sorted(facts.about.settings.items()),
        commit=facts.about.tags.get("mlflow.source.git.commit", ""),
    )


def _seeds(search: RunFacts) -> Mapping[Hashable, float] | None:
    """Return how far the seeds of the chosen K agree; None where no K is chosen."""
    seeds, chosen = search.tables["seed_agreement"], search.settings.get("best_k")
    return seeds[seeds["k"] == int(chosen)].iloc[0].to_dict() if chosen else None


def _farthest(run_id: str) -> pd.DataFrame | None:
    held = tracking.read_files(run_id, [over_time.FARTHEST])
    return pd.read_csv(io.BytesIO(held[over_time.FARTHEST])) if held else None


def _stability(training: RunFacts) -> str:
    if "null_stable_clusters" not in training.metrics:
        return "Whether the clusters are stable was not measured"
    return say(training.metrics, clusters=int(training.settings["k"]), noun=training.question.noun)


def _metrics(training: RunFacts) -> list[tuple[str, str]]:
    held = {words: training.metrics[name] for name, words in _METRICS.items() if name in training.metrics}
    return [
        (words, f"{value:,.0f}" if value.is_integer() else f"{value:,.4f}") for words, value in held.items()
    ]
