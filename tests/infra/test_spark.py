"""The session: whose master it takes, whom it adopts, what executors get, and what a failed start leaves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from retail_clusters.errors import InputError
from retail_clusters.infra.spark import (
    check_spark_home,
    is_one_machine,
    master,
    settings,
    small_session,
    spark_session,
)

EARLY = """
import sys, time
from retail_clusters.infra.spark import spark_session, start_session_early
start_session_early("early", short_lived=True)
if sys.argv[1] == "refused":
    sys.exit(2)
with spark_session("job") as spark:
    zone = spark.sql("SELECT current_timezone()").first()[0]
    print(spark.range(3).count(), spark.sparkContext.appName, zone)
    one = spark.sparkContext.parallelize([0], 1)
    print(one.map(lambda _: __import__("retail_clusters").__file__).first())
    options = list(spark._jvm.java.lang.management.ManagementFactory.getRuntimeMXBean().getInputArguments())
    print("-XX:TieredStopAtLevel=1" in options, [option for option in options if option.startswith("-Xmx")])
print("stopped", spark.sparkContext._jsc is None)
"""


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "SPARK_MASTER",
        "PYSPARK_SUBMIT_ARGS",
        "PYSPARK_GATEWAY_PORT",
        "SPARK_HOME",
        "SPARK_DRIVER_MEMORY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    monkeypatch.setenv("SPARK_WORKER_DIR", str(tmp_path / "work"))


def run(script: str, *arguments: str, master: str = "local[1]") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=os.environ | {"SPARK_MASTER": master},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_the_master_is_that_of_the_environment_then_spark_submit_then_the_defaults(monkeypatch, tmp_path):
    assert master() == "local[*]"
    (tmp_path / "spark-defaults.conf").write_text("# ours\nspark.master  spark://defaults:7077\n")
    assert master() == "spark://defaults:7077"
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "--master yarn --conf spark.driver.memory=9g pyspark-shell")
    assert master() == "yarn"
    assert "spark.driver.memory" not in settings()
    monkeypatch.setenv("SPARK_MASTER", "k8s://here")
    assert settings()["spark.master"] == master() == "k8s://here"


def test_what_the_user_has_configured_is_left_alone(monkeypatch, tmp_path):
    assert settings()["spark.driver.memory"] == "4g"
    (tmp_path / "spark-defaults.conf").write_text("spark.driver.memory=12g\nspark.sql.shuffle.partitions 7\n")
    assert not {"spark.driver.memory", "spark.sql.shuffle.partitions"} & settings().keys()


@pytest.mark.parametrize(
    ("of", "one_machine"),
    [("local", True), ("local[*]", True), ("local-cluster[2,1,1024]", True), ("spark://host:7077", False)],
)
def test_loopback_is_for_masters_of_this_machine_alone(of: str, one_machine: bool):
    assert is_one_machine(of) is one_machine


def test_a_session_that_is_there_is_adopted_and_given_back_as_it_was(spark: SparkSession):
    zone = spark.conf.get("spark.sql.session.timeZone")
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    try:
        with spark_session("inner") as inner:
            assert inner.sparkContext is spark.sparkContext
            assert inner.conf.get("spark.sql.session.timeZone") == "UTC"
        assert spark.conf.get("spark.sql.session.timeZone") == "Asia/Tokyo"
        assert spark.range(2).count() == 2
    finally:
        spark.conf.set("spark.sql.session.timeZone", str(zone))


def test_a_streams_own_session_is_set_as_the_one_that_it_is_made_from(spark: SparkSession):
    spark.conf.set("fs.s3a.access.key", "ours")
    try:
        own = small_session(spark)
        assert own.conf.get("fs.s3a.access.key") == "ours"
        assert own.conf.get("spark.sql.session.timeZone") == spark.conf.get("spark.sql.session.timeZone")
        assert own.conf.get("spark.sql.shuffle.partitions") == "1"
        assert spark.conf.get("spark.sql.shuffle.partitions") != "1"
    finally:
        spark.conf.unset("fs.s3a.access.key")


@pytest.mark.soak
def test_a_session_that_was_begun_early_is_the_job_s_brings_executors_the_package_and_is_stopped(monkeypatch):
    monkeypatch.delenv("SPARK_SUBMIT_OPTS")  # the tests' own JVMs are short-lived, all of them
    monkeypatch.setenv("SPARK_DRIVER_MEMORY", "512m")
    done = run(EARLY, "job", master="local-cluster[1,1,1024]")
    assert done.returncode == 0, done.stderr
    job, package, *options = done.stdout.splitlines()
    assert job == "3 retail-clusters early UTC"
    assert package.endswith("retail_clusters.zip/retail_clusters/__init__.py")
    assert options == ["True ['-Xmx512m']", "stopped True"]


def test_a_command_that_is_refused_while_the_session_starts_ends_at_once_and_leaves_nothing(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = run(EARLY, "refused")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")
    assert [*tmp_path.glob("retail-clusters-spark-*")] == []


FAILING = """
from retail_clusters.infra.spark import spark_session
with spark_session("job") as spark:
    spark._jvm.java.lang.System.err.println("what Spark says")
    1 / 0
"""


def test_a_job_that_fails_names_the_log_of_what_spark_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = run(FAILING)
    (log,) = tmp_path.glob("retail-clusters-spark-*.log")
    assert done.stderr.rstrip().endswith(f"ZeroDivisionError: division by zero\nSpark's own log: {log}")
    assert "what Spark says" not in done.stderr
    assert "what Spark says" in log.read_text()


def test_a_spark_home_that_points_nowhere_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SPARK_HOME", "/nowhere/at/all")
    with pytest.raises(InputError, match=r"SPARK_HOME must be .* /nowhere/at/all"):
        check_spark_home()
