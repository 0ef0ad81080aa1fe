"""The sample's daily files in turn, as a stream of them would be measured."""

import random

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import functions as F
from retail_clusters.features.baseline import measure_baseline

from retail_clusters import schema
from retail_clusters.data import csv_files, invoices
from retail_clusters.features import binned, drift, training_days
from retail_clusters.features.model import scoring_pipeline
from retail_clusters.search.measure import measure
from retail_clusters.settings import Scoring, Split
from tests.conftest import SAMPLE

WARNING = Scoring().drift_warning


@pytest.fixture(scope="module")
def days(spark, sample):
    """Bounds of a model; its training days by lines, by lines with prices 30 % higher, by rows."""
    found = measure(sample, sample.fit(k=20, seed=1))
    baseline = measure_baseline(sample.weighted["train"], found.train_labels, clusters=20)
    pipeline = scoring_pipeline(sample.pipeline, found.evaluation.centres, spark=spark)
    lines = invoices.good(invoices.parse(csv_files.read_lines(spark, csv_files.find_files(str(SAMPLE)))))
    training = lines.where(F.col(schema.INVOICE_DATE) < Split().train_until.isoformat())
    risen = training.withColumn(schema.UNIT_PRICE, F.round(F.col(schema.UNIT_PRICE) * 1.3, 2))
    plain, dear = (count_lines_by_day(pipeline.transform(each), baseline) for each in (training, risen))
    bounded = training_days.calibrated(baseline, rows=sample.weighted["train"], labels=found.train_labels)
    counted = training_days.count_days(sample.weighted["train"], found.train_labels, against=baseline)
    return bounded, plain, dear, counted


def count_lines_by_day(scored, baseline):
    """Count scored lines day by day, as the scorer counts a batch of a day."""
    table = scored.select(*binned.WATCHED).toArrow()
    of = binned.days_of(table)
    return [binned.count(table.filter(pa.array(of == day)), against=baseline) for day in np.unique(of)]


def warning(newest_first, baseline):
    moved = drift.measure(newest_first, against=baseline)
    return moved.warning(baseline, above=WARNING) if moved else None


def test_days_counted_from_the_rows_are_days_counted_from_the_lines(days):
    baseline, plain, _, counted = days
    assert counted == plain
    assert baseline.usual == drift.bounded(baseline, by=plain).usual


def test_every_training_line_is_counted_once_and_is_in_the_share_of_its_bin(sample, days):
    baseline, plain, *_ = days
    total = sum(plain[1:], plain[0])
    assert total.lines == sample.weighted["train"].weights.sum()
    for name in ("price", "quantity", "weekday"):
        assert [lines / total.lines for lines in getattr(total, name)] == pytest.approx(
            getattr(baseline, name)
        )
    assert total.clusters[-1] == 0
    assert [lines / total.lines for lines in total.clusters[:-1]] == pytest.approx(baseline.clusters)


def test_training_days_in_turn_never_warn(days):
    baseline, plain, *_ = days
    assert [warning(plain[end::-1], baseline) for end in range(len(plain))] == [None] * len(plain)


def test_training_days_in_any_order_never_warn(days):
    """Files of a copied folder come in the order of their times, which is any order."""
    baseline, plain, *_ = days
    for seed in range(5):
        shuffled = random.Random(seed).sample(plain, len(plain))
        assert [warning(shuffled[end::-1], baseline) for end in range(len(plain))] == [None] * len(plain)


@pytest.mark.parametrize("at_once", [4, 13])
def test_training_days_copied_many_in_an_instant_never_warn(days, at_once):
    """Files whose times are equal come in any order among themselves."""
    baseline, plain, *_ = days
    for seed in range(5):
        order = random.Random(seed)
        parts = [plain[first : first + at_once] for first in range(0, len(plain), at_once)]
        arrived = [each for part in parts for each in order.sample(part, len(part))]
        assert [warning(arrived[end::-1], baseline) for end in range(len(plain))] == [None] * len(plain)


def test_prices_that_rise_by_30_percent_are_told_within_three_days_of_a_thousand_lines(days):
    baseline, plain, dear, _ = days
    for start in range(len(plain)):
        enough = next(
            (end for end in range(start + 2, len(plain)) if lines_of(dear[start : end + 1]) >= 1000), None
        )
        if enough is not None:
            told = [
                warning([*dear[end:start:-1], dear[start], *plain[:start][::-1]], baseline)
                for end in range(start, enough + 1)
            ]
            assert any(why and why.startswith("PSI of price") for why in told), plain[start].days


def lines_of(days) -> int:
    return sum(counts.lines for counts in days)
