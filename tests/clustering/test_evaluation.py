import numpy as np
import pytest

from retail_clusters.clustering import evaluation, guardrails, kmeans, metrics
from retail_clusters.clustering.blocks import block, in_memory
from retail_clusters.clustering.evaluation import LATER_METRICS, METRICS, Problem
from tests import examples

VALUES = np.array([[0.0, 1.0], [1.0, 1.0], [50.0, 0.0], [51.0, 0.0], [90.0, 1.0]])
WEIGHTS = np.array([4.0, 1.0, 2.0, 2.0, 7.0])


def test_a_candidate_is_fitted_on_training_lines_and_measured_on_validation_lines():
    later = in_memory(VALUES[::2], WEIGHTS[::2])
    problem = Problem(train=in_memory(VALUES, WEIGHTS), sample=block(VALUES, WEIGHTS), validation=later)
    found = evaluation.evaluate(problem, k=3, seed=4)
    expected = kmeans.fit(problem.train, problem.sample, k=3, seed=4, max_iterations=100, tolerance=1e-4)
    assert (found.k, found.seed, found.train_cost) == (3, 4, expected.cost)
    assert found.centres.tobytes() == expected.centres.tobytes()
    assert found.validation == metrics.measure(later, expected.centres)


def test_metrics_have_the_names_that_people_read_in_mlflow():
    assert set(METRICS) == {
        *("validation_silhouette", "validation_macro_silhouette", "train_cost", "iterations"),
        *("largest_cluster_share", "effective_clusters", "clusters", "davies_bouldin", "calinski_harabasz"),
    }
    assert set(LATER_METRICS) == {"test_silhouette", "test_macro_silhouette", "holdout_silhouette"}
    found = examples.trial(0, 5, 1, silhouette=0.7, macro=0.3).evaluation
    assert found.metrics["validation_silhouette"] == 0.7


@pytest.mark.parametrize(
    ("sizes", "broken"),
    [
        ((80, 20), []),
        ((81, 19), ["largest_cluster_share"]),
        ((100, 0), ["largest_cluster_share", "clusters"]),
    ],
)
def test_guardrails_bound_the_share_of_the_largest_cluster_and_the_number_of_clusters(
    sizes: tuple[int, ...], broken: list[str]
):
    quality = examples.quality(sizes=sizes)
    excess = guardrails.violations(quality, max_share=0.8, min_clusters=2)
    gates = guardrails.share_and_clusters(quality, 0.8, 2)
    assert [name for name, by in excess.items() if by > 0] == broken
    assert [gate.name for gate in gates if not gate.passed] == broken
