"""Files that Hadoop's FileSystem reaches, through the JVM of the active Spark session.

So schemes, credentials and mount tables are Spark's own. A call into the JVM costs a fifth of a millisecond:
a folder is listed in a score of calls, however many files it holds.
"""

import time
from functools import cache
from typing import Any, BinaryIO, Final

from py4j.protocol import Py4JJavaError
from pyspark import SparkContext

from retail_clusters.errors import InputError, StorageError
from retail_clusters.infra._file_status import FileStatus
from retail_clusters.infra._java_streams import read_stream, write_stream
from retail_clusters.infra.locations import for_display, join, name, scheme, to_uri

_STATUS: Final = "org.apache.hadoop.fs.FileStatus"


class HadoopFiles:
    """Every file system that Spark knows."""

    def check(self, location: str) -> None:
        """Refuse a scheme that Spark does not know, and a store that it cannot address."""
        try:
            _jvm().org.apache.hadoop.fs.FileSystem.getFileSystemClass(scheme(location), _configuration())
        except Py4JJavaError as unknown:
            raise InputError(
                f"a location's scheme must be one that Spark knows, but got {for_display(location)}: "
                "correct it, or add the scheme's jar to Spark (spark.jars.packages)"
            ) from unknown
        _file_system(location)

    def status(self, location: str) -> FileStatus | None:
        """Return what is known of a file or folder; None when there is none."""
        try:
            found = _file_system(location).getFileStatus(_path(location))
        except Py4JJavaError as absent:
            if _is_a(absent, "FileNotFoundException"):
                return None
            raise
        return FileStatus(location, found.getLen(), found.getModificationTime(), found.isDirectory())

    def entries(self, folder: str) -> list[FileStatus]:
        """List what is in a folder, in no order."""
        iterator = _file_system(folder).listStatusIterator(_path(folder))
        found = _jvm().org.apache.hadoop.util.functional.RemoteIterators.toList(iterator)
        paths = _column(found, "getPath", "org.apache.hadoop.fs.Path")
        lengths = _column(found, "getLen", "long")
        times = _column(found, "getModificationTime", "long")
        folders = _column(found, "isDirectory", "boolean")
        return [
            FileStatus(join(folder, name(path)), int(length), int(modified), is_folder == "true")
            for path, length, modified, is_folder in zip(paths, lengths, times, folders, strict=True)
        ]

    def identity(self, folder: str) -> object:
        """Return the folder's own name: links are no matter of a remote store."""
        return to_uri(folder)

    def glob(self, pattern: str) -> list[str]:
        """List the locations that match a pattern."""
        found = _file_system(pattern).globStatus(_path(pattern))
        return [status.getPath().toString() for status in found or []]

    def open_read(self, location: str) -> BinaryIO:
        """Open a file as a stream of bytes."""
        return read_stream(_file_system(location).open(_path(location)))

    def open_append(self, location: str) -> BinaryIO:
        """Open a file for bytes behind those that are there, where the store can."""
        if self.status(location) is None:
            return self.open_new(location)
        return write_stream(_file_system(location).append(_path(location)))

    def open_new(self, location: str) -> BinaryIO:
        """Open a new or emptied file for bytes."""
        return write_stream(_file_system(location).create(_path(location), True))

    def replace(self, draft: str, place: str) -> None:
        """Put a file in the place of another in one step."""
        self._rename(draft, place, "OVERWRITE")

    def create_exclusive(self, location: str, content: bytes) -> bool:
        """Write a file if there is none; two at once are told apart as well as the store can."""
        try:
            stream = write_stream(_file_system(location).create(_path(location), False))
        except Py4JJavaError as refused:
            if _is_a(refused, "FileAlreadyExistsException") or self.status(location):
                return False
            raise
        with stream:
            stream.write(content)
        return True

    def rename(self, source: str, target: str) -> None:
        """Move a file or folder to a place where nothing is."""
        self._rename(source, target, "NONE")

    def exchange(self, one: str, other: str) -> bool:  # noqa: ARG002 - as every kind of store
        """Return False: Hadoop knows no such step."""
        return False

    def remove(self, location: str) -> None:
        """Remove a file, or a folder and all in it, if there is one."""
        _file_system(location).delete(_path(location), True)

    def make_folder(self, location: str) -> None:
        """Make a folder and those above it, if they are not there."""
        if not _file_system(location).mkdirs(_path(location)):
            raise StorageError(f"a folder could not be made at {location}")

    def touch(self, location: str) -> None:
        """Set a file's modification time to now; make an empty one if there is none."""
        if self.status(location) is None:
            self.create_exclusive(location, b"")
        else:
            _file_system(location).setTimes(_path(location), time.time_ns() // 1_000_000, -1)

    def sync(self, location: str) -> None:
        """Do nothing: what is closed is the store's to keep."""

    def _rename(self, source: str, target: str, option: str) -> None:
        options = getattr(_jvm().org.apache.hadoop.fs, "Options$Rename")
        chosen = _gateway().new_array(options, 1)
        chosen[0] = getattr(options, option)
        root = _path(target).toUri().resolve("/").toString()
        _file_context(_jvm(), root).rename(_path(source), _path(target), chosen)


def _context() -> Any:
    context = SparkContext._active_spark_context
    if context is None:
        raise StorageError(
            "a location with a scheme is reached through Spark, but no session is open: open one"
        )
    return context


def _jvm() -> Any:
    return _context()._jvm


def _gateway() -> Any:
    return _context()._gateway


def _configuration() -> Any:
    return _context()._jsc.hadoopConfiguration()


def _path(location: str) -> Any:
    return _jvm().org.apache.hadoop.fs.Path(location)


def _file_system(location: str) -> Any:
    return _path(location).getFileSystem(_configuration())


@cache
def _file_context(jvm: Any, root: str) -> Any:
    """Open Hadoop's other interface, the one whose rename can replace a file in one step."""
    uri = jvm.org.apache.hadoop.fs.Path(root).toUri()
    return jvm.org.apache.hadoop.fs.FileContext.getFileContext(uri, _configuration())


def _is_a(error: Py4JJavaError, simple_name: str) -> bool:
    return bool(error.java_exception.getClass().getSimpleName() == simple_name)


def _column(statuses: Any, getter: str, result: str) -> list[str]:
    """Read one property of each status, all of them in one string."""
    values = _jvm().java.util.ArrayList(statuses)
    values.replaceAll(_operator(_jvm(), getter, result))
    joined: str = _jvm().java.lang.String.join("\0", values)
    return joined.split("\0") if len(values) else []


@cache
def _operator(jvm: Any, getter: str, result: str) -> Any:
    """Make a Java function from a status to a property of it as text."""
    java = jvm.java.lang
    primitive = {"long": java.Long.TYPE, "boolean": java.Boolean.TYPE}
    text, whole = java.Class.forName("java.lang.String"), java.Class.forName("java.lang.Object")
    of = java.invoke.MethodType.methodType
    kind = primitive[result] if result in primitive else java.Class.forName(result)
    lookup = java.invoke.MethodHandles.publicLookup()
    get = lookup.findVirtual(java.Class.forName(_STATUS), getter, of(kind))
    show = lookup.findStatic(text, "valueOf", of(text, whole)).asType(of(text, kind))
    return java.invoke.MethodHandleProxies.asInterfaceInstance(
        java.Class.forName("java.util.function.UnaryOperator"),
        java.invoke.MethodHandles.filterReturnValue(get, show),
    )
