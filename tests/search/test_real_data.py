"""Metrics of the sample as scikit-learn has them of its lines; the real data as the notebook has it."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.ml.feature import SQLTransformer
from pyspark.sql import DataFrame, SparkSession
from sklearn import metrics

from retail_clusters import schema
from retail_clusters.experiment_file import load_experiment
from retail_clusters.features import sql
from retail_clusters.search.context import TrainingContext
from retail_clusters.search.measure import measure
from retail_clusters.settings import Experiment
from tests import examples
from tests.conftest import PROJECT, SAMPLE
from tests.examples import context_of_files
from tests.search.test_publish import assert_scores_as_measured


@pytest.fixture(scope="module")
def real(spark: SparkSession, real_data: Path) -> TrainingContext:
    return context_of_files(spark, real_data, experiment=Experiment(features=examples.lines(unseen="error")))


def vectors_of_lines(folder: Path) -> tuple[np.ndarray, pd.Series]:
    """Read files with pandas: price, quantity and a slot for each weekday of every line, and its date."""
    read = pd.concat([pd.read_csv(file) for file in sorted(folder.glob("*.csv"))], ignore_index=True)
    when = pd.to_datetime(read["InvoiceDate"])
    days = when[when < "2011-07-01"].dt.weekday.value_counts().index
    numbers = (read["UnitPrice"].fillna(0.0), read["Quantity"].fillna(0.0))
    return np.column_stack([*numbers, *(when.dt.weekday == day for day in days)]), when


@pytest.mark.soak  # the suite has it of few rows, in clustering/test_metrics.py
def test_metrics_of_the_sample_are_those_of_scikit_learn_on_its_lines(sample):
    found = measure(sample, sample.fit(k=20, seed=1))
    centres, parts = found.evaluation.centres, (found.evaluation.validation, found.test)
    every, when = vectors_of_lines(SAMPLE)
    validated = when >= "2011-10-01"
    for ours, chosen in zip(parts, ((when >= "2011-07-01") & ~validated, validated), strict=True):
        values = every[chosen]
        labels = np.argmin([((values - centre) ** 2).sum(axis=1) for centre in centres], axis=0)
        scores = pd.Series(metrics.silhouette_samples(values, labels, metric="sqeuclidean"))
        of_clusters = scores.groupby(labels).mean()
        assert len(of_clusters) > 3
        assert ours.sizes == tuple(np.bincount(labels, minlength=20))
        assert ours.silhouette == pytest.approx(scores.mean(), abs=1e-9)
        assert ours.macro_silhouette == pytest.approx(of_clusters.mean(), abs=1e-9)
        assert np.array(ours.cluster_silhouettes)[of_clusters.index] == pytest.approx(of_clusters, abs=1e-9)
        assert ours.davies_bouldin == pytest.approx(metrics.davies_bouldin_score(values, labels), rel=1e-9)
        calinski_harabasz = metrics.calinski_harabasz_score(values, labels)
        assert ours.calinski_harabasz == pytest.approx(calinski_harabasz, rel=1e-9)
    assert found.metrics["validation_test_gap"] == parts[0].silhouette - parts[1].silhouette


@pytest.mark.soak
def test_registered_model_gives_every_row_of_the_sample_the_label_that_was_measured(spark, sample):
    assert assert_scores_as_measured(spark, sample, k=20, seed=1) == 0


@pytest.mark.soak
@pytest.mark.real
def test_digest_rows_weekdays_and_vectors_are_those_of_the_notebook(real: TrainingContext):
    assert real.prepared.table.data_digest == "2:aa3259cdd6f1e6b3f84cfcee14082bae"
    train = real.weighted["train"]
    assert (len(train), len(real.weighted["validation"])) == (13_576, 9_104)
    days = ["Thursday", "Tuesday", "Monday", "Wednesday", "Friday", "Sunday"]
    assert list(real.space.fitted["weekday"].known) == days
    values = real.sample.values
    assert values.shape[1] == 7
    assert not values[np.array(train.texts("weekday")) == "Sunday", 2:].any()
    # The notebook's first vectors, all of a Monday: (7, [0, 1, 4], [2.95, 6, 1]) and so on.
    shown = {
        (price, quantity, 0, 0, 1, 0, 0)
        for price, quantity in [(2.95, 6), (2.1, 8), (5.95, 2), (1.65, 6), (0.42, 25)]
    }
    assert shown <= {tuple(row) for row in values.tolist()}


@pytest.mark.soak
@pytest.mark.real
def test_registered_model_gives_every_row_of_the_real_data_the_label_that_was_measured(spark, real):
    assert assert_scores_as_measured(spark, real, k=46, seed=0) <= 10


def test_metrics_of_customers_are_those_of_scikit_learn_on_their_records(spark: SparkSession):
    customers = load_experiment(PROJECT / "experiments" / "customers.yaml")
    context = context_of_files(spark, SAMPLE, experiment=customers)
    found = context.fit(k=4, seed=0)
    for part, ours in (("validation", found.validation), ("test", measure(context, found).test)):
        rows = context.in_memory(part).blocks
        values = np.concatenate([np.repeat(each.values, each.weights.astype(int), axis=0) for each in rows])
        squares = np.array([((values - centre) ** 2).sum(axis=1) for centre in found.centres])
        labels = squares.argmin(axis=0)
        assert ours.sizes == tuple(np.bincount(labels, minlength=4))
        assert ours.cost == pytest.approx(squares.min(axis=0).sum(), rel=1e-12)
        silhouette = metrics.silhouette_score(values, labels, metric="sqeuclidean")
        assert ours.silhouette == pytest.approx(silhouette, abs=1e-9)
        assert ours.davies_bouldin == pytest.approx(metrics.davies_bouldin_score(values, labels), rel=1e-9)
        calinski_harabasz = metrics.calinski_harabasz_score(values, labels)
        assert ours.calinski_harabasz == pytest.approx(calinski_harabasz, rel=1e-9)


@pytest.mark.real
def test_recency_frequency_and_spend_of_customers_are_those_of_pandas_to_the_cent(
    spark: SparkSession, real_data: Path
):
    question = load_experiment(PROJECT / "experiments" / "customers.yaml").question
    end, chosen = date(2011, 7, 1), ("14911", "12748", "15311")
    window = [real_data / f"{end - timedelta(back)}.csv" for back in range(1, question.unit.days + 1)]
    files = [str(file) for file in window if file.exists()]
    read = pd.concat(
        [
            pd.read_csv(file, dtype={"InvoiceNo": str, "CustomerID": str}, parse_dates=["InvoiceDate"])
            for file in files
        ],
        ignore_index=True,
    )
    lines = read[~read["InvoiceNo"].str.startswith("C")].assign(
        customer=read["CustomerID"].str.removesuffix(".0"),
        mills=(read["UnitPrice"] * 1000).round().astype(int) * read["Quantity"],
    )
    expected = {}
    for customer in chosen:
        theirs = lines[lines["customer"] == customer]
        recency = (pd.Timestamp(end) - theirs["InvoiceDate"].max().normalize()).days
        expected[customer] = (recency, theirs["InvoiceNo"].nunique(), theirs["mills"].sum() / 1000)

    statement = sql.records(question, as_of=end, passed={"customer": "CustomerID"})
    made = SQLTransformer(statement=statement).transform(_lines_of(spark, files))
    names = ("recency", "frequency", "spend")
    found = {row["customer"].removesuffix(".0"): tuple(row[name] for name in names) for row in made.collect()}
    assert {customer: found[customer] for customer in chosen} == expected


def _lines_of(spark: SparkSession, files: Sequence[str]) -> DataFrame:
    return spark.read.csv(list(files), schema=schema.INVOICE_LINE, header=True, escape='"')
