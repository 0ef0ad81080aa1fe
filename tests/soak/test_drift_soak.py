"""Real daily files, one a trigger: no false alarm, and prices that rise are told within three days."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from benchmarks import drift as bench
from retail_clusters.settings import Experiment

pytestmark = [pytest.mark.soak, pytest.mark.real]


@pytest.mark.parametrize("experiment", bench.EXPERIMENTS.values(), ids=list(bench.EXPERIMENTS))
def test_training_days_never_warn_and_prices_that_rise_are_told_within_three_days(
    spark: SparkSession, workplace: Path, real_data: Path, experiment: Experiment
) -> None:
    stream = bench.stream_of(spark, experiment, data=str(real_data))
    assert not any(stream.warnings(stream.trained))
    assert all("most of it: " in why for why in stream.warnings(stream.later) if why)
    assert None not in stream.days_until_told()
    files = sorted(real_data.glob("*.csv"))
    cut = len(stream.trained)
    trained = bench.scorer_says(spark, experiment, files[cut - 20 : cut], risen=0)
    assert trained == (20, [])
    batches, told = bench.scorer_says(spark, experiment, files[cut : cut + 23], risen=3)
    assert batches == 23
    assert [why.partition(" is ")[0] for why in told] == ["PSI of price"]
