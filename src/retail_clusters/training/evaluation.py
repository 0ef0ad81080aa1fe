"""One record of a clustering: what it is, how it measured, and the name of each figure in MLflow."""

from collections.abc import Mapping
from dataclasses import dataclass

from retail_clusters.settings import Lloyd
from retail_clusters.training import kmeans, quality
from retail_clusters.training.blocks import Block, Floats, Rows
from retail_clusters.training.kmeans import Fit
from retail_clusters.training.quality import Quality


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
        return {
            "validation_silhouette": self.validation.silhouette,
            "validation_macro_silhouette": self.validation.macro_silhouette,
            "train_cost": self.train_cost,
            "iterations": float(self.iterations),
            "largest_cluster_share": self.validation.largest_cluster_share,
            "effective_clusters": self.validation.effective_clusters,
            "clusters": float(self.validation.clusters),
            "davies_bouldin": self.validation.davies_bouldin,
            "calinski_harabasz": self.validation.calinski_harabasz,
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
        validation=quality.measure(problem.validation, fitted.centres),
        centres=fitted.centres,
    )
