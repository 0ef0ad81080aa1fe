"""A fitted clustering made a registered version: measured, numbered, logged; and what people read of it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import click
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from retail_clusters import schema
from retail_clusters.clustering import metrics
from retail_clusters.clustering.blocks import Labels
from retail_clusters.clustering.evaluation import LATER_METRICS, METRICS, Evaluation
from retail_clusters.clustering.guardrails import Gate
from retail_clusters.clustering.metrics import Quality
from retail_clusters.errors import RegistryError
from retail_clusters.features import model
from retail_clusters.features.drift import DRIFT_BASELINE, measure_baseline
from retail_clusters.features.interface import TRAINED_ON, interface, open_model
from retail_clusters.features.model import NUMBERS, ScoringModel
from retail_clusters.features.rows import RECORDS, SPLIT
from retail_clusters.infra import markdown
from retail_clusters.infra.secrets import masked
from retail_clusters.question import Question
from retail_clusters.registry import champion, evidence, numbering, tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.report import charts, plots, profile
from retail_clusters.report.card import Card, about_model
from retail_clusters.report.stability_report import STABILITY_METRICS, StabilityReport, compare_with_permuted
from retail_clusters.search.context import TrainingContext, by_split
from retail_clusters.search.measure import Measured, measure
from retail_clusters.search.prepared import log_inputs
from retail_clusters.settings import CHAMPION
from retail_clusters.wording import percent, plural

#: Raised when the same data, K and seed give other bits than before: no difference that `verify` should find.
ALGORITHM_VERSION: Final = "2"

#: The table of what is measured of each cluster: a row a cluster, as they were trained.
CLUSTERS: Final = "stability"

#: Clusters in a description; a tag of MLflow holds 8,000 characters.
_DESCRIBED: Final = 15


@dataclass(frozen=True, eq=False)
class Clustering:
    """A clustering of the training rows, and what is told of it.

    Attributes:
        labels: the number that the version gives the cluster of each training row.
        profile: under these numbers.
        stability: of the clusters as they were trained.
    """

    found: Evaluation
    labels: Labels
    profile: pd.DataFrame
    stability: StabilityReport


@dataclass(frozen=True, eq=False)
class Published:
    """A registered version and how it measured."""

    version: str
    model: str
    measured: Measured
    clustering: Clustering

    @property
    def metrics(self) -> Mapping[str, float]:
        """Return the metrics of the version, under their names in MLflow."""
        return {**self.measured.metrics, **self.clustering.stability.metrics}


def publish(context: TrainingContext, found: Evaluation, *, reuse: bool = False) -> Published:
    """Log everything about a fit on the open run, and register the model.

    Clusters are numbered first: tables and charts show the numbers that the version gives. With `reuse`, the
    newest version that holds this very model of this very data stands for it, where there is one: no version is
    added.
    """
    measured = measure(context, found)
    registry, tags = ModelRegistry(context.experiment.model), run_tags(context, measured)
    version = _registered_before(registry, tags) if reuse else None
    new = ScoringModel.of(context.space, found.centres)
    numbers = _numbers(registry, new, version, context=context)
    new, tags = new.numbered(numbers), {**tags, NUMBERS: numbering.to_text(numbers)}
    clustering = _clustering(context, measured, numbers)
    values = {**measured.metrics, **clustering.stability.metrics}
    _log_tables(clustering, new)
    _log_charts(context, clustering, numbers)
    data_sets = log_inputs(context)
    tracking.log_metrics(values, measured_on=measured_on(values, data_sets))
    tracking.set_tags(tags)
    if version is None:
        version = _register(context, registry, new, clustering, tags)
        card = version_card(
            registry,
            version,
            settings=tracking.settings_of(tracking.active_run()),
            metrics=values,
            clusters=clustering.profile,
            question=context.experiment.question,
        )
        registry.describe(version=version, markdown=card.to_description())
    tracking.set_tags({"model_version": version})
    return Published(version, registry.name, measured, clustering)


def measured_on(
    names: Iterable[str], data_sets: Mapping[str, tracking.Dataset]
) -> dict[str, tracking.Dataset]:
    """Return which of train, validation and test each metric of a version is of; one of several has none."""
    known: dict[str, str | None] = dict.fromkeys(STABILITY_METRICS, schema.TRAIN)
    known |= {name: metric.part for name, metric in METRICS.items()}
    known |= {name: metric.part for name, metric in LATER_METRICS.items()}
    parts = {name: known.get(name) for name in names}
    return {name: data_sets[part] for name, part in parts.items() if part}


def _registered_before(registry: ModelRegistry, tags: Mapping[str, str]) -> str | None:
    same = {name: tags[name] for name in ("data_digest", "model_digest", "labels_digest")}
    version = registry.latest_version(tags=same)
    if version:
        click.echo(f"register: version {version} holds this model already, so none is added")
    return version


def _numbers(
    registry: ModelRegistry, new: ScoringModel, version: str | None, *, context: TrainingContext
) -> tuple[int, ...]:
    """Return the numbers of a version that there is, else those that a new one is to have."""
    if version is None:
        return number_clusters(registry, new, context=context)
    tags = registry.read_version(version=version).tags
    return numbering.from_text(tags.get(NUMBERS, "")) or new.numbers


def _clustering(context: TrainingContext, measured: Measured, numbers: Sequence[int]) -> Clustering:
    labels = np.take(np.array(numbers), measured.train_labels)
    return Clustering(
        found=measured.evaluation,
        labels=labels,
        profile=profile.profile(context.weighted[schema.TRAIN], labels, context.experiment.question),
        stability=measure_stability(context, measured.evaluation),
    )


def _register(
    context: TrainingContext,
    registry: ModelRegistry,
    new: ScoringModel,
    clustering: Clustering,
    tags: Mapping[str, str],
) -> str:
    """Register the pipeline that scores, with the rows behind it and what drift is measured against."""
    rows, said = evidence_rows(context)
    evidence.log_evidence(rows)
    tracking.set_tags({evidence.TAG: said})
    question, metadata = context.experiment.question, new.metadata
    metadata |= {TRAINED_ON: masked(context.prepared.table.data)} | _baseline(context, new, clustering)
    uri = registry.log(new.pipeline(spark=context.spark), interface=interface(question), metadata=metadata)
    return registry.register(uri, tags={**tags, evidence.TAG: said}, about=about_model(question))


def _baseline(context: TrainingContext, new: ScoringModel, clustering: Clustering) -> dict[str, str]:
    """Return what drift is measured against."""
    question, train = context.experiment.question, context.weighted[schema.TRAIN]
    clusters = max(new.numbers) + 1
    baseline = measure_baseline(train, clustering.labels, clusters=clusters, question=question)
    return {DRIFT_BASELINE: baseline.to_json()}


def _log_tables(clustering: Clustering, new: ScoringModel) -> None:
    """Log the centres, the profile, and what is measured of each cluster."""
    validation = clustering.found.validation
    clusters = clustering.stability.table().assign(
        cluster=new.numbers,
        validation_records=validation.sizes,
        validation_silhouette=validation.cluster_silhouettes,
    )
    tracking.log_table(clusters, CLUSTERS)
    tracking.log_table(model.centres_table(new).assign(cluster=new.numbers), "centres")
    tracking.log_table(clustering.profile, "profile")
    tracking.log_comparable_table(clustering.profile, "profile")


def _log_charts(context: TrainingContext, clustering: Clustering, numbers: Sequence[int]) -> None:
    found, clusters = clustering.found, clustering.profile
    rows, question = context.weighted[schema.TRAIN], context.experiment.question
    labels, silhouettes = metrics.row_silhouettes(context.in_memory(schema.VALIDATION), found.centres)
    drawn = {
        "charts/sizes.png": charts.sizes_chart(clusters, noun=question.noun),
        "charts/pairs.png": charts.pairs_chart(rows, clustering.labels, clusters, question),
        "charts/centres.png": charts.centres_chart(rows, clustering.labels, clusters, question),
        "charts/silhouettes.png": charts.silhouettes_chart(
            np.take(np.array(numbers), labels),
            silhouettes,
            context.weighted[schema.VALIDATION].weights,
            names=charts.names(clusters),
            mean=found.validation.silhouette,
            noun=question.noun,
        ),
        "charts/stability.png": charts.stability_chart(clustering.stability),
    }
    tracking.log_files(plots.to_pngs(drawn))


def number_clusters(
    registry: ModelRegistry, new: ScoringModel, *, context: TrainingContext
) -> tuple[int, ...]:
    """Return each cluster the number of the champion's cluster that holds the same test records.

    The others get numbers that no champion's cluster has had. Without a champion, or with one that asks another
    question, they are 0 to K-1.
    """
    named = registry.version_named(alias=CHAMPION)
    if named is None:
        return new.numbers
    try:
        before = open_model(registry, version=named).model
    except RegistryError as problem:
        click.secho(f"register: clusters are numbered from 0: {problem}", fg="yellow", err=True)
        return new.numbers
    # what a promotion will match on
    test = by_split(evidence_rows(context)[0], context.experiment.question)[schema.TEST]
    if before is None or not new.space.asks_the_same_as(before.space) or before.refused(test):
        return new.numbers
    one, other = (each.labels(test, spark=context.spark) for each in (before, new))
    moved = numbering.migration(one, other, test.weights, old=before.numbers, k=len(new.centres))
    used = champion.used_numbers(registry, champion.read_moves(registry.name))
    centres = new.centres_seen_by(before, test, other, spark=context.spark)
    matching = new.match(before, moved, centres=centres, used=used)
    click.echo(f"register: {numbering.summary(matching, moved)}")
    return tuple(matching["number"].tolist())


def evidence_rows(context: TrainingContext) -> tuple[pa.Table, str]:
    """Return the cells of every part as one table, and whether these are all of them.

    Of more than `training.evidence_rows` it is a sample by the hash of the features.
    """
    names = list(context.experiment.question.features)
    table = pa.concat_tables(
        [
            each.cells.drop_columns("_row").append_column(SPLIT, pa.repeat(part, each.cells.num_rows))
            for part, each in context.weighted.items()
            if part in schema.SPLITS
        ]
    )
    most, cells = context.experiment.training.evidence_rows, table.num_rows
    if cells > most:
        hashes = pd.util.hash_pandas_object(table.select(names).to_pandas(), index=False).to_numpy()
        table = table.take(np.sort(np.argsort(hashes, kind="stable")[:most]))
    every = table.num_rows == cells and context.whole
    records = int(pc.sum(table[RECORDS]).as_py())
    said = evidence.ALL_ROWS if every else f"a sample: {records:,} of {context.counted.all_records:,} records"
    return table, said


def measure_stability(context: TrainingContext, found: Evaluation) -> StabilityReport:
    """Refit on training days drawn anew, and do the same on permuted data."""
    return compare_with_permuted(
        context.sample.values,
        context.weighted[schema.TRAIN].weights_by_group,
        found.centres,
        features=context.features,
        seed=found.seed,
        experiment=context.experiment,
    )


def version_card(
    registry: ModelRegistry,
    version: str,
    *,
    settings: Mapping[str, str],
    metrics: Mapping[str, float],
    clusters: pd.DataFrame,
    question: Question,
    gates: Sequence[Gate] = (),
) -> Card:
    """Make the card of a version from its tags, and what is known of its training and its clusters."""
    found = registry.read_version(version=version)
    return Card(
        registry.name, version, str(found.run_id), found.tags, settings, metrics, clusters, gates, question
    )


def run_tags(context: TrainingContext, measured: Measured) -> Mapping[str, str]:
    """Return the tags that identify a training: its data, its model, and whether it is usable.

    The digests are of the clusters as they were trained, whatever their numbers.
    """
    found = measured.evaluation
    usable = max(context.violations(found.validation).values()) <= 0
    left_out = context.counted.in_words(context.experiment.noun)
    return ({"left_out": left_out} if left_out else {}) | {
        "data_digest": context.prepared.table.data_digest,
        "model_digest": model.centres_digest(found.centres),
        "labels_digest": model.labels_digest(measured.train_labels),
        "prepare_run_id": context.prepared.table.run_id,
        "records": json.dumps(dict(context.counted.records)),
        "kernel": ALGORITHM_VERSION,
        "usable": str(usable).lower(),
    }


def summarize(published: Published) -> None:
    """Print what a person wants to know of a registered model."""
    measured = published.measured
    found = measured.evaluation
    sizes = sorted(found.validation.sizes, reverse=True)
    shares = ", ".join(percent(size / sum(sizes)) for size in sizes[:5])
    more = f" and {len(sizes) - 5} smaller" if len(sizes) > 5 else ""
    click.echo(
        f"  model        version {published.version} of {published.model}, K={found.k}, seed {found.seed}\n"
        f"  silhouette   validation {found.validation.silhouette:.4f}, "
        f"test {measured.test.silhouette:.4f}, holdout {measured.holdout.silhouette:.4f}\n"
        f"  macro        validation {found.validation.macro_silhouette:.4f}, "
        f"test {measured.test.macro_silhouette:.4f} (each cluster counts alike)\n"
        f"  clusters     {shares}{more} of the validation {plural(published.clustering.stability.noun)}\n"
        f"  stable       {published.clustering.stability.sentence}\n"
        f"  digest       {model.centres_digest(found.centres)}"
    )


def training_description(published: Published) -> str:
    """Describe a run that trained and registered a version."""
    noun = published.clustering.stability.noun
    clusters = profile.to_markdown(published.clustering.profile, noun=noun, rows=_DESCRIBED)
    charts = "The charts are in `charts`; the evaluation view compares `profile.json` across runs."
    return description(published, f"## Clusters of the training {plural(noun)}\n\n{clusters}\n\n{charts}")


def description(published: Published, *more: str) -> str:
    """Say what a version is, how stable its clusters are, how it measured, then `more`, and what to type next."""
    return "\n\n".join(
        [
            result(published),
            f"{published.clustering.stability.sentence}.",
            metrics_table(published),
            *more,
            next_command("promote --dry-run true", "shows how it stands against the champion"),
        ]
    )


def result(published: Published) -> str:
    """Say in one sentence what a version is."""
    found, test = published.measured.evaluation, published.measured.test
    nouns = plural(published.clustering.stability.noun)
    gap = found.validation.silhouette - test.silhouette
    return (
        f"K={found.k} seed {found.seed}: silhouette **{found.validation.silhouette:.4f}** on validation "
        f"{nouns}, **{test.silhouette:.4f}** on test {nouns} (gap {gap:+.4f}); the largest cluster holds "
        f"{percent(found.validation.largest_cluster_share)} of the validation {nouns}. Registered as "
        f"{markdown.version_link(published.model, published.version)} of `{published.model}`."
    )


def metrics_table(published: Published) -> str:
    """Return the metrics of a version as a table, a column for each part of the data."""
    found = published.measured
    parts = {"validation": found.evaluation.validation, "test": found.test, "holdout": found.holdout}
    columns = [_column(quality) for quality in parts.values()]
    rows = [[name, *(column[name] for column in columns)] for name in columns[0]]
    return markdown.table(["", *parts], rows)


def next_command(text: str, what: str) -> str:
    """Say what to type next."""
    return f"Next: {markdown.command(text)} {what}."


def _column(quality: Quality) -> dict[str, str]:
    return {
        "silhouette": f"{quality.silhouette:.4f}",
        "mean over clusters": f"{quality.macro_silhouette:.4f}",
        "Davies-Bouldin (lower is better)": f"{quality.davies_bouldin:.3f}",
        "Calinski-Harabasz (higher is better)": f"{quality.calinski_harabasz:,.0f}",
        "largest cluster": percent(quality.largest_cluster_share),
        "clusters that hold a record": f"{quality.clusters}",
        "records": f"{quality.lines:,}",
    }
