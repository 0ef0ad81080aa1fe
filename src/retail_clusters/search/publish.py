"""A fitted clustering made a registered version: measured, numbered, logged; and what people read of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import click
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from retail_clusters import schema
from retail_clusters.clustering import metrics
from retail_clusters.clustering.blocks import Labels
from retail_clusters.clustering.evaluation import Evaluation
from retail_clusters.errors import RegistryError
from retail_clusters.features import model
from retail_clusters.features.drift import DRIFT_BASELINE, measure_baseline
from retail_clusters.features.interface import TRAINED_ON, interface, open_model
from retail_clusters.features.model import NUMBERS, ScoringModel
from retail_clusters.features.rows import RECORDS, SPLIT
from retail_clusters.infra import markdown
from retail_clusters.infra.secrets import masked
from retail_clusters.registry import champion, evidence, numbering, tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.registry.names import QUESTION, ClusterNames, read_names
from retail_clusters.report import charts, plots, profile
from retail_clusters.report.card import Card, about_model
from retail_clusters.report.rules import Rules, fit_rules, log_rules
from retail_clusters.report.stability_report import StabilityReport, compare_with_permuted
from retail_clusters.search.context import TrainingContext, by_split
from retail_clusters.search.measure import Measured, measure
from retail_clusters.search.prepared import log_inputs
from retail_clusters.settings import CHAMPION
from retail_clusters.wording import percent, plural

#: Raised when the same data, K and seed give other bits than before: no difference that `verify` should find.
ALGORITHM_VERSION: Final = "2"

#: The table of what is measured of each cluster: a row a cluster, as they were trained.
CLUSTERS: Final = "stability"


@dataclass(frozen=True, eq=False)
class Published:
    """A registered version and how it measured.

    Attributes:
        labels: the number that the version gives the cluster of each training row.
        profile: under these numbers.
        stability: of the clusters as they were trained.
    """

    version: str
    model: str
    measured: Measured
    labels: Labels
    profile: pd.DataFrame
    stability: StabilityReport

    @property
    def metrics(self) -> Mapping[str, float]:
        """Return the metrics of the version, under their names in MLflow."""
        return {**self.measured.metrics, **self.stability.metrics}


def publish(context: TrainingContext, found: Evaluation, *, reuse: bool = False) -> Published:
    """Log everything about a fit on the open run, and register the model.

    Clusters are numbered first: tables and charts show the numbers that the version gives. With `reuse`, the
    newest version that holds this very model of this very data stands for it, where there is one: no version is
    added.
    """
    measured, question = measure(context, found), context.experiment.question
    registry, tags = ModelRegistry(context.experiment.model), run_tags(context, measured)
    version = _registered_before(registry, tags) if reuse else None
    new = ScoringModel.of(context.space, found.centres)
    if version is None:
        numbers, before = number_clusters(registry, new, context=context)
    else:
        held = registry.read_version(version=version).tags
        numbers, before = numbering.from_text(held[NUMBERS]), ClusterNames.of(held)
    new, tags = new.numbered(numbers), {**tags, NUMBERS: numbering.to_text(numbers)}
    labels = np.take(np.array(numbers), measured.train_labels)
    described = profile.profile(context.weighted[schema.TRAIN], labels, question)
    names = ClusterNames.describing(described["cluster"], described["name"]).following(before)
    described, tags = profile.named(described, names.names), {**tags, **names.tags}
    rules = _rules(context, new, labels)
    stability = measure_stability(context, found)
    made = Published(version or "", registry.name, measured, labels, described, stability)
    _log_tables(made, new)
    log_rules(rules, names.names, question.noun)
    _log_charts(context, made, numbers)
    log_inputs(context)
    tracking.log_metrics({**made.metrics, "rules_fidelity": rules.fidelity})
    tracking.set_tags(tags)
    if version is None:
        made = replace(made, version=_register(context, registry, new, labels, tags))
        card = Card.of_version(registry, made.version, tracking.active_run(), described, question, rules)
        registry.describe(version=made.version, markdown=card.to_description())
    tracking.set_tags({"model_version": made.version})
    return made


def _registered_before(registry: ModelRegistry, tags: Mapping[str, str]) -> str | None:
    same = {name: tags[name] for name in ("data_digest", "model_digest", "labels_digest")}
    version = registry.latest_version(tags=same)
    if version:
        click.echo(f"register: version {version} holds this model already, so none is added")
    return version


def _register(
    context: TrainingContext,
    registry: ModelRegistry,
    new: ScoringModel,
    labels: Labels,
    tags: Mapping[str, str],
) -> str:
    """Register the pipeline that scores, with the rows behind it and what drift of lines is measured against."""
    rows, said = evidence_rows(context)
    evidence.log_evidence(rows)
    tracking.set_tags({evidence.TAG: said})
    question, train = context.experiment.question, context.weighted[schema.TRAIN]
    baseline = measure_baseline(train, labels, clusters=max(new.numbers) + 1, question=question)
    return registry.register(
        new.pipeline(spark=context.spark),
        interface=interface(question),
        metadata={
            **new.metadata,
            TRAINED_ON: masked(context.prepared.table.data),
            DRIFT_BASELINE: baseline.to_json(),
        },
        tags={**tags, evidence.TAG: said},
        about=about_model(question),
    )


def _rules(context: TrainingContext, new: ScoringModel, labels: Labels) -> Rules:
    """Fit rules on training records with the numbers of their clusters; measure them on test records."""
    test = context.weighted[schema.TEST]
    numbers = np.take(np.array(new.numbers), new.labels(test, spark=context.spark))
    train = context.weighted[schema.TRAIN]
    return fit_rules(train, labels, context.space, test=test, test_labels=numbers)


def _log_tables(made: Published, new: ScoringModel) -> None:
    """Log the centres, the profile, and what is measured of each cluster."""
    validation = made.measured.evaluation.validation
    clusters = made.stability.table().assign(
        cluster=new.numbers,
        validation_records=validation.sizes,
        validation_silhouette=validation.cluster_silhouettes,
    )
    tracking.log_table(clusters, CLUSTERS)
    tracking.log_table(model.centres_table(new).assign(cluster=new.numbers), "centres")
    tracking.log_table(made.profile, "profile")


def _log_charts(context: TrainingContext, made: Published, numbers: Sequence[int]) -> None:
    found, question = made.measured.evaluation, context.experiment.question
    clustering = (context.weighted[schema.TRAIN], made.labels, made.profile, question)
    labels, silhouettes = metrics.row_silhouettes(context.in_memory(schema.VALIDATION), found.centres)
    drawn = {
        "charts/pairs.png": charts.pairs_chart(*clustering),
        "charts/centres.png": charts.centres_chart(*clustering),
        "charts/silhouettes.png": charts.silhouettes_chart(
            np.take(np.array(numbers), labels),
            silhouettes,
            context.weighted[schema.VALIDATION].weights,
            names=charts.names(made.profile),
            mean=found.validation.silhouette,
            noun=question.noun,
        ),
        "charts/stability.png": charts.stability_chart(made.stability),
    }
    tracking.log_files(plots.to_pngs(drawn))


def number_clusters(
    registry: ModelRegistry, new: ScoringModel, *, context: TrainingContext
) -> tuple[tuple[int, ...], ClusterNames]:
    """Return each cluster the number of the champion's cluster that holds the same test records, and their names.

    The others get numbers that no champion's cluster has had. Without a champion, or with one that asks another
    question, they are 0 to K-1, and no name is kept.
    """
    named, none = registry.version_named(alias=CHAMPION), ClusterNames()
    if named is None:
        return new.numbers, none
    try:
        before = open_model(registry, version=named).model
    except RegistryError as problem:
        click.secho(f"register: clusters are numbered from 0: {problem}", fg="yellow", err=True)
        return new.numbers, none
    # what a promotion will match on
    test = by_split(evidence_rows(context)[0], context.experiment.question)[schema.TEST]
    if before is None or not new.space.asks_the_same_as(before.space) or before.refused(test):
        return new.numbers, none
    one, other = (each.labels(test, spark=context.spark) for each in (before, new))
    moved = numbering.migration(one, other, test.weights, old=before.numbers, k=len(new.centres))
    used = champion.used_numbers(champion.read_moves(registry.name))
    centres = new.centres_seen_by(before, test, other, spark=context.spark)
    matching = new.match(before, moved, centres=centres, used=used)
    click.echo(f"register: {numbering.summary(matching, moved)}")
    return tuple(matching["number"].tolist()), read_names(registry, named)


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
        features=tuple(context.space.feature_columns.values()),
        seed=found.seed,
        experiment=context.experiment,
    )


def run_tags(context: TrainingContext, measured: Measured) -> Mapping[str, str]:
    """Return the tags that identify a training: its data, its model, and whether it is usable.

    The digests are of the clusters as they were trained, whatever their numbers.
    """
    found = measured.evaluation
    usable = max(context.violations(found.validation).values()) <= 0
    left_out = context.counted.in_words(context.experiment.noun)
    shared = context.counted.shared_in_words(context.experiment.noun)
    told = {"left_out": left_out, "shared_with_training": shared}
    return {name: text for name, text in told.items() if text} | {
        "data_digest": context.prepared.table.data_digest,
        "model_digest": model.centres_digest(found.centres),
        QUESTION: context.space.question.digest,
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
    click.echo(
        f"  model        version {published.version} of {published.model}, K={found.k}, seed {found.seed}\n"
        f"  silhouette   validation {found.validation.silhouette:.4f}, "
        f"test {measured.test.silhouette:.4f}, holdout {measured.holdout.silhouette:.4f}\n"
        f"  largest      {percent(found.validation.largest_cluster_share)} of the validation "
        f"{plural(published.stability.noun)}\n"
        f"  stable       {published.stability.sentence}\n"
        f"  digest       {model.centres_digest(found.centres)}"
    )


def description(published: Published) -> str:
    """Say what a version is, how it measured, and how stable its clusters are."""
    found, test = published.measured.evaluation, published.measured.test
    nouns = plural(published.stability.noun)
    gap = found.validation.silhouette - test.silhouette
    return (
        f"K={found.k} seed {found.seed}: silhouette **{found.validation.silhouette:.4f}** on validation "
        f"{nouns}, **{test.silhouette:.4f}** on test {nouns} (gap {gap:+.4f}); the largest cluster holds "
        f"{percent(found.validation.largest_cluster_share)} of the validation {nouns}. "
        f"{published.stability.sentence}. Registered as "
        f"{markdown.version_link(published.model, published.version)} of `{published.model}`, whose page describes "
        "its clusters."
    )
