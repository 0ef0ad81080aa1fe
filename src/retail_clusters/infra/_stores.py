"""Which store a location is on, and its failures told in one line."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Final

from retail_clusters.errors import InputError, RetailClustersError, StorageError
from retail_clusters.infra._file_status import Files
from retail_clusters.infra._local_files import LocalFiles
from retail_clusters.infra.locations import for_display, is_local

_LOCAL: Final = LocalFiles()
_UNUSABLE: Final = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR,
    errno.EEXIST, errno.ENOTEMPTY, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL,
}  # fmt: skip


@contextmanager
def store_of(location: str) -> Iterator[Files]:
    """Lend the store of a location, and tell what it fails at in one line."""
    try:
        yield _LOCAL if is_local(location) else _hadoop().HadoopFiles()
    except RetailClustersError:
        raise
    except OSError as failed:
        reason = failed.strerror or str(failed)
        if failed.errno in _UNUSABLE or isinstance(failed, FileExistsError):
            raise InputError(
                f"a location must be one that can be used, but {for_display(location)} gave: {reason}"
            ) from failed
        raise StorageError(
            f"a store must do as it is asked, but at {for_display(location)} got: {reason}"
        ) from failed
    except Exception as failed:
        told = None if is_local(location) else _java_errors().failure(location, failed)
        if told is None:
            raise
        raise told from failed


# Importing PySpark takes a while, and local files do not need it.


def _hadoop() -> ModuleType:
    return import_module("retail_clusters.infra._hadoop_files")


def _java_errors() -> ModuleType:
    return import_module("retail_clusters.infra._java_errors")
