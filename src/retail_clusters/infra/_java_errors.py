"""Exceptions that come out of the JVM, told as errors of this project."""

from typing import Final

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PySparkException

from retail_clusters.errors import InputError, RetailClustersError, StorageError
from retail_clusters.infra.locations import for_display

_UNUSABLE: Final = frozenset(
    {
        "AccessControlException",
        "AccessDeniedException",
        "FileAlreadyExistsException",
        "FileNotFoundException",
        "IllegalArgumentException",
        "InvalidPathException",
        "NotDirectoryException",
        "ParentNotDirectoryException",
        "PathIsNotEmptyDirectoryException",
        "PathPermissionException",
        "UnsupportedFileSystemException",
        "UnknownHostException",
    }
)


def failure(location: str, error: Exception) -> RetailClustersError | None:
    """Return what to raise for an exception that came out of the JVM; None for any other."""
    if not isinstance(error, (Py4JError, PySparkException)):
        return None
    kind, reason = named(error)
    if kind in _UNUSABLE:
        return InputError(
            f"a location must be one that can be used, but {for_display(location)} gave: {for_display(reason)}"
        )
    return StorageError(
        f"a store must do as it is asked, but at {for_display(location)} got: {for_display(reason)}"
    )


def named(error: Exception) -> tuple[str, str]:
    """Return the simple name of a Java exception, and its own words."""
    if isinstance(error, Py4JJavaError):
        kind = str(error.java_exception.getClass().getSimpleName())
        return kind, f"{kind}: {error.java_exception.getMessage()}"
    first = str(error).strip().splitlines()[0] if str(error).strip() else ""
    return type(error).__name__, first or type(error).__name__
