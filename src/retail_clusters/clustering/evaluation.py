"""A candidate fitted and measured, and every metric of a clustering: its name, words, value and part of the data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from retail_clusters.clustering import kmeans, metrics
from retail_clusters.clustering.blocks import Block, Floats, Rows
from retail_clusters.clustering.kmeans import Fit
from retail_clusters.clustering.metrics import Quality

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Problem:
    """What a candidate is fitted and measured on. It can be pickled, and so be sent to a task.

    Attributes:
        sample: the training rows that seeding looks at.
        max_iterations: of Lloyd.
        tolerance: of Lloyd.
    """

    train: Rows[Block]
    sample: Block
    validation: Rows[Block]
    max_iterations: int = 100
    tolerance: float = 1e-4


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A fitted (K, seed), and how it measured on the validation records.

    Attributes:
        train_cost: sum over the training records of the squared distance to the nearest centre (WSSSE).
        centres: K x d.
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
        return _values(METRICS, self)


@dataclass(frozen=True)
class Later:
    """A clustering measured on records that chose nothing: test records, and all after the training records."""

    test: Quality
    holdout: Quality


@dataclass(frozen=True)
class Metric(Generic[T]):
    """What a person reads for a metric, its value, and the part of the data it is of; None for several."""

    words: str
    of: Callable[[T], float]
    part: str | None = "validation"


#: Metrics under their names in MLflow: of trials and runs, in tables, reports and `verify`.
METRICS: Final[Mapping[str, Metric[Evaluation]]] = {
    "validation_silhouette": Metric("silhouette, validation records", lambda e: e.validation.silhouette),
    "validation_macro_silhouette": Metric(
        "silhouette, mean over clusters, validation records", lambda e: e.validation.macro_silhouette
    ),
    "train_cost": Metric("training cost (WSSSE)", lambda e: e.train_cost, "train"),
    "iterations": Metric("iterations of the fit", lambda e: e.iterations, "train"),
    "largest_cluster_share": Metric(
        "largest cluster's share of the validation records", lambda e: e.validation.largest_cluster_share
    ),
    "effective_clusters": Metric("effective clusters", lambda e: e.validation.effective_clusters),
    "clusters": Metric("clusters that hold a validation line", lambda e: e.validation.clusters),
    "davies_bouldin": Metric("Davies-Bouldin, validation records", lambda e: e.validation.davies_bouldin),
    "calinski_harabasz": Metric(
        "Calinski-Harabasz, validation records", lambda e: e.validation.calinski_harabasz
    ),
}

#: Metrics that a registered model adds.
LATER_METRICS: Final[Mapping[str, Metric[Later]]] = {
    "test_silhouette": Metric("silhouette, test records", lambda x: x.test.silhouette, "test"),
    "test_macro_silhouette": Metric(
        "silhouette, mean over clusters, test records", lambda x: x.test.macro_silhouette, "test"
    ),
    "holdout_silhouette": Metric(
        "silhouette, all records from the train cut on", lambda x: x.holdout.silhouette, None
    ),
}


def later_metrics(*, test: Quality, holdout: Quality) -> Mapping[str, float]:
    """Return the metrics that a registered model adds, under their names in MLflow."""
    return _values(LATER_METRICS, Later(test=test, holdout=holdout))


def evaluate(problem: Problem, *, k: int, seed: int) -> Evaluation:
    """Fit (K, seed) on the training records and measure it on the validation records."""
    fitted = kmeans.fit(
        problem.train,
        problem.sample,
        k=k,
        seed=seed,
        max_iterations=problem.max_iterations,
        tolerance=problem.tolerance,
    )
    return measured(problem, fitted, seed=seed)


def measured(problem: Problem, fitted: Fit, *, seed: int) -> Evaluation:
    """Measure what was fitted on the training records on the validation records."""
    return Evaluation(
        k=len(fitted.centres),
        seed=seed,
        iterations=fitted.iterations,
        train_cost=fitted.cost,
        validation=metrics.measure(problem.validation, fitted.centres),
        centres=fitted.centres,
    )


def _values(table: Mapping[str, Metric[T]], measured: T) -> Mapping[str, float]:
    return {name: float(metric.of(measured)) for name, metric in table.items()}
