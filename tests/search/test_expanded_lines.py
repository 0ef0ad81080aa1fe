"""Every figure of a version, beside an independent computation on the lines themselves, read with pandas."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from retail_clusters import schema
from retail_clusters.clustering import kmeans
from retail_clusters.clustering.blocks import block, in_memory
from retail_clusters.clustering.stability import Resampling, shuffle_columns, stability
from retail_clusters.features import drift, training_days
from retail_clusters.features.baseline import measure_baseline
from retail_clusters.search.measure import measure
from tests import examples
from tests.conftest import SAMPLE

K, SEED, SEEDS = 20, 1, range(3)
PARTS = {"train": ("2010-01-01", "2011-07-01"), "validation": ("2011-07-01", "2011-10-01")}
PARTS["test"] = ("2011-10-01", "2012-01-01")
KEY = ["price", "quantity", "weekday"]


@pytest.fixture(scope="module")
def lines() -> pd.DataFrame:
    """Every line of the sample: price, quantity, weekday, day."""
    read = pd.concat([pd.read_csv(file) for file in sorted(SAMPLE.glob("*.csv"))], ignore_index=True)
    when = pd.to_datetime(read["InvoiceDate"])
    return pd.DataFrame(
        {
            "price": read["UnitPrice"].fillna(0.0),
            "quantity": read["Quantity"].fillna(0).astype(float),
            "weekday": when.dt.weekday,
            "day": (when.dt.normalize() - pd.Timestamp("1970-01-01")).dt.days,
            "date": when,
        }
    )


def of(lines: pd.DataFrame, part: str) -> pd.DataFrame:
    since, until = PARTS[part]
    return lines[(lines["date"] >= since) & (lines["date"] < until)].reset_index(drop=True)


def vectors(lines: pd.DataFrame, training: pd.DataFrame) -> np.ndarray:
    """Return price, quantity and a slot for each weekday of the training lines, the commonest first."""
    days = sorted(training["weekday"].unique(), key=lambda day: -(training["weekday"] == day).sum())
    return np.column_stack([lines["price"], lines["quantity"], *(lines["weekday"] == day for day in days)])


def nearest(values: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return np.argmin([((values - centre) ** 2).sum(axis=1) for centre in centres], axis=0)


@pytest.fixture(scope="module")
def found(sample):
    return measure(sample, sample.fit(k=K, seed=SEED))


@pytest.fixture(scope="module")
def labelled(lines, found) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Vectors and cluster of every line of each part."""
    training = of(lines, "train")
    expanded = {part: vectors(of(lines, part), training) for part in PARTS}
    return {part: (each, nearest(each, found.evaluation.centres)) for part, each in expanded.items()}


@pytest.mark.parametrize("part", ["validation", "test"])
def test_silhouettes_and_indices_are_those_of_scikit_learn(found, labelled, part):
    values, labels = labelled[part]
    ours = found.evaluation.validation if part == "validation" else found.test
    scores = pd.Series(metrics.silhouette_samples(values, labels, metric="sqeuclidean"))
    of_clusters = scores.groupby(labels).mean()
    assert len(of_clusters) > 3
    assert ours.silhouette == pytest.approx(scores.mean(), abs=1e-9)
    assert ours.macro_silhouette == pytest.approx(of_clusters.mean(), abs=1e-9)
    assert [ours.cluster_silhouettes[number] for number in of_clusters.index] == pytest.approx(
        of_clusters.tolist(), abs=1e-9
    )
    assert ours.davies_bouldin == pytest.approx(metrics.davies_bouldin_score(values, labels), rel=1e-9)
    calinski_harabasz = metrics.calinski_harabasz_score(values, labels)
    assert ours.calinski_harabasz == pytest.approx(calinski_harabasz, rel=1e-9)
    shares = np.bincount(labels) / len(labels)
    assert ours.largest_cluster_share == pytest.approx(shares.max())


def test_the_gap_is_the_silhouette_on_validation_less_that_on_test(found, labelled):
    validation, test = (
        metrics.silhouette_score(*labelled[part], metric="sqeuclidean") for part in ("validation", "test")
    )
    assert found.metrics["validation_test_gap"] == pytest.approx(validation - test, abs=1e-9)


def test_the_agreement_of_seeds_is_that_of_scikit_learn(sample, labelled):
    fits = [sample.fit(k=K, seed=seed) for seed in SEEDS]
    values, _ = labelled["validation"]
    pairs = combinations([nearest(values, each.centres) for each in fits], 2)
    expected = np.mean([metrics.adjusted_rand_score(*pair) for pair in pairs])
    trials = [examples.trial(number, K, number, centres=each.centres) for number, each in enumerate(fits)]
    evaluator = sample.evaluator()
    assert evaluator.agreements([trials]) == [pytest.approx(expected, abs=1e-9)]
    evaluator.release()


def slow_jaccards(lines: pd.DataFrame, values: np.ndarray, centres: np.ndarray, *, draws: int) -> list[float]:
    """Refit on days that are drawn and count lines in both and in either, cluster by cluster, as sets."""
    k, seed, groups = len(centres), 0, lines["day"] % schema.DAY_GROUPS
    before = nearest(values, centres)
    best = []
    for draw in range(draws):
        drawn = np.random.default_rng([seed, draw]).integers(0, schema.DAY_GROUPS, schema.DAY_GROUPS)
        times = np.array([(drawn == group).sum() for group in range(schema.DAY_GROUPS)])[groups]
        again = np.repeat(values, times, axis=0)
        distinct, counts = np.unique(again, axis=0, return_counts=True)
        fitted = kmeans.fit(
            in_memory(distinct, counts.astype(float)),
            block(distinct, counts.astype(float)),
            k=k,
            seed=int(np.random.SeedSequence([seed, draw]).generate_state(1)[0]),
            max_iterations=100,
            tolerance=1e-4,
        )
        after = nearest(values, fitted.centres)
        one, other = ([set(np.flatnonzero(of == at)) for at in range(k)] for of in (before, after))
        best.append([max(len(a & b) / len(a | b) if a | b else 0 for b in other) for a in one])
    return np.mean(best, axis=0).tolist()


def test_clusters_come_back_as_often_as_sets_of_lines_do(lines, sample, found, labelled):
    training, (values, labels) = of(lines, "train"), labelled["train"]
    order = np.lexsort(sample.sample.values.T[::-1])
    weights = sample.weighted["train"].weights_by_group[order]
    settings = Resampling(draws=3)
    ours = stability(
        sample.sample.values[order], weights, found.evaluation.centres, seed=0, settings=settings
    )
    slow = slow_jaccards(training, values, found.evaluation.centres, draws=3)
    assert ours.jaccards == pytest.approx(slow, abs=1e-12)
    sizes = np.bincount(labels, minlength=K)
    assert ours.sizes == tuple(sizes)
    stable = np.array(slow) >= settings.stable_jaccard
    assert ours.stable_clusters == stable.sum()
    assert ours.stable_line_share == pytest.approx(sizes[stable].sum() / len(labels))


def test_shuffled_columns_are_those_of_the_lines_in_each_group_of_days(lines, sample):
    training = of(lines, "train")
    weights = sample.weighted["train"].weights_by_group
    facts = ((0,), (1,), tuple(range(2, sample.sample.values.shape[1])))
    shuffled, groups = shuffle_columns(sample.sample.values, weights, columns=facts, seed=0)
    assert groups.sum(axis=0).tolist() == [
        (training["day"] % schema.DAY_GROUPS == group).sum() for group in range(schema.DAY_GROUPS)
    ]
    for column, name in enumerate(("price", "quantity")):
        lines_of = pd.Series(groups.sum(axis=1)).groupby(shuffled[:, column]).sum()
        assert lines_of.to_dict() == training[name].value_counts().to_dict()


def slow_psi(expected: pd.Series, found: pd.Series) -> float:
    """Return the index of two columns of bin names."""
    total = 0.0
    for name in set(expected) | set(found):
        e, f = (max((column == name).mean(), 1e-4) for column in (expected, found))
        total += (f - e) * np.log(f / e)
    return total


def binned(lines: pd.DataFrame, labels: np.ndarray, baseline) -> pd.DataFrame:
    """Return the bin of each line, by name."""
    price, quantity = (
        pd.cut(lines[name], [-np.inf, *edges, np.inf], right=True).astype(str)
        for name, edges in (("price", baseline.price_edges), ("quantity", baseline.quantity_edges))
    )
    weekday = lines["weekday"]
    return pd.DataFrame({"clusters": labels, "price": price, "quantity": quantity, "weekday": weekday})


def slow_windows(lines: pd.DataFrame, bins: pd.Series, *, days: int) -> list[float]:
    """Return the index of each run of successive days that has as many, and a thousand lines."""
    found, every = [], sorted(lines["day"].unique())
    for end in range(len(every)):
        for length in range(days, end + 2):
            window = lines["day"].isin(every[end + 1 - length : end + 1])
            if window.sum() >= 1000:
                found.append(slow_psi(bins, bins[window]))
                break
    return found


def test_drift_is_that_of_the_lines_of_the_latest_days(lines, sample, found, labelled):
    """Windows, their indices, and what training days reach, over the days of the sample one by one."""
    training = of(lines, "train")
    labels = labelled["train"][1]
    baseline = measure_baseline(sample.weighted["train"], found.train_labels, clusters=K)
    bins = binned(training, labels, baseline)
    days = sorted(training["day"].unique())
    weeks = 3 * training["weekday"].nunique()
    lengths = {"clusters": weeks, "price": 3, "quantity": 3, "weekday": weeks}
    reached = {name: slow_windows(training, bins[name], days=length) for name, length in lengths.items()}
    counted = training_days.count_days(sample.weighted["train"], found.train_labels, against=baseline)
    assert [counts.days for counts in counted] == [(day,) for day in days]
    assert [counts.lines for counts in counted] == training.groupby("day").size().tolist()
    last = drift.measure(counted[::-1], against=baseline)
    assert last is not None
    assert last.indices == pytest.approx({name: windows[-1] for name, windows in reached.items()})
    assert drift.bounded(baseline, by=counted).usual == pytest.approx(
        [max(windows) for windows in reached.values()]
    )
