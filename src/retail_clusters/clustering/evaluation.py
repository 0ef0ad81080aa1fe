"""A candidate fitted and measured, and every metric of a clustering: its name, words, value and part of the data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from retail_clusters.clustering import kmeans, metrics
from retail_clusters.clustering.blocks import Block, Floats, Rows
from retail_clusters.clustering.kmeans import Fit
from retail_clusters.clustering.metrics import Quality


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
        return {name: float(of(self)) for name, (_, of) in METRICS.items()}


#: The metrics of trials and runs under their names in MLflow, each with the words that a person reads.
METRICS: Final[Mapping[str, tuple[str, Callable[[Evaluation], float]]]] = {
    "validation_silhouette": ("silhouette, validation records", lambda e: e.validation.silhouette),
    "validation_macro_silhouette": (
        "silhouette, mean over clusters, validation records",
        lambda e: e.validation.macro_silhouette,
    ),
    "train_cost": ("training cost (WSSSE)", lambda e: e.train_cost),
    "iterations": ("iterations of the fit", lambda e: e.iterations),
    "largest_cluster_share": (
        "largest cluster's share of the validation records",
        lambda e: e.validation.largest_cluster_share,
    ),
    "effective_clusters": ("effective clusters", lambda e: e.validation.effective_clusters),
    "clusters": ("clusters that hold a validation record", lambda e: e.validation.clusters),
    "davies_bouldin": ("Davies-Bouldin, validation records", lambda e: e.validation.davies_bouldin),
    "calinski_harabasz": ("Calinski-Harabasz, validation records", lambda e: e.validation.calinski_harabasz),
}

#: Those that a registered model adds.
LATER_METRICS: Final[Mapping[str, str]] = {
    "test_silhouette": "silhouette, test records",
    "test_macro_silhouette": "silhouette, mean over clusters, test records",
    "holdout_silhouette": "silhouette, all records from the train cut on",
}


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
