"""Prepared rows are reused only while nothing that they were made of has changed."""

import shutil
from datetime import date
from pathlib import Path

import pytest

from retail_clusters.data import weighted_rows
from retail_clusters.data import weighted_rows as preparation
from retail_clusters.data.prepare import prepare
from retail_clusters.errors import InputError
from retail_clusters.infra import tracking
from retail_clusters.settings import Experiment, Split
from tests.conftest import SAMPLE


@pytest.fixture
def data(workplace: Path) -> Path:
    shutil.copytree(SAMPLE, workplace / "in")
    tracking.connect(experiment="prepare")
    return workplace / "in"


def prepared_by(spark, data, experiment=None) -> tuple[str, str]:
    """The run whose rows are used, and their digest."""
    table = prepare(spark, data=str(data), experiment=experiment or Experiment()).table
    return table.run_id, table.data_digest


def test_unchanged_input_is_not_read_again_and_the_run_is_named(spark, data, capsys):
    first = prepared_by(spark, data)
    jobs = spark.sparkContext._jsc.sc().dagScheduler().nextJobId()
    assert prepared_by(spark, data) == first
    assert spark.sparkContext._jsc.sc().dagScheduler().nextJobId() == jobs, "a Spark job ran"
    assert f"reused the rows of run {first[0]}" in capsys.readouterr().out


def test_any_change_of_a_byte_a_setting_or_the_version_makes_the_rows_again(spark, data, monkeypatch):
    runs = [prepared_by(spark, data)]

    file = next(data.glob("*.csv"))
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join([lines[0], lines[2], lines[1], *lines[3:]]), encoding="utf-8")
    runs.append(prepared_by(spark, data))
    assert runs[0][1] == runs[1][1], "the order of lines is no content"

    file.write_text("".join(lines).replace("United Kingdom", "united Kingdom", 1), encoding="utf-8")
    runs.append(prepared_by(spark, data))
    assert runs[1][1] != runs[2][1]

    other = Experiment(split=Split(train_until=date(2011, 6, 1)))
    runs.append(prepared_by(spark, data, other))
    monkeypatch.setattr(preparation, "PREPARATION_VERSION", weighted_rows.PREPARATION_VERSION + 1)
    runs.append(prepared_by(spark, data, other))
    assert len({run for run, _ in runs}) == len(runs)


def test_a_split_that_leaves_a_part_empty_is_refused_with_the_counts(spark, data):
    late = Experiment(split=Split(train_until=date(2012, 1, 1), validate_until=date(2012, 2, 1)))
    with pytest.raises(
        InputError, match=r"validation and test got none \(train 29,694, validation 0, test 0"
    ):
        prepared_by(spark, data, late)
