"""What a session fixes, held to every setting that the installed version of Spark knows."""

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from retail_clusters.infra import fixed_settings
from retail_clusters.infra.fixed_settings import is_fixed
from retail_clusters.infra.spark import small_session, spark_session

FREE = Path(__file__).with_name("free_spark_settings.txt")

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


def known_settings(spark: SparkSession) -> set[str]:
    """Every setting that Spark has registered: its own list is private."""
    jvm: Any = spark._jvm
    for module in ("sql.internal.SQLConf", "internal.config.package", "sql.internal.StaticSQLConf"):
        jvm.java.lang.Class.forName(f"org.apache.spark.{module}$")
    entries = jvm.java.lang.Class.forName("org.apache.spark.internal.config.ConfigEntry$")
    field = entries.getDeclaredField("knownConfigs")
    field.setAccessible(True)
    return set(field.get(entries.getDeclaredField("MODULE$").get(None)).keySet().toArray())


def test_every_setting_of_the_installed_version_is_decided_upon(spark):
    """One that is new is fixed, in `fixed_settings`, or free, in the list beside this file."""
    free = FREE.read_text(encoding="utf-8").split()
    known = known_settings(spark)
    assert len(known) > 1_000
    undecided = {key for key in known if not is_fixed(key)} - set(free)
    assert not undecided, f"fix them, or list them in {FREE.name}: {sorted(undecided)}"
    assert [key for key in free if is_fixed(key)] == []


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
