"""A fitted clustering made a registered version: measured on later lines, described, logged."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import click

from retail_clusters import schema
from retail_clusters.clustering import guardrails
from retail_clusters.clustering.evaluation import LATER_METRICS, METRICS, Evaluation
from retail_clusters.features import model, stages
from retail_clusters.features.drift import DRIFT_BASELINE, calibrated, measure_baseline
from retail_clusters.features.interface import INTERFACE, TRAINED_ON
from retail_clusters.infra.secrets import masked
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.report import profile
from retail_clusters.report.card import ABOUT_MODEL, Card
from retail_clusters.report.stability_report import STABILITY_METRICS, StabilityReport, compare_with_permuted
from retail_clusters.search import cluster_report
from retail_clusters.search.cluster_report import Clustering
from retail_clusters.search.context import TrainingContext
from retail_clusters.search.measure import Measured, measure
from retail_clusters.wording import percent

#: Raised when the same data, K and seed give other bits than before: no difference that `verify` should find.
ALGORITHM_VERSION: Final = "2"


@dataclass(frozen=True, eq=False)
class Published:
    """A registered version and how it measured."""

    version: str
    model: str
    measured: Measured
    clustering: Clustering

    @property
    def metrics(self) -> Mapping[str, float]:
        """Return the figures of the version, under their names in MLflow."""
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
        version = registry.register(logged, tags=tags, about=ABOUT_MODEL)
        card = _card(context, measured, clustering, tags, version)
        registry.describe(version=version, markdown=card.to_description())
    tracking.set_tags({"model_version": str(version)})
    return Published(
        version=str(version), model=context.experiment.model, measured=measured, clustering=clustering
    )


def measured_on(
    figures: Iterable[str], data_sets: Mapping[str, tracking.DataSet]
) -> dict[str, tracking.DataSet]:
    """Return which of train, validation and test each figure of a version is of; one of several has none."""
    parts = {name: _part(name) for name in figures}
    return {name: data_sets[part] for name, part in parts.items() if part}


def _part(figure: str) -> str | None:
    if figure in STABILITY_METRICS:
        return schema.TRAIN
    known = METRICS.get(figure) or LATER_METRICS.get(figure)
    return known.lines if known else None


def _registered_before(registry: ModelRegistry, tags: Mapping[str, str]) -> str | None:
    same = {name: tags[name] for name in ("data_digest", "model_digest", "labels_digest")}
    version = registry.find_version(tags=same)
    if version:
        click.echo(f"register: version {version} holds this model already, so none is added")
    return version


def _log_model(context: TrainingContext, measured: Measured, registry: ModelRegistry) -> str:
    """Log the pipeline that will score, with what drift is measured against; return its URI."""
    found = measured.evaluation
    pipeline = model.scoring_pipeline(context.pipeline, found.centres, spark=context.spark)
    baseline = calibrated(
        measure_baseline(context.weighted[schema.TRAIN], measured.train_labels, clusters=found.k),
        rows=context.weighted[schema.TRAIN],
        labels=measured.train_labels,
    )
    metadata = {DRIFT_BASELINE: baseline.to_json(), TRAINED_ON: masked(context.prepared.table.data)}
    return registry.log(pipeline, interface=INTERFACE, metadata=metadata)


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


def _card(
    context: TrainingContext,
    measured: Measured,
    clustering: Clustering,
    tags: Mapping[str, str],
    version: str,
) -> Card:
    """Make the card that a version has until a promotion judges it."""
    run = tracking.active_run()
    return Card(
        model=context.experiment.model,
        version=version,
        run_id=run.info.run_id,
        data=context.prepared.table.data,
        data_digest=tags["data_digest"],
        model_digest=tags["model_digest"],
        lines=context.prepared.table.lines,
        settings=tracking.settings_of(run),
        metrics={**measured.metrics, **clustering.stability.metrics},
        clusters=clustering.profile,
        gates=(),
    )


def run_tags(context: TrainingContext, measured: Measured) -> Mapping[str, str]:
    """Return the tags that identify a training: its data, its model, and whether it is usable."""
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
        f"  stability    {published.clustering.stability.sentence}\n"
        f"  digest       {model.centres_digest(found.centres)}"
    )
