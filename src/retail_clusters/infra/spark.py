"""The one Spark session: adopted where there is one, else built here, and then stopped here."""

import atexit
import locale
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

import pyspark
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException
from pyspark.java_gateway import launch_gateway
from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession

import retail_clusters
from retail_clusters.errors import InputError, RetailClustersError
from retail_clusters.infra import class_archive, fixed_settings

JAVA_NEEDED: Final = 17
#: Options of a JVM that is started here.
JAVA_OPTIONS = class_archive.options()
#: Those of one that ends before Java's second compiler, which competes for the cores, has paid off.
SHORT_LIVED: Final = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m"

#: What holds where the user's configuration is silent.
#: "Debugging" notes the Python line that made each column, at five calls into the JVM a column: as much as
#: the rest of building a query. Adaptive execution reads small shuffles as one partition, those into the
#: cache too; with "parallelism first" it would cut a thousand rows into as many tasks as there are cores.
#: The cache of file listings is never asked again for files that are named, and a stream fills it: a kilobyte
#: and more for each file that a batch reads. A shuffle that brings nothing is not cut out of a plan, for with
#: it goes what was observed before it: without a good line there would be no count of bad ones.
_DEFAULTS: Final = {
    "spark.driver.memory": "4g",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.scheduler.mode": "FAIR",
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
    "spark.sql.adaptive.optimizer.excludedRules": (
        "org.apache.spark.sql.execution.adaptive.AQEPropagateEmptyRelation"
    ),
    "spark.sql.optimizer.canChangeCachedPlanOutputPartitioning": "true",
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "10000",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.hive.filesourcePartitionFileCacheSize": "0",
}
#: How finely a shuffle is cut before adaptive execution joins the pieces. Spark's 200 are made for clusters.
_FIRST_CUT: Final = "spark.sql.adaptive.coalescePartitions.initialPartitionNum"
_PIECES_PER_CORE: Final = 4
#: Local files without a checksum beside each, whose name may not hold a colon, and whose writing and renaming
#: each takes processes of their own: for every file that it makes, Hadoop starts `chmod`.
WITHOUT_CHECKSUMS: Final = {
    "fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "fs.file.impl.disable.cache": "true",
}


@dataclass(frozen=True)
class _Started:
    """A session that is being started, and the file that Spark's chatter goes to."""

    log: str
    session: Future[SparkSession] = field(default_factory=Future)


_early: list[_Started] = []
_shipped: set[str] = set()


def start_session_early(name: str, *, short_lived: bool = False) -> None:
    """Begin to start a session in the background; the next `spark_session` waits for it and takes it.

    Meanwhile the caller may import what it needs. Nothing happens where a session is there already. A JVM
    that is `short_lived` compiles once, and quickly.
    """
    if _early or SparkContext._active_spark_context is not None:
        return
    started = _Started(_new_log())
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
    start_session_early(name)
    if not _early:
        with _adopted() as spark:
            yield spark
        return
    started = _early.pop()
    with _log_named_on_failure(started.log):
        started.session.result()
        spark = SparkSession.builder.getOrCreate()  # in this thread, which is to be the session's own
        try:
            yield spark
        finally:
            spark.stop()


def small_session(spark: SparkSession) -> SparkSession:
    """Return a session of its own for a stream over small files: one shuffle partition, one state store.

    Adaptive execution, which finds their number elsewhere, is not for streams. All else is set as it is in
    `spark`, such as the keys to a store.
    """
    session = spark.newSession()
    fresh = session.conf.getAll
    for key, value in spark.conf.getAll.items():
        if fresh.get(key) != value:
            session.conf.set(key, value)
    fixed_settings.fix(session)
    session.conf.set("spark.sql.shuffle.partitions", "1")
    return session


@contextmanager
def saying_what_is_wrong(rule: str) -> Iterator[None]:
    """Turn what Spark finds wrong with SQL into one line, which begins with the rule.

    Raises:
        InputError: says what Spark says.
    """
    log = PySparkLogger.getLogger("SQLQueryContextLogger")  # would show the stack trace of wrong SQL
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    except PySparkException as wrong:
        said = re.split(r"SQLSTATE|\n\n|; line|\(line", str(wrong).strip())[0]
        raise InputError(f"{rule}, but Spark says: {' '.join(said.split())[:400]}") from wrong
    finally:
        log.setLevel(level)


def master() -> str:
    """Return SPARK_MASTER, else the master of spark-submit or spark-defaults.conf, else `local[*]`."""
    return os.environ.get("SPARK_MASTER") or _configured().get("spark.master", "local[*]")


def settings(*, java_options: str = "") -> dict[str, str]:
    """Return the master, and what a session is built with where the user's own configuration is silent."""
    configured, defaults = _configured(), dict(_DEFAULTS)
    if java_options:
        defaults["spark.driver.defaultJavaOptions"] = java_options
    if is_one_machine(master()):
        defaults[_FIRST_CUT] = str(_PIECES_PER_CORE * (os.cpu_count() or 1))
    if os.environ.get("SPARK_DRIVER_MEMORY"):
        del defaults["spark.driver.memory"]
    return {key: value for key, value in defaults.items() if key not in configured} | {
        "spark.master": master()
    }


def is_one_machine(master: str) -> bool:
    """Tell whether driver and executors of a master are on this machine, so that loopback reaches them."""
    return master.startswith("local")


def check_java() -> None:
    """Refuse to go on without the Java that Spark needs; under spark-submit it runs already.

    Raises:
        InputError: there is no Java, or an older one than 17.
    """
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        return
    home = os.environ.get("JAVA_HOME")
    _check_java(str(Path(home, "bin", "java")) if home else shutil.which("java"))


@cache
def _check_java(java: str | None) -> None:
    hint = "install one (Debian: apt-get install openjdk-17-jre-headless) or set JAVA_HOME"
    try:
        banner = subprocess.run([java or "java", "-version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as missing:
        raise InputError(f"Spark needs Java {JAVA_NEEDED} or newer, but found none: {hint}") from missing
    found = re.search(r'version "(?:1\.)?(\d+)', banner.stderr + banner.stdout)
    if not found or int(found[1]) < JAVA_NEEDED:
        version = found[1] if found else "an unknown version"
        raise InputError(f"Spark needs Java {JAVA_NEEDED} or newer, but {java} is Java {version}: {hint}")


def check_spark_home() -> None:
    """Refuse a SPARK_HOME that names no Spark.

    Raises:
        InputError: says what it names.
    """
    home = os.environ.get("SPARK_HOME")
    if not home:
        return
    if not Path(home, "bin", "spark-submit").is_file():
        raise InputError(
            f"SPARK_HOME must be the folder of a Spark, but {home} has no bin/spark-submit: "
            "unset it, and that of pyspark is taken"
        )


@contextmanager
def _adopted() -> Iterator[SparkSession]:
    """Lend the session that is there, with what results rest on, and give it back as it was."""
    spark = SparkSession.builder.getOrCreate()
    with fixed_settings.fixed(spark):
        _ship_package(spark.sparkContext)
        yield spark


def _start(started: _Started, name: str, java_options: str) -> None:
    try:
        started.session.set_result(_build(name, started.log, java_options))
    except BaseException as failure:
        started.session.set_exception(failure)


def _build(name: str, log: str, java_options: str) -> SparkSession:
    check_java()
    check_spark_home()
    named = {"spark.app.name": f"retail-clusters {name}"}
    chosen = settings(java_options=java_options) | fixed_settings.OURS | named
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if locale.getencoding().lower().replace("-", "") != "utf8":
        os.environ["LC_ALL"] = (
            "C.UTF-8"  # Java names files in the locale, and no option of its says otherwise
        )
    if is_one_machine(chosen["spark.master"]):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    if SparkContext._gateway is None:
        _start_jvm(chosen, log)
    builder = SparkSession.builder
    for key, value in chosen.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    fixed_settings.fix(session)
    _ship_package(session.sparkContext)
    return session


def _start_jvm(chosen: Mapping[str, str], log: str) -> None:
    """Start the JVM and its context; what it says goes to a file."""
    conf = SparkConf(loadDefaults=False)
    for key, value in chosen.items():
        conf.set(key, value)
    with Path(log).open("ab") as chatter:
        gateway = launch_gateway(conf, popen_kwargs={"stderr": chatter})  # type: ignore[no-untyped-call]
        SparkContext(conf=conf, gateway=gateway)


def _ship_package(context: SparkContext) -> None:
    """Send this package to executors, whose functions import it, once; those of a local master have it."""
    source = Path(retail_clusters.__file__).parent
    shipped = context.applicationId in _shipped or re.match(r"local(\[|$)", context.master or "")
    if shipped or not source.is_dir():
        return  # not a folder: the package runs from an archive that spark-submit has sent
    _shipped.add(context.applicationId)
    folder = Path(tempfile.mkdtemp(prefix="retail-clusters-package-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    name = str(folder / "retail_clusters")
    context.addPyFile(shutil.make_archive(name, "zip", root_dir=source.parent, base_dir=source.name))


def _configured() -> dict[str, str]:
    """Collect what the user has set: spark-defaults.conf, then the arguments of spark-submit.

    That is the spark-submit which started this process, or which a JVM is to be started with.
    """
    home = os.environ.get("SPARK_HOME", Path(pyspark.__file__).parent)
    file = Path(os.environ.get("SPARK_CONF_DIR", Path(home, "conf")), "spark-defaults.conf")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    pairs = [re.split(r"[\s=]+", line.strip(), maxsplit=1) for line in lines if not line.startswith("#")]
    defaults = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        SparkContext._ensure_initialized()
        return defaults | dict(SparkConf().getAll())
    given = list(pairwise(shlex.split(os.environ.get("PYSPARK_SUBMIT_ARGS", ""))))
    submitted = dict(
        value.split("=", 1) for word, value in given if word in {"--conf", "-c"} and "=" in value
    )
    masters = [value for word, value in given if word == "--master"]
    return defaults | submitted | ({"spark.master": masters[-1]} if masters else {})


def _new_log() -> str:
    descriptor, log = tempfile.mkstemp(prefix="retail-clusters-spark-", suffix=".log")
    os.close(descriptor)
    atexit.register(Path(log).unlink, missing_ok=True)
    return log


@contextmanager
def _log_named_on_failure(log: str) -> Iterator[None]:
    try:
        yield
    except RetailClustersError:
        raise
    except Exception as failure:
        kept = Path(log).rename(
            log.removesuffix(".log") + "-failed.log"
        )  # a name that is not removed at the end
        failure.add_note(f"Spark's own log: {kept}")
        raise
    finally:
        Path(log).unlink(missing_ok=True)
