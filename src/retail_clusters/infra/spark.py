"""The one Spark session: adopted where there is one, else built here, and then stopped here."""

import atexit
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyspark import SparkConf, SparkContext
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession

from retail_clusters.errors import RetailClustersError
from retail_clusters.infra import class_archive, spark_settings
from retail_clusters.infra.java import check_java
from retail_clusters.infra.package import ship_package

__all__ = ["check_java"]

#: What results rest on, whatever the configuration says. Days are days in UTC, so each has 24 hours.
_FIXED: Final = {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "true"}

#: Options of a JVM that is started here.
JAVA_OPTIONS = class_archive.options()
#: Those of one that ends before Java's second compiler, which competes for the cores, has paid off.
SHORT_LIVED: Final = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m"


@dataclass(frozen=True)
class _Started:
    """A session that is being started, and the file that Spark's chatter goes to."""

    log: str
    session: Future[SparkSession] = field(default_factory=Future)


_early: list[_Started] = []
_named_logs: set[str] = set()


def start_session_early(name: str, *, short_lived: bool = False) -> None:
    """Begin to start a session in the background; the next `spark_session` waits for it and takes it.

    Meanwhile the caller may import what it needs. Nothing happens where a session is there already. A JVM
    that is `short_lived` compiles once, and quickly.
    """
    if _early or SparkContext._active_spark_context is not None:
        return
    started = _Started(log=_new_log())
    _early.append(started)
    options = f"{JAVA_OPTIONS} {SHORT_LIVED}".strip() if short_lived else JAVA_OPTIONS
    threading.Thread(target=_start, args=(started, name, options), name="spark-start", daemon=True).start()


@contextmanager
def spark_session(name: str) -> Iterator[SparkSession]:
    """Lend the session for one job: one that is there already, or a new one that is stopped after it.

    The master is what SPARK_MASTER says, else spark-submit or spark-defaults.conf, else `local[*]`. Spark's
    chatter goes to a log file, which is removed when the job ends well, and named when it does not.

    Raises:
        InputError: there is no Java, or one that is too old.
    """
    if not _early and SparkContext._active_spark_context is not None:
        with _adopted() as spark:
            yield spark
        return
    started = _early.pop() if _early else _started_now(name)
    with _log_named_on_failure(started.log):
        started.session.result()
        spark = SparkSession.builder.getOrCreate()  # in this thread, which is to be the session's own
        try:
            yield spark
        finally:
            spark.stop()


def small_session(spark: SparkSession, *, partitions: int = 1) -> SparkSession:
    """Return a session of its own for a stream over small files: few shuffle partitions, few state stores.

    Adaptive execution, which finds their number elsewhere, is not for streams. All else is set as it is in
    `spark`, such as the keys to a store.
    """
    session = spark.newSession()
    fresh = session.conf.getAll
    for key, value in spark.conf.getAll.items():
        if fresh.get(key) != value:
            session.conf.set(key, value)
    session.conf.set("spark.sql.shuffle.partitions", str(partitions))
    return session


@contextmanager
def _adopted() -> Iterator[SparkSession]:
    """Lend the session that is there, with what results rest on, and give it back as it was."""
    spark = SparkSession.builder.getOrCreate()
    before = {key: spark.conf.get(key) for key in _FIXED}
    try:
        for key, value in _FIXED.items():
            spark.conf.set(key, value)
        ship_package(spark.sparkContext)
        yield spark
    finally:
        for key, old in before.items():
            spark.conf.set(key, old or "")


def _started_now(name: str) -> _Started:
    started = _Started(log=_new_log())
    _start(started, name, JAVA_OPTIONS)
    return started


def _start(started: _Started, name: str, java_options: str) -> None:
    try:
        started.session.set_result(_build(name, started.log, java_options))
    except BaseException as failure:
        started.session.set_exception(failure)


def _build(name: str, log: str, java_options: str) -> SparkSession:
    check_java()
    settings = spark_settings.settings(java_options=java_options) | _FIXED
    settings |= {"spark.app.name": f"retail-clusters {name}"}
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if spark_settings.is_one_machine(spark_settings.master()):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    if SparkContext._gateway is None:
        _start_jvm(settings, log)
    builder = SparkSession.builder
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    ship_package(session.sparkContext)
    return session


def _start_jvm(settings: Mapping[str, str], log: str) -> None:
    """Start the JVM and its context; what it says goes to a file."""
    conf = SparkConf(loadDefaults=False)
    for key, value in settings.items():
        conf.set(key, value)
    with Path(log).open("ab") as chatter:
        gateway = launch_gateway(conf, popen_kwargs={"stderr": chatter})  # type: ignore[no-untyped-call]
        SparkContext(conf=conf, gateway=gateway)


def _new_log() -> str:
    descriptor, log = tempfile.mkstemp(prefix="retail-clusters-spark-", suffix=".log")
    os.close(descriptor)
    atexit.register(_remove_unless_named, log)
    return log


def _remove_unless_named(log: str) -> None:
    if log not in _named_logs:
        Path(log).unlink(missing_ok=True)


@contextmanager
def _log_named_on_failure(log: str) -> Iterator[None]:
    try:
        yield
    except RetailClustersError:
        raise
    except Exception as failure:
        failure.add_note(f"Spark's own log: {log}")
        _named_logs.add(log)
        raise
    finally:
        _remove_unless_named(log)
