"""One record of a clustering: what it is, how it measured, and the name of each figure, once for all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from retail_clusters import schema
from retail_clusters.clustering import kmeans, metrics
from retail_clusters.clustering.blocks import Block, Floats, Rows
from retail_clusters.clustering.kmeans import Fit
from retail_clusters.clustering.metrics import Quality
from retail_clusters.settings import Lloyd


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A fitted (K, seed), and how it measured on the validation lines.

    Attributes:
        centres: K x d.
        train_cost: sum over the training lines of the squared distance to the nearest centre (WSSSE).
    """

    k: int
    seed: int
    iterations: int
    train_cost: float
    validation: Quality
    centres: Floats

    @property
    def metrics(self) -> Mapping[str, float]:
        """Return the metrics of a train run and of each trial, under their names in MLflow."""
        return {name: float(figure.of(self)) for name, figure in METRICS.items()}


@dataclass(frozen=True)
class Metric:
    """What a person reads for a figure, how it is had of an evaluation, and of which lines it is."""

    words: str
    of: Callable[[Evaluation], float]
    lines: str = schema.VALIDATION


#: Each figure of a clustering under its name in MLflow: of trials and runs, in tables, reports and `verify`.
METRICS: Final[Mapping[str, Metric]] = {
    "validation_silhouette": Metric("silhouette, validation lines", lambda e: e.validation.silhouette),
    "validation_macro_silhouette": Metric(
        "silhouette, mean over clusters, validation lines", lambda e: e.validation.macro_silhouette
    ),
    "train_cost": Metric("training cost (WSSSE)", lambda e: e.train_cost, schema.TRAIN),
    "iterations": Metric("iterations of the fit", lambda e: e.iterations, schema.TRAIN),
    "largest_cluster_share": Metric(
        "largest cluster's share of the validation lines", lambda e: e.validation.largest_cluster_share
    ),
    "effective_clusters": Metric("effective clusters", lambda e: e.validation.effective_clusters),
    "clusters": Metric("clusters that hold a validation line", lambda e: e.validation.clusters),
    "davies_bouldin": Metric("Davies-Bouldin, validation lines", lambda e: e.validation.davies_bouldin),
    "calinski_harabasz": Metric(
        "Calinski-Harabasz, validation lines", lambda e: e.validation.calinski_harabasz
    ),
}


@dataclass(frozen=True)
class LaterMetric:
    """What a person reads for a figure that a registered model adds; of several parts, `lines` is None."""

    words: str
    lines: str | None


LATER_METRICS: Final[Mapping[str, LaterMetric]] = {
    "test_silhouette": LaterMetric("silhouette, test lines", schema.TEST),
    "test_macro_silhouette": LaterMetric("silhouette, mean over clusters, test lines", schema.TEST),
    "holdout_silhouette": LaterMetric("silhouette, all lines from the train cut on", None),
}


def later_metrics(*, test: Quality, holdout: Quality) -> Mapping[str, float]:
    """Return what a registered model adds: its figures on lines that chose nothing."""
    return {
        "test_silhouette": test.silhouette,
        "test_macro_silhouette": test.macro_silhouette,
        "holdout_silhouette": holdout.silhouette,
    }


@dataclass(frozen=True, eq=False)
class Problem:
    """What a candidate is fitted and measured on. It can be pickled, and so be sent to a task."""

    train: Rows[Block]
    sample: Block
    validation: Rows[Block]
    lloyd: Lloyd


def evaluate(problem: Problem, *, k: int, seed: int) -> Evaluation:
    """Fit (K, seed) on the training lines and measure it on the validation lines."""
    fitted = kmeans.fit(
        problem.train,
        problem.sample,
        k=k,
        seed=seed,
        max_iterations=problem.lloyd.max_iterations,
        tolerance=problem.lloyd.tolerance,
    )
    return measured(problem, fitted, seed=seed)


def measured(problem: Problem, fitted: Fit, *, seed: int) -> Evaluation:
    """Measure what was fitted on the training lines on the validation lines."""
    return Evaluation(
        k=len(fitted.centres),
        seed=seed,
        iterations=fitted.iterations,
        train_cost=fitted.cost,
        validation=metrics.measure(problem.validation, fitted.centres),
        centres=fitted.centres,
    )
