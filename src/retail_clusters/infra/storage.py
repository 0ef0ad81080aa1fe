"""Files and folders at any location: the one module that lists, reads, writes, renames and removes them.

A location without a scheme, or with `file:`, is on this machine's disks and needs no Spark; every other goes
through the file systems of the active Spark session. Failures are errors of this project, in one line.
"""

import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import BinaryIO, Final, cast

from retail_clusters.errors import InputError
from retail_clusters.infra._file_status import FileStatus
from retail_clusters.infra._stores import store_of
from retail_clusters.infra.locations import for_display, is_object_store, join, name, parent

__all__ = ["FileStatus"]

_DRAFT: Final = ".writing-"
_SPOOL: Final = 1 << 24


def check(location: str) -> None:
    """Refuse a location that no file can be at, before anything is computed.

    Raises:
        InputError: it is empty, its scheme is unknown to Spark, or its store cannot be addressed.
    """
    if not location.strip():
        raise InputError("a location is a path or a URI, but got an empty one: name a file or folder")
    with store_of(location) as files:
        files.check(location)


def status(location: str) -> FileStatus | None:
    """Return what is known of a file or folder, links followed; None when there is none."""
    with store_of(location) as files:
        return files.status(location)


def exists(location: str) -> bool:
    """Tell whether there is a file or folder."""
    return status(location) is not None


def is_file(location: str) -> bool:
    """Tell whether there is a file."""
    found = status(location)
    return found is not None and not found.is_folder


def is_folder(location: str) -> bool:
    """Tell whether there is a folder."""
    found = status(location)
    return found is not None and found.is_folder


def list_files(
    folder: str, *, recursive: bool = False, suffixes: Sequence[str] = (), hidden: bool = False
) -> list[FileStatus]:
    """List the files of a folder by name, those that Spark counts as hidden (`_name`, `.name`) if asked.

    Links are followed, each folder is listed once. A name that is not UTF-8 is in the list, with
    surrogates in place of its odd bytes (`locations.is_utf8` finds it).

    Raises:
        InputError: there is no such folder, or it cannot be read.
    """
    found, waiting, seen = list[FileStatus](), [folder], set[object]()
    while waiting:
        here = waiting.pop(0)
        with store_of(here) as files:
            if (identity := files.identity(here)) in seen:
                continue
            seen.add(identity)
            visible = [
                entry
                for entry in files.entries(here)
                if hidden or not name(entry.location).startswith((".", "_"))
            ]
        found += [entry for entry in visible if not entry.is_folder]
        if recursive:
            waiting += sorted(entry.location for entry in visible if entry.is_folder)
    ends = tuple(suffixes) or ("",)
    return sorted((file for file in found if file.location.endswith(ends)), key=attrgetter("location"))


def identity(location: str) -> object:
    """Return what all names of one file or folder have in common."""
    with store_of(location) as files:
        return files.identity(location)


def list_folders(folder: str) -> list[str]:
    """List the folders in a folder by name, hidden ones too."""
    with store_of(folder) as files:
        return sorted(entry.location for entry in files.entries(folder) if entry.is_folder)


def expand(pattern: str) -> list[str]:
    """List by name what matches a pattern (`*`, `?`, `[...]`); what is there by that very name wins."""
    if exists(pattern):
        return [pattern]
    with store_of(pattern) as files:
        return sorted(files.glob(pattern))


def total_length(pattern: str) -> int:
    """Add up the bytes of the files that match a pattern, or lie in folders that do."""
    found = filter(None, map(status, expand(pattern)))
    files = (list_files(each.location, recursive=True) if each.is_folder else [each] for each in found)
    return sum(file.length for part in files for file in part)


@contextmanager
def open_read(location: str) -> Iterator[BinaryIO]:
    """Open a file as a stream of bytes; it can seek."""
    with store_of(location) as files:
        stream = files.open_read(location)
    with stream:
        yield stream


def read_bytes(location: str, *, offset: int = 0, limit: int = -1) -> bytes:
    """Return a file's bytes from `offset` on, at most `limit` of them unless it is negative."""
    with store_of(location), open_read(location) as stream:
        stream.seek(offset)
        return stream.read(limit)


def read_text(location: str) -> str:
    """Return a file's text, which is UTF-8."""
    try:
        return read_bytes(location).decode("utf-8")
    except UnicodeDecodeError as damaged:
        raise InputError(
            f"a text file must be UTF-8, but {for_display(location)} is not: {damaged}"
        ) from damaged


def find_text(location: str) -> str | None:
    """Return a file's text; None when there is no such file."""
    try:
        return read_text(location)
    except InputError:
        return read_text(location) if exists(location) else None


@contextmanager
def open_write(location: str) -> Iterator[BinaryIO]:
    """Open a stream of bytes that becomes the file, in place of an earlier one, if the block ends well.

    Until then a reader sees the earlier file, and so does one who comes after a kill or a power loss: on any
    store but a disk that is mounted under another scheme, where Hadoop removes the earlier file first.
    """
    if is_object_store(location):
        with tempfile.SpooledTemporaryFile(max_size=_SPOOL) as spool:
            yield cast(BinaryIO, spool)
            spool.seek(0)
            with store_of(location) as files, files.open_new(location) as stream:
                shutil.copyfileobj(spool, stream, _SPOOL)
        return
    draft = draft_beside(location)
    with store_of(location) as files:
        stream = files.open_new(draft)
    try:
        with stream:
            yield stream
        with store_of(location):
            files.replace(draft, location)
    except BaseException:
        with store_of(location):
            files.remove(draft)
        raise


@contextmanager
def open_append(location: str) -> Iterator[BinaryIO]:
    """Open a stream of bytes that go behind those of the file, as they come."""
    with store_of(location) as files:
        stream = files.open_append(location)
    with stream:
        yield stream


def write_bytes(location: str, content: bytes) -> None:
    """Put a file in place whole, or leave the earlier one."""
    with store_of(location), open_write(location) as stream:
        stream.write(content)


def write_text(location: str, text: str) -> None:
    """Put a text file in place whole, or leave the earlier one."""
    write_bytes(location, text.encode("utf-8"))


def rewrite_text(location: str, text: str) -> None:
    """Write a text file over one that is there: there always is one, but a reader may find half of it."""
    with store_of(location) as files, files.open_new(location) as stream:
        stream.write(text.encode("utf-8"))


def create_exclusive(location: str, text: str) -> bool:
    """Write a text file if there is none; tell whether it did.

    One of several processes succeeds on this machine's disks, HDFS, ABFS, GCS and S3 with conditional writes;
    a disk that is mounted under another scheme makes no such promise.
    """
    with store_of(location) as files:
        return files.create_exclusive(location, text.encode("utf-8"))


def make_folder(location: str) -> None:
    """Make a folder and those above it, if they are not there."""
    with store_of(location) as files:
        files.make_folder(location)


def touch(location: str) -> None:
    """Set a file's modification time to now; make an empty one if there is none."""
    with store_of(location) as files:
        files.touch(location)


def rename(source: str, target: str) -> None:
    """Move a file or folder, within one store, to a place where nothing is."""
    with store_of(source) as files:
        files.rename(source, target)


def remove(location: str) -> None:
    """Remove a file, a link, or a folder and all in it, if there is one."""
    with store_of(location) as files:
        files.remove(location)


def sync(location: str) -> None:
    """Make what is written in a file or folder survive a power loss."""
    with store_of(location) as files:
        files.sync(location)


def exchange(one: str, other: str) -> bool:
    """Swap two folders in one step; False, and nothing done, where the store cannot."""
    with store_of(one) as files:
        return files.exchange(one, other)


def draft_beside(location: str) -> str:
    """Return a new name beside a location, for what is to take its place; Spark does not see it."""
    return join(parent(location), f"{_DRAFT}{uuid.uuid4().hex}")


def remove_drafts(folder: str) -> None:
    """Remove what killed writers left in a folder; for one who is its only writer."""
    with store_of(folder) as files:
        left = [entry.location for entry in files.entries(folder) if name(entry.location).startswith(_DRAFT)]
    for draft in left:
        remove(draft)
