import numpy as np
import pytest

from retail_clusters.clustering import kmeans
from retail_clusters.clustering.blocks import block, in_memory
from retail_clusters.report.stability_report import compare_with_shuffled
from retail_clusters.settings import Lloyd, Stability

FACTS = ((0,), (1,))


def report(values, groups, *, k):
    weights = groups.sum(axis=1)
    fitted = kmeans.fit(
        in_memory(values, weights), block(values, weights), k=k, seed=0, max_iterations=50, tolerance=1e-4
    )
    return compare_with_shuffled(
        values, groups, fitted.centres, facts=FACTS, seed=0, settings=Stability(), lloyd=Lloyd()
    )


@pytest.fixture(scope="module")
def three_groups():
    """Price and quantity that depend on each other."""
    rng = np.random.default_rng(0)
    centres = np.array([(1.0, 100.0), (30.0, 12.0), (100.0, 60.0)])
    values = np.concatenate([centre + rng.normal(0, 1.5, (40, 2)) for centre in centres])
    return values, np.ones((len(values), 10))


@pytest.fixture(scope="module")
def independent_columns():
    rng = np.random.default_rng(1)
    values = np.stack([rng.lognormal(0, 1, 300), rng.lognormal(0, 1, 300)], axis=1)
    return values, rng.integers(1, 3, (300, 10)).astype(float)


def test_real_groups_come_back_and_those_of_shuffled_columns_do_not(three_groups):
    found = report(*three_groups, k=3)
    assert found.real.stable_clusters == 3
    assert found.null.stable_clusters < 3
    assert "follow how the columns go together" in found.sentence


def test_independent_columns_come_back_no_better_than_shuffled_ones(independent_columns):
    found = report(*independent_columns, k=8)
    assert "each for itself" in found.sentence


def test_the_figures_repeat_to_the_bit(three_groups):
    assert report(*three_groups, k=4) == report(*three_groups, k=4)


def test_the_table_has_a_row_a_cluster_and_agrees_with_the_figures(three_groups):
    found = report(*three_groups, k=5)
    table = found.table()
    assert table["stable"].sum() == found.metrics["stable_clusters"]
    share = table.loc[table["stable"], "lines"].sum() / table["lines"].sum()
    assert share == found.metrics["stable_line_share"]
