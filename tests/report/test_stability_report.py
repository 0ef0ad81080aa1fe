import numpy as np
import pytest

from retail_clusters.clustering import kmeans
from retail_clusters.clustering.blocks import block, in_memory
from retail_clusters.question import Feature, Unit
from retail_clusters.report.stability_report import StabilityReport, compare_with_permuted
from retail_clusters.settings import Experiment

RNG = np.random.default_rng(0)
LINES = Experiment()


def report(values, *, k, experiment=LINES) -> StabilityReport:
    groups = np.ones((len(values), 10))
    rows = (values, groups.sum(axis=1))
    fitted = kmeans.fit(in_memory(*rows), block(*rows), k=k, seed=0, max_iterations=50, tolerance=1e-4)
    how = {"features": ((0,), (1,)), "seed": 0, "experiment": experiment}
    return compare_with_permuted(values, groups, fitted.centres, **how)


@pytest.fixture(scope="module")
def three_groups():
    """Price and quantity that depend on each other."""
    centres = [(1.0, 100.0), (30.0, 12.0), (100.0, 60.0)]
    return np.concatenate([centre + RNG.normal(0, 1.5, (40, 2)) for centre in centres])


def test_real_groups_are_stable_and_those_of_permuted_data_are_not(three_groups):
    found = report(three_groups, k=3)
    assert found.metrics["stable_clusters"] == 3
    assert found.metrics["null_stable_clusters"] < 3
    assert found.sentence.startswith("3 of 3 clusters are stable (100% of lines); of permuted data ")
    assert "depend on one another" in found.sentence


def test_sentence_calls_records_what_they_are(three_groups):
    invoices = Experiment(unit=Unit(by=("InvoiceNo",)), features={"worth": Feature(sql="sum(cost)")})
    assert "(100% of invoices)" in report(three_groups, k=3, experiment=invoices).sentence


def test_clusters_of_independent_columns_are_no_more_stable_than_those_of_permuted_data():
    assert "slices of each feature" in report(RNG.lognormal(0, 1, (300, 2)), k=8).sentence


def test_report_repeats_to_the_bit(three_groups):
    assert report(three_groups, k=4) == report(three_groups, k=4)


def test_table_has_a_row_a_cluster_and_agrees_with_the_metrics(three_groups):
    found = report(three_groups, k=5)
    table = found.table()
    assert table["cluster"].tolist() == list(range(5))
    assert table["stable"].sum() == found.metrics["stable_clusters"]
    share = table.loc[table["stable"], "records"].sum() / table["records"].sum()
    assert share == found.metrics["stable_line_share"]
