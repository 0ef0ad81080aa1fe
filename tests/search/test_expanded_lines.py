"""Every metric of a version of the sample, beside one computed on the lines themselves, read with pandas."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from retail_clusters import schema
from retail_clusters.clustering import kmeans
from retail_clusters.clustering.blocks import block, split
from retail_clusters.clustering.stability import Resampling, permute_columns, stability
from retail_clusters.features import stages
from retail_clusters.search.measure import measure
from tests.conftest import SAMPLE

K, SEED = 20, 1
PARTS = {
    "train": ("2010-01-01", "2011-07-01"),
    "validation": ("2011-07-01", "2011-10-01"),
    "test": ("2011-10-01", "2012-01-01"),
}


@pytest.fixture(scope="module")
def lines() -> dict[str, pd.DataFrame]:
    """Every line of each part of the sample: price, quantity, weekday, and its group of days."""
    read = pd.concat([pd.read_csv(file) for file in sorted(SAMPLE.glob("*.csv"))], ignore_index=True)
    when = pd.to_datetime(read["InvoiceDate"])
    every = pd.DataFrame(
        {
            "price": read["UnitPrice"].fillna(0.0),
            "quantity": read["Quantity"].fillna(0).astype(float),
            "weekday": when.dt.weekday,
            "group": (when.dt.normalize() - pd.Timestamp("1970-01-01")).dt.days % schema.DAY_GROUPS,
        }
    )
    return {part: every[(when >= since) & (when < until)] for part, (since, until) in PARTS.items()}


@pytest.fixture(scope="module")
def found(sample):
    return measure(sample, sample.fit(k=K, seed=SEED))


@pytest.fixture(scope="module")
def vectors(lines) -> dict[str, np.ndarray]:
    """Price, quantity and a slot for each weekday of the training lines, the commonest first."""
    days = lines["train"]["weekday"].value_counts().index
    return {
        part: np.column_stack([of["price"], of["quantity"], *(of["weekday"] == day for day in days)])
        for part, of in lines.items()
    }


def nearest(values: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return np.argmin([((values - centre) ** 2).sum(axis=1) for centre in centres], axis=0)


@pytest.mark.parametrize("part", ["validation", "test"])
def test_silhouettes_and_indices_are_those_of_scikit_learn(found, vectors, part):
    values, ours = vectors[part], found.evaluation.validation if part == "validation" else found.test
    labels = nearest(values, found.evaluation.centres)
    scores = pd.Series(metrics.silhouette_samples(values, labels, metric="sqeuclidean"))
    of_clusters = scores.groupby(labels).mean()
    assert len(of_clusters) > 3
    assert ours.silhouette == pytest.approx(scores.mean(), abs=1e-9)
    assert ours.macro_silhouette == pytest.approx(of_clusters.mean(), abs=1e-9)
    assert np.array(ours.cluster_silhouettes)[of_clusters.index] == pytest.approx(of_clusters, abs=1e-9)
    assert ours.davies_bouldin == pytest.approx(metrics.davies_bouldin_score(values, labels), rel=1e-9)
    calinski_harabasz = metrics.calinski_harabasz_score(values, labels)
    assert ours.calinski_harabasz == pytest.approx(calinski_harabasz, rel=1e-9)
    assert ours.largest_cluster_share == pytest.approx(np.bincount(labels).max() / len(labels))


def test_the_gap_is_the_silhouette_on_validation_less_that_on_test(found):
    gap = found.evaluation.validation.silhouette - found.test.silhouette
    assert found.metrics["validation_test_gap"] == gap


def slow_jaccards(values: np.ndarray, groups: np.ndarray, centres: np.ndarray, *, draws: int) -> list[float]:
    """Refit on groups that are drawn and count lines in both and in either, cluster by cluster, as sets."""
    k, best, before = len(centres), [], nearest(values, centres)
    for draw in range(draws):
        drawn = np.random.default_rng([0, draw]).integers(0, schema.DAY_GROUPS, schema.DAY_GROUPS)
        again = np.repeat(values, (drawn[:, None] == groups).sum(axis=0), axis=0)
        distinct, counts = np.unique(again, axis=0, return_counts=True)
        rows, seed = block(distinct, counts), int(np.random.SeedSequence([0, draw]).generate_state(1)[0])
        fitted = kmeans.fit(split(rows), rows, k=k, seed=seed, max_iterations=100, tolerance=1e-4)
        after = nearest(values, fitted.centres)
        one, other = ([set(np.flatnonzero(of == at)) for at in range(k)] for of in (before, after))
        best.append([max(len(a & b) / len(a | b) if a | b else 0 for b in other) for a in one])
    return np.mean(best, axis=0).tolist()


def test_clusters_are_as_stable_as_sets_of_lines_are(lines, sample, found, vectors):
    values, centres = vectors["train"], found.evaluation.centres
    order = np.lexsort(sample.sample.values.T[::-1])
    weights = sample.weighted["train"].weights_by_group[order]
    settings = Resampling(draws=3)
    ours = stability(sample.sample.values[order], weights, centres, seed=0, settings=settings)
    slow = slow_jaccards(values, lines["train"]["group"].to_numpy(), centres, draws=3)
    assert ours.jaccards == pytest.approx(slow, abs=1e-12)
    sizes = np.bincount(nearest(values, centres), minlength=K)
    assert ours.sizes == tuple(sizes)
    stable = np.array(slow) >= settings.stable_jaccard
    assert ours.stable_clusters == stable.sum()
    assert ours.stable_line_share == pytest.approx(sizes[stable].sum() / len(values))


def test_permuted_data_have_the_lines_of_each_group_of_days_and_of_each_value(lines, sample):
    training, values = lines["train"], sample.sample.values
    weights = sample.weighted["train"].weights_by_group
    columns = stages.feature_columns(values.shape[1])
    permuted, groups = permute_columns(values, weights, columns=columns, seed=0)
    counted = np.bincount(training["group"], minlength=schema.DAY_GROUPS)
    assert groups.sum(axis=0).tolist() == counted.tolist()
    for column, name in enumerate(("price", "quantity")):
        lines_of = pd.Series(groups.sum(axis=1)).groupby(permuted[:, column]).sum()
        assert lines_of.to_dict() == training[name].value_counts().to_dict()
