"""The sample's daily files in turn, as a stream of them would be measured."""

from dataclasses import replace

import pytest
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.settings import Scoring
from retail_clusters.training import drift, training_days
from retail_clusters.training.baseline import measure_baseline
from retail_clusters.training.measure import measure
from retail_clusters.training.model import scoring_pipeline

WARNING = Scoring().drift_warning


@pytest.fixture(scope="module")
def days(spark, sample):
    """Bounds of a model, the counts of its training days, and of the same with prices that rise by 30 %."""
    found = measure(sample, sample.fit(k=20, seed=1))
    baseline = measure_baseline(sample.weighted["train"], found.train_labels, clusters=20)
    pipeline = scoring_pipeline(sample.pipeline, found.evaluation.centres, spark=spark)
    lines = training_days.training_lines(sample)
    risen = lines.withColumn(schema.UNIT_PRICE, F.round(F.col(schema.UNIT_PRICE) * 1.3, 2))
    plain, dear = (
        training_days.count_days(each, pipeline=pipeline, against=baseline) for each in (lines, risen)
    )
    return replace(baseline, usual=drift.usual(plain, against=baseline)), plain, dear


def warning(newest_first, baseline):
    moved = drift.measure(newest_first, against=baseline)
    return moved.warning(baseline, above=WARNING) if moved else None


def test_every_training_line_is_counted_once_and_is_in_the_share_of_its_bin(sample, days):
    baseline, plain, _ = days
    total = sum(plain[1:], plain[0])
    assert total.lines == sample.weighted["train"].weights.sum()
    for name in ("price", "quantity", "weekday"):
        assert [lines / total.lines for lines in getattr(total, name)] == pytest.approx(
            getattr(baseline, name)
        )
    assert total.clusters[-1] == 0
    assert [lines / total.lines for lines in total.clusters[:-1]] == pytest.approx(baseline.clusters)


def test_training_days_in_turn_never_warn(days):
    baseline, plain, _ = days
    assert [warning(plain[end::-1], baseline) for end in range(len(plain))] == [None] * len(plain)


def test_prices_that_rise_by_30_percent_are_told_within_three_days_of_a_thousand_lines(days):
    baseline, plain, dear = days
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
