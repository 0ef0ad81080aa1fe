"""What the JVM makes of files on which other programs may differ: their names, and how they are packed."""

from collections.abc import Iterable
from typing import Any, Final

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from retail_clusters.errors import InputError
from retail_clusters.infra.locations import for_display, is_local, to_uri
from retail_clusters.infra.spark import WITHOUT_CHECKSUMS

_PIECE: Final = 1 << 16


def problem(spark: SparkSession, file: str) -> str | None:
    """Unpack a file to its end with the codec that Spark reads it with; return Java's words if that fails."""
    jvm: Any = spark._jvm
    conf = jvm.org.apache.hadoop.conf.Configuration(spark._jsc.hadoopConfiguration())
    for key, value in WITHOUT_CHECKSUMS.items() if is_local(file) else ():
        conf.set(key, value)
    path = jvm.org.apache.hadoop.fs.Path(to_uri(file))
    nowhere = jvm.java.io.OutputStream.nullOutputStream()
    try:
        codec = jvm.org.apache.hadoop.io.compress.CompressionCodecFactory(conf).getCodec(path)
        stream = codec.createInputStream(path.getFileSystem(conf).open(path))
        jvm.org.apache.hadoop.io.IOUtils.copyBytes(stream, nowhere, _PIECE, True)
    except Py4JJavaError as failure:
        return f"{failure.java_exception.getMessage() or failure.java_exception.getClass().getSimpleName()}"
    return None


def check_names(spark: SparkSession, files: Iterable[str]) -> None:
    """Refuse names of local files that the locale of a JVM, one that others have started, cannot say.

    Raises:
        InputError: names the locale and the first such file.
    """
    odd = next((file for file in files if is_local(file) and not file.isascii()), None)
    encoding = str(spark._jvm.System.getProperty("sun.jnu.encoding")) if odd else "UTF-8"  # type: ignore[union-attr]
    if encoding.upper() not in {"UTF-8", "UTF8"}:
        raise InputError(
            f"Spark names files in the locale of its JVM, which is {encoding} and has no {for_display(odd or '')}: "
            "set LC_ALL=C.UTF-8 where it is started"
        )
