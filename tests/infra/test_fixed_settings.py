"""What a session fixes."""

import pytest

from retail_clusters.infra import fixed_settings
from retail_clusters.infra.fixed_settings import is_fixed
from retail_clusters.infra.spark import settings, small_session, spark_session

HOSTILE = {
    "spark.sql.files.ignoreCorruptFiles": "true",
    "spark.sql.files.ignoreMissingFiles": "true",
    "spark.sql.files.ignoredPathSegmentRegex": ".*csv",
    "spark.sql.legacy.timeParserPolicy": "LEGACY",
    "spark.sql.legacy.javaCharsets": "true",
    "spark.sql.csv.parser.columnPruning.enabled": "false",
    "spark.sql.caseSensitive": "true",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.ansi.enabled": "false",
    "spark.sql.session.timeZone": "Asia/Tokyo",
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
    "spark.sql.execution.datasources.hadoopLineRecordReader.enabled": "false",
}
HADOOP = {"mapreduce.input.linerecordreader.line.maxlength": "20", "io.compression.codecs": ""}


def test_all_but_what_tunes_is_fixed():
    assert all(map(is_fixed, HOSTILE))
    ours = [key for key in settings(java_options="-X") if key.startswith("spark.sql.")]
    assert [key for key in ours if is_fixed(key)] == []
    assert not is_fixed("spark.sql.shuffle.partitions")
    assert not is_fixed("spark.driver.memory")


@pytest.fixture
def hostile(spark):
    """The tests' session as a user may have configured it; given back as it was."""
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()
    before = spark.conf.getAll
    for key, value in HOSTILE.items():
        spark.conf.set(key, value)
    for key, value in HADOOP.items():
        hadoop.set(key, value)
    yield spark
    for key in HOSTILE:
        spark.conf.set(key, before[key]) if key in before else spark.conf.unset(key)
    for key in HADOOP:
        hadoop.unset(key)


def test_a_session_that_is_adopted_has_the_fixed_settings_and_is_given_back_as_it_was(hostile):
    before = hostile.conf.getAll
    with spark_session("adopted") as spark:
        assert spark is hostile
        for session in (spark, small_session(spark)):
            found = session.conf.getAll
            assert {key for key in found if is_fixed(key)} == set(fixed_settings.OURS)
            assert {key: found[key] for key in fixed_settings.OURS} == fixed_settings.OURS
        hadoop = spark.sparkContext._jsc.hadoopConfiguration()
        assert hadoop.get("mapreduce.input.linerecordreader.line.maxlength") is None
    assert hostile.conf.getAll == before
    assert hadoop.get("mapreduce.input.linerecordreader.line.maxlength") == "20"
