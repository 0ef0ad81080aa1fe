"""A fitted clustering made a registered version: measured on later lines, numbered, described, logged."""

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
from retail_clusters.clustering import guardrails
from retail_clusters.clustering.evaluation import LATER_METRICS, METRICS, Evaluation
from retail_clusters.clustering.guardrails import Gate
from retail_clusters.errors import RegistryError
from retail_clusters.features import model, stages
from retail_clusters.features.drift import DRIFT_BASELINE, calibrated, measure_baseline
from retail_clusters.features.interface import INTERFACE, TRAINED_ON, open_model
from retail_clusters.features.model import ParsedModel
from retail_clusters.features.rows import WeightedRows, weighted_rows
from retail_clusters.infra.secrets import masked
from retail_clusters.registry import champion, evidence, numbering, tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.report import profile
from retail_clusters.report.card import ABOUT_MODEL, Card
from retail_clusters.report.stability_report import STABILITY_METRICS, StabilityReport, compare_with_permuted
from retail_clusters.search import cluster_report
from retail_clusters.search.cluster_report import Clustering
from retail_clusters.search.context import TrainingContext
from retail_clusters.search.measure import Measured, measure
from retail_clusters.settings import CHAMPION
from retail_clusters.wording import percent

#: Raised when the same data, K and seed give other bits than before: no difference that `verify` should find.
ALGORITHM_VERSION: Final = "2"

_EVIDENCE: Final = [*schema.WEIGHTED_ROW.names, schema.DAYS]


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

    With `reuse`, the newest version that holds this very model of this very data stands for it, where there
    is one: no version is added.
    """
    measured = measure(context, found)
    clustering = _clustering(context, measured)
    tags = run_tags(context, measured)
    tracking.log_table(model.centres_table(found.centres), "centres")
    cluster_report.log_tables(clustering)
    tracking.set_tags(tags)
    data_sets = cluster_report.log_inputs(context)
    registry = ModelRegistry(context.experiment.model)
    version = _registered_before(registry, tags) if reuse else None
    with cluster_report.charts_logged(context, clustering):
        logged = None if version else _log_model(context, measured, registry)
    metrics = {**measured.metrics, **clustering.stability.metrics}
    tracking.log_metrics(metrics, measured_on=measured_on(metrics, data_sets))
    if logged:
        tracking.set_tags(logged.tags)
        version = registry.register(logged.uri, tags={**tags, **logged.tags}, about=ABOUT_MODEL)
        card = version_card(
            registry,
            version,
            settings=tracking.settings_of(tracking.active_run()),
            metrics=metrics,
            clusters=numbered(clustering.profile, logged.numbers),
        )
        registry.describe(version=version, markdown=card.to_description())
    tracking.set_tags({"model_version": str(version)})
    return Published(
        version=str(version), model=context.experiment.model, measured=measured, clustering=clustering
    )


def measured_on(
    metrics: Iterable[str], data_sets: Mapping[str, tracking.Dataset]
) -> dict[str, tracking.Dataset]:
    """Return which of train, validation and test each metric of a version is of; one of several has none."""
    parts = {name: _part(name) for name in metrics}
    return {name: data_sets[part] for name, part in parts.items() if part}


def _part(metric: str) -> str | None:
    if metric in STABILITY_METRICS:
        return schema.TRAIN
    known = METRICS.get(metric) or LATER_METRICS.get(metric)
    return known.lines if known else None


def _registered_before(registry: ModelRegistry, tags: Mapping[str, str]) -> str | None:
    same = {name: tags[name] for name in ("data_digest", "model_digest", "labels_digest")}
    version = registry.latest_version(tags=same)
    if version:
        click.echo(f"register: version {version} holds this model already, so none is added")
    return version


@dataclass(frozen=True)
class _Logged:
    """A logged model: its URI, the number of each trained cluster, and the tags of its version alone."""

    uri: str
    numbers: tuple[int, ...]
    tags: Mapping[str, str]


def _log_model(context: TrainingContext, measured: Measured, registry: ModelRegistry) -> _Logged:
    """Log the pipeline that will score, with the rows behind it and what drift is measured against."""
    rows, said = evidence_rows(context)
    evidence.log_evidence(rows)
    new = ParsedModel.of(context.pipeline, measured.evaluation.centres)
    numbers = number_clusters(registry, new, by_split(rows)[schema.TEST], context=context)
    labels = np.take(np.array(numbers), measured.train_labels)
    baseline = calibrated(
        measure_baseline(context.weighted[schema.TRAIN], labels, clusters=max(numbers) + 1),
        rows=context.weighted[schema.TRAIN],
        labels=labels,
    )
    metadata = {DRIFT_BASELINE: baseline.to_json(), TRAINED_ON: masked(context.prepared.table.data)}
    uri = registry.log(new.renumbered(numbers, spark=context.spark), interface=INTERFACE, metadata=metadata)
    return _Logged(uri, numbers, {"cluster_numbers": numbering.to_text(numbers), evidence.TAG: said})


def number_clusters(
    registry: ModelRegistry, new: ParsedModel, test: WeightedRows, *, context: TrainingContext
) -> tuple[int, ...]:
    """Return each cluster the number of the champion's cluster that holds the same test lines.

    The others get numbers that no champion's cluster has had. Without a champion, or with one of another
    feature space, they are 0 to K-1.
    """
    named = registry.version_named(alias=CHAMPION)
    if named is None:
        return new.numbers
    try:
        before = model.parse(open_model(registry, version=named).model, version=named)
    except RegistryError as problem:
        click.secho(f"register: clusters are numbered from 0: {problem}", fg="yellow", err=True)
        return new.numbers
    if not new.space.same_as(before.space) or before.refused_days(test):
        return new.numbers
    one, other = (each.labels(test, spark=context.spark) for each in (before, new))
    moved = numbering.migration(one, other, test.weights, old=before.numbers, k=len(new.centres))
    used = champion.used_numbers(registry, champion.read_moves(registry.name))
    matching = new.match(before, moved, used=used)
    click.echo(f"register: {numbering.summary(matching, moved)}")
    return tuple(matching["number"].tolist())


def numbered(clusters: pd.DataFrame, numbers: Sequence[int]) -> pd.DataFrame:
    """Return a table of trained clusters with the numbers that a version gives them."""
    return clusters.assign(cluster=np.take(np.array(numbers), clusters["cluster"]))


def evidence_rows(context: TrainingContext) -> tuple[pa.Table, str]:
    """Return the rows of every split as one table, and whether these are all of them.

    Of more than `training.evidence_rows` it is a sample by the hash of their keys.
    """
    tables = {name: context.weighted[name].table.select(_EVIDENCE) for name in schema.SPLITS}
    table = pa.concat_tables(
        [each.append_column(schema.SPLIT, pa.repeat(name, len(each))) for name, each in tables.items()]
    )
    most = context.experiment.training.evidence_rows
    if len(table) > most:
        keys = table.select(list(schema.ROW_KEY)).to_pandas()
        hashes = pd.util.hash_pandas_object(keys, index=False).to_numpy()
        table = table.take(np.sort(np.argsort(hashes, kind="stable")[:most]))
    rows = sum(context.prepared.table.rows[name] for name in schema.SPLITS)
    said = evidence.ALL_ROWS if len(table) == rows else f"a sample: {len(table):,} of {rows:,} rows"
    return table, said


def by_split(rows: pa.Table) -> dict[str, WeightedRows]:
    """Part a table of `evidence_rows` into its splits again."""
    return {
        name: weighted_rows(rows.filter(pc.equal(rows[schema.SPLIT], name)).drop_columns(schema.SPLIT))
        for name in schema.SPLITS
    }


def _clustering(context: TrainingContext, measured: Measured) -> Clustering:
    return Clustering(
        found=measured.evaluation,
        labels=measured.train_labels,
        profile=profile.profile(context.weighted[schema.TRAIN], measured.train_labels),
        stability=measure_stability(context, measured.evaluation),
    )


def measure_stability(context: TrainingContext, found: Evaluation) -> StabilityReport:
    """Refit on training days drawn anew, and do the same on permuted data."""
    train = context.weighted[schema.TRAIN]
    values = context.sample.values
    return compare_with_permuted(
        values,
        train.weights_by_group,
        found.centres,
        features=stages.feature_columns(values.shape[1]),
        seed=found.seed,
        settings=context.experiment.stability,
        lloyd=context.experiment.lloyd,
    )


def version_card(
    registry: ModelRegistry,
    version: str,
    *,
    settings: Mapping[str, str],
    metrics: Mapping[str, float],
    clusters: pd.DataFrame,
    gates: Sequence[Gate] = (),
) -> Card:
    """Make the card of a version from its tags, and what is known of its training and its clusters."""
    found = registry.read_version(version=version)
    return Card(
        model=registry.name,
        version=version,
        run_id=str(found.run_id),
        data=settings.get("data", "unknown"),
        data_digest=found.tags.get("data_digest", ""),
        model_digest=found.tags.get("model_digest", ""),
        lines=json.loads(found.tags.get("prepared_lines", "{}")),
        settings=settings,
        metrics=metrics,
        clusters=clusters,
        gates=gates,
    )


def run_tags(context: TrainingContext, measured: Measured) -> Mapping[str, str]:
    """Return the tags that identify a training: its data, its model, and whether it is usable.

    The digests are of the clusters as they were trained, whatever their numbers.
    """
    found = measured.evaluation
    bounds = context.experiment.guardrails
    usable = guardrails.is_usable(
        found.validation, max_share=bounds.max_cluster_share, min_clusters=bounds.min_clusters
    )
    return {
        "data_digest": context.prepared.table.data_digest,
        "model_digest": model.centres_digest(found.centres),
        "labels_digest": model.labels_digest(measured.train_labels),
        "prepare_run_id": context.prepared.table.run_id,
        "prepared_lines": json.dumps(dict(context.prepared.table.lines)),
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
        f"  clusters     {shares}{more} of the validation lines\n"
        f"  stable       {published.clustering.stability.sentence}\n"
        f"  digest       {model.centres_digest(found.centres)}"
    )
