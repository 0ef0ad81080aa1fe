"""Spark's settings that decide what is read, or how a value is parsed: the same whatever the configuration says.

Those of a family, and those named one by one, have the value that Spark itself gives them; two have ours. What
else there is changes how fast something is done, or is about what nothing here uses. A test holds the list to all
settings of the installed version.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pyspark.sql import SparkSession

#: Days are days in UTC, so each has 24 hours; what overflows or cannot be cast is an error.
OURS: Final = {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "true"}

_FAMILIES: Final = (
    "analyzer", "ansi", "charAsVarchar", "collation", "csv", "datetime", "decimalOperations", "files", "function",
    "functionResolution", "icu", "legacy", "lateralColumnAlias", "parquet", "parser", "pyspark.infer", "pyspark.legacy",
    "streaming.fileSource.schema",
)  # fmt: skip
_SINGLE: Final = (
    "allowNamedFunctionArguments", "caseSensitive", "columnNameOfCorruptRecord", "execution.arrow.useLargeVarTypes",
    "execution.datasources.hadoopLineRecordReader.enabled", "execution.pandas.convertToArrowArraySafely",
    "execution.pandas.inferPandasDictAsMap", "execution.pandas.structHandlingMode", "execution.pyspark.binaryAsBytes",
    "groupByAliases", "groupByOrdinal", "mapKeyDedupPolicy", "orderByOrdinal", "preserveCharVarcharTypeInfo",
    "prioritizeOrdinalResolutionInSort.enabled", "readSideCharPadding", "retainGroupColumns",
    "runCollationTypeCastsBeforeAliasAssignment.enabled", "session.timeZone", "sources.binaryFile.maxLength",
    "sources.partitionColumnTypeInference.enabled", "sources.useV1SourceList", "sources.validatePartitionColumns",
    "stableDerivedColumnAlias.enabled", "storeAssignmentPolicy", "streaming.schemaInference", "timeType.enabled",
    "timestampNanosTypes.enabled", "timestampType", "variable.substitute",
)  # fmt: skip
#: How files are cut into tasks, and how much is packed into one.
_FREE: Final = (
    "files.maxPartitionBytes", "files.maxPartitionNum", "files.minPartitionNum", "files.openCostInBytes",
    "files.maxRecordsPerFile", "parquet.columnarReaderBatchSize", "parquet.compression.codec",
    "parquet.output.committer.class", "parser.manageParserCaches", "parser.parserDfaCacheFlushRatio",
    "parser.parserDfaCacheFlushThreshold", "analyzer.maxIterations",
)  # fmt: skip
_FIXED: Final = re.compile(
    rf"spark\.sql\.(?!(?:{'|'.join(map(re.escape, _FREE))})$)"
    rf"(?:(?:{'|'.join(map(re.escape, _FAMILIES))})(?:\.|[A-Z]|$)|(?:{'|'.join(map(re.escape, _SINGLE))})$)"
)
#: Hadoop's: a line that is cut or left out, files that are left out, packed files that are taken for plain text.
HADOOP: Final = (
    "mapreduce.input.linerecordreader.line.maxlength",
    "mapreduce.input.pathFilter.class",
    "io.compression.codecs",
)


def is_fixed(key: str) -> bool:
    """Tell whether a setting of Spark's is the same in every session."""
    return _FIXED.match(key) is not None


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
    before = {key: value for key, value in conf.getAll.items() if is_fixed(key)}
    of_hadoop = {key: value for key in HADOOP if (value := hadoop.get(key)) is not None}
    try:
        fix(session)
        yield
    finally:
        for key in OURS.keys() - before.keys():
            conf.unset(key)
        for key, value in before.items():
            if conf.isModifiable(key):
                conf.set(key, value or "")
        for key, value in of_hadoop.items():
            hadoop.set(key, value)


def _hadoop(session: SparkSession) -> Any:
    java: Any = session.sparkContext._jsc
    return java.hadoopConfiguration()
