"""What is measured is what will score: the labels of the registered model, over every row."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyspark.sql import SparkSession
from sklearn.metrics import silhouette_score

from retail_clusters import schema
from retail_clusters.clustering import evaluation, kmeans
from retail_clusters.clustering.kmeans import Fit
from retail_clusters.features import model
from retail_clusters.features.model import ScoringModel
from retail_clusters.features.rows import DAY_GROUPS, WeightedRows
from retail_clusters.search import publish
from retail_clusters.search.context import TrainingContext, by_split
from retail_clusters.search.measure import measure
from retail_clusters.settings import Training
from tests import examples

#: Rows half-way between two centres far from zero, where expanded squares lose what decides. Spark expands
#: them for sparse vectors alone, so every weekday has a slot.
HALF_WAY = [(38_970.0, quantity, "Monday", 1 + quantity % 3) for quantity in range(1000, 1060)]
OTHER_DAYS = [(1.0, 1, day, 1) for day in examples.WEEKDAYS[1:]]
CENTRES = examples.centres([(38_960.0, 1030.0), (38_980.0, 1030.0)], (1, 0, 0, 0, 0, 0, 0))


def scored(
    spark: SparkSession, context: TrainingContext, rows: WeightedRows, centres: np.ndarray
) -> np.ndarray:
    """Let the model that would be registered score a raw line for each row."""
    monday = datetime(2011, 6, 6)
    dates = [monday + timedelta(days=examples.WEEKDAYS.index(day)) for day in rows.texts("weekday")]
    raw = spark.createDataFrame(
        pa.table(
            {
                schema.UNIT_PRICE: rows.numbers("price"),
                schema.QUANTITY: rows.numbers("quantity"),
                schema.INVOICE_DATE: pa.array(dates, pa.timestamp("us", "UTC")),
            }
        )
    )
    scorer = ScoringModel.of(context.space, centres).pipeline(spark=spark)
    return np.asarray(scorer.transform(raw).select(schema.PREDICTION).toArrow()[schema.PREDICTION])


def assert_scores_as_measured(spark: SparkSession, context: TrainingContext, *, k: int, seed: int) -> int:
    """Compare the labels over every row; return the lines that the registered model labels otherwise."""
    found = context.fit(k=k, seed=seed)
    measured = measure(context, found)
    differing = 0.0
    for name in schema.SPLITS:
        rows = context.weighted[name]
        labels = scored(spark, context, rows, found.centres)
        differing += rows.weights[labels != kmeans.labels(context.rows[name], found.centres)].sum()
        if name == schema.TRAIN:
            assert np.array_equal(labels, measured.train_labels)
        if name == schema.VALIDATION:
            lines = np.bincount(labels, rows.weights, k).astype(int)
            assert measured.evaluation.validation.sizes == tuple(lines)
    assert measured.near_tie_lines == differing
    return measured.near_tie_lines


def test_registered_model_gives_every_row_the_label_that_was_measured(spark, tmp_path):
    files = examples.write_files(tmp_path / "in")
    context = examples.context_of_files(spark, files, experiment=examples.UNSCALED)
    assert assert_scores_as_measured(spark, context, k=5, seed=1) == 0


def test_near_ties_that_spark_breaks_the_other_way_are_counted_and_metrics_are_those_of_its_labels(spark):
    parts = {"train": HALF_WAY + OTHER_DAYS, "validation": HALF_WAY[:40], "test": HALF_WAY[20:]}
    context = examples.context(spark, **parts, experiment=examples.UNSCALED)
    assert not kmeans.labels(context.rows[schema.TRAIN], CENTRES).any()
    nearest = evaluation.measured(context.problem, Fit(centres=CENTRES, iterations=1, cost=0.0), seed=0)
    assert nearest.validation.clusters == 1

    measured = measure(context, nearest)

    labels = {name: scored(spark, context, context.weighted[name], CENTRES) for name in schema.SPLITS}
    lines = sum(context.weighted[name].weights[labels[name] == 1].sum() for name in schema.SPLITS)
    assert measured.near_tie_lines == lines > 0
    assert measured.metrics["near_tie_lines"] == lines
    assert np.array_equal(measured.train_labels, labels[schema.TRAIN])
    validation = context.weighted[schema.VALIDATION]
    counts = validation.weights.astype(int)
    vectors = np.repeat(
        np.column_stack([validation.numbers("price"), validation.numbers("quantity")]), counts, axis=0
    )
    expected = silhouette_score(vectors, np.repeat(labels[schema.VALIDATION], counts), metric="sqeuclidean")
    assert measured.evaluation.validation.silhouette == pytest.approx(expected, abs=1e-9)
    assert measured.evaluation.validation.sizes == tuple(
        np.bincount(labels[schema.VALIDATION], validation.weights).astype(int)
    )
    assert measured.test != measured.holdout


def test_tags_tell_data_model_labels_algorithm_and_whether_it_is_usable(spark):
    rows = [(1.0, 1, "Monday", 9), (50.0, 2, "Monday", 1)]
    context = examples.context(spark, train=rows, validation=rows, test=rows, experiment=examples.UNSCALED)
    measured = measure(context, context.fit(k=2, seed=0))
    tags = publish.run_tags(context, measured)
    assert tags["data_digest"] == "d" * 32
    assert tags["kernel"] == publish.ALGORITHM_VERSION
    assert tags["usable"] == "false"  # one cluster holds 90 % of the lines
    assert tags["records"] == '{"train": 10, "validation": 10, "test": 10}'
    assert tags["labels_digest"] == model.labels_digest(measured.train_labels)


def test_rows_beyond_the_setting_are_kept_as_a_sample_of_each_split_and_come_apart_again(spark):
    many = [(1.0 + at, 1 + at % 7, "Monday", 1 + at % 3) for at in range(700)]
    context = examples.context(spark, train=many, validation=many, test=many, experiment=examples.UNSCALED)

    whole, said = publish.evidence_rows(context)
    assert said == "all rows"
    question = context.experiment.question
    again, rows = by_split(whole, question)[schema.TRAIN], context.weighted[schema.TRAIN]
    assert again.table.equals(rows.table)
    assert np.array_equal(again.weights_by_group, rows.weights_by_group)

    fewer = examples.UNSCALED.model_copy(update={"training": Training(evidence_rows=1_000)})
    sample, said = publish.evidence_rows(replace(context, experiment=fewer))

    records = pc.sum(sample["_records"]).as_py()
    assert said == f"a sample: {records:,} of 4,197 records"
    assert sample.num_rows == 1_000
    parts = by_split(sample, question)
    assert {name: len(parts[name]) > 300 for name in schema.SPLITS} == dict.fromkeys(schema.SPLITS, True)
    assert parts[schema.TEST].weights_by_group.shape == (len(parts[schema.TEST]), DAY_GROUPS)
    assert publish.evidence_rows(replace(context, experiment=fewer))[0].equals(sample)
