"""The settings of a Spark session: the user's own, in Spark's order, and defaults where those are silent."""

import os
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Final

import pyspark
from pyspark import SparkConf, SparkContext

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
#: Local files without a checksum beside each, whose name may not hold a colon, and whose writing and renaming
#: each takes processes of their own: for every file that it makes, Hadoop starts `chmod`.
WITHOUT_CHECKSUMS: Final = {
    "fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "fs.file.impl.disable.cache": "true",
}
_MASTER: Final = "spark.master"
#: How finely a shuffle is cut before adaptive execution joins the pieces. Spark's 200 are made for clusters.
_FIRST_CUT: Final = "spark.sql.adaptive.coalescePartitions.initialPartitionNum"
_PIECES_PER_CORE: Final = 4
_JAVA_OPTIONS: Final = "spark.driver.defaultJavaOptions"


def master() -> str:
    """Return SPARK_MASTER, else the master of spark-submit or spark-defaults.conf, else `local[*]`."""
    return os.environ.get("SPARK_MASTER") or _configured().get(_MASTER, "local[*]")


def settings(*, java_options: str = "") -> dict[str, str]:
    """Return the master, and what a session is built with where the user's own configuration is silent."""
    configured = _configured()
    defaults = _DEFAULTS | ({_JAVA_OPTIONS: java_options} if java_options else {})
    if is_one_machine(master()):
        defaults |= {_FIRST_CUT: str(_PIECES_PER_CORE * (os.cpu_count() or 1))}
    return {key: value for key, value in defaults.items() if key not in configured} | {_MASTER: master()}


def is_one_machine(master: str) -> bool:
    """Tell whether driver and executors of a master are on this machine, so that loopback reaches them."""
    return master.startswith("local")


def is_one_process(master: str | None) -> bool:
    """Tell whether executors are this driver's own process, with all that it can import."""
    return re.match(r"local(\[|$)", master or "") is not None


def _configured() -> dict[str, str]:
    """Collect what the user has set: spark-defaults.conf, then the arguments of spark-submit."""
    return _spark_defaults() | _submitted()


def _submitted() -> dict[str, str]:
    """Read the arguments of the spark-submit that started this process, or that it is to start a JVM with."""
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        SparkContext._ensure_initialized()
        return dict(SparkConf().getAll())
    words = shlex.split(os.environ.get("PYSPARK_SUBMIT_ARGS", ""))
    pairs = list(pairwise(words))
    found = dict(value.split("=", 1) for word, value in pairs if word in {"--conf", "-c"} and "=" in value)
    masters = [value for word, value in pairs if word == "--master"]
    return found | ({_MASTER: masters[-1]} if masters else {})


def _spark_defaults() -> dict[str, str]:
    """Read the user's spark-defaults.conf, as spark-submit finds it."""
    home = os.environ.get("SPARK_HOME", Path(pyspark.__file__).parent)
    file = Path(os.environ.get("SPARK_CONF_DIR", Path(home, "conf")), "spark-defaults.conf")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    pairs = [re.split(r"[\s=]+", line.strip(), maxsplit=1) for line in lines if not line.startswith("#")]
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
