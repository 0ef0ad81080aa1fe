"""Spark's settings that may decide what is read, or how a value is parsed: the same whatever the configuration says.

Each `spark.sql` setting has the value that Spark itself gives it, but for those that tune; two have ours.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pyspark.sql import SparkSession

#: Days are days in UTC, so each has 24 hours; what overflows or cannot be cast is an error.
OURS: Final = {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "true"}

#: What changes how fast something is done and where it is kept, and not what comes of it.
_TUNING: Final = re.compile(
    r"spark\.sql\.(adaptive|autoBroadcast|broadcast|catalog|codegen|defaultSizeInBytes|extensions|files\.(max|min|open)"
    r"|execution\.arrow\.(pyspark|maxRecords)|globalTempDatabase|hive|inMemory|join|limit|maven|optimizer"
    r"|parquet\.(columnarReaderBatchSize|compression|output)|python|queryExecutionListeners|shuffle|sort"
    r"|sources\.(bucketing|commitProtocol|outputCommitter|parallel)|statistics|streaming|thrift|ui|warehouse|window)"
)
#: Hadoop's: a line that is cut or left out, files that are left out, packed files that are taken for plain text.
HADOOP: Final = (
    "mapreduce.input.linerecordreader.line.maxlength",
    "mapreduce.input.pathFilter.class",
    "io.compression.codecs",
)


def is_fixed(key: str) -> bool:
    """Tell whether a setting of Spark's is the same in every session."""
    return key.startswith("spark.sql.") and not _TUNING.match(key)


def fix(session: SparkSession) -> None:
    """Give a session the fixed settings."""
    conf = session.conf
    for key in conf.getAll:
        if is_fixed(key) and key not in OURS and conf.isModifiable(key):
            conf.unset(key)
    for key, value in OURS.items():
        conf.set(key, value)
    hadoop = _hadoop(session)
    for key in HADOOP:
        hadoop.unset(key)


@contextmanager
def fixed(session: SparkSession) -> Iterator[None]:
    """Give a session of others the fixed settings, and give it back as it was."""
    conf, hadoop = session.conf, _hadoop(session)
    before = {key: value for key, value in conf.getAll.items() if is_fixed(key) and conf.isModifiable(key)}
    of_hadoop = {key: value for key in HADOOP if (value := hadoop.get(key)) is not None}
    try:
        fix(session)
        yield
    finally:
        for key in OURS.keys() - before.keys():
            conf.unset(key)
        for key, value in before.items():
            conf.set(key, value or "")
        for key, value in of_hadoop.items():
            hadoop.set(key, value)


def _hadoop(session: SparkSession) -> Any:
    java: Any = session.sparkContext._jsc
    return java.hadoopConfiguration()
