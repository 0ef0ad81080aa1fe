"""The one Spark session, and the check that there is a Java to run it."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyspark
from pyspark.sql import SparkSession

from retail_clusters.errors import InputError, RetailClustersError

JAVA_NEEDED: Final = 17

#: What holds unless Spark's own configuration says otherwise. "Debugging" notes the Python line that made
#: each column, at five calls into the JVM a column: as much as the rest of building a query.
_DEFAULTS: Final = {
    "spark.driver.memory": "4g",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.scheduler.mode": "FAIR",
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    "spark.sql.shuffle.partitions": "8",
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "10000",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
}

#: What results rest on, whatever the configuration says. Days are days in UTC, so each has 24 hours.
_FIXED: Final = {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "true"}


def check_java() -> None:
    """Refuse to go on without the Java that Spark needs.

    Raises:
        InputError: there is no Java, or an older one than 17.
    """
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java")
    hint = "install one (Debian: apt-get install openjdk-17-jre-headless) or set JAVA_HOME"
    try:
        banner = subprocess.run([java or "java", "-version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as missing:
        raise InputError(f"Spark needs Java {JAVA_NEEDED} or newer, but found none: {hint}") from missing
    found = re.search(r'version "(?:1\.)?(\d+)', banner.stderr + banner.stdout)
    if not found or int(found[1]) < JAVA_NEEDED:
        version = found[1] if found else "an unknown version"
        raise InputError(f"Spark needs Java {JAVA_NEEDED} or newer, but {java} is Java {version}: {hint}")


@contextmanager
def spark_session(name: str) -> Iterator[SparkSession]:
    """Open the session for one job and close it after; Spark's chatter goes to a log file.

    `SPARK_MASTER` names the master (default `local[*]`); spark-defaults.conf and Spark's environment
    variables are honoured. The log is removed when the job ends well, and named when it does not.
    """
    check_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1") if _is_local() else None
    descriptor, log = tempfile.mkstemp(prefix="retail-clusters-spark-", suffix=".log")
    with _stderr_to(descriptor):
        spark = _build(name)
    try:
        yield spark
    except RetailClustersError:
        Path(log).unlink(missing_ok=True)
        raise
    except Exception as failure:
        failure.add_note(f"Spark's own log: {log}")
        raise
    else:
        Path(log).unlink(missing_ok=True)
    finally:
        spark.stop()


def _is_local() -> bool:
    return os.environ.get("SPARK_MASTER", "local").startswith("local")


def _build(name: str) -> SparkSession:
    configured = _spark_defaults()
    settings = {key: value for key, value in _DEFAULTS.items() if key not in configured} | _FIXED
    builder = SparkSession.builder.appName(f"retail-clusters {name}")
    master = os.environ.get("SPARK_MASTER")
    if master or "spark.master" not in configured:
        builder = builder.master(master or "local[*]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def _spark_defaults() -> dict[str, str]:
    """Read the user's spark-defaults.conf, as spark-submit finds it."""
    home = os.environ.get("SPARK_HOME", Path(pyspark.__file__).parent)
    file = Path(os.environ.get("SPARK_CONF_DIR", Path(home, "conf")), "spark-defaults.conf")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    pairs = [re.split(r"[\s=]+", line.strip(), maxsplit=1) for line in lines if not line.startswith("#")]
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


@contextmanager
def _stderr_to(descriptor: int) -> Iterator[None]:
    """Let a process that starts inside inherit `descriptor` as its stderr."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        os.dup2(descriptor, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(descriptor)
