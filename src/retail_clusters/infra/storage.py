"""Files and folders at any location, listed, read, written, renamed and removed by this module alone.

What is on this machine's disks needs no Spark. All else goes through Hadoop's FileSystem, in the JVM of the
active session, so schemes, credentials and mount tables are Spark's own. A failure is told in one line.
"""

import errno
import io
import os
import re
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from glob import glob
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from py4j.protocol import Py4JError, Py4JJavaError

from retail_clusters.errors import InputError, RetailClustersError, StorageError
from retail_clusters.infra.locations import (
    for_display,
    is_local,
    join,
    local_path,
    name,
    parent,
)

_DRAFT: Final = ".writing-"
#: Bytes that one call into the JVM carries.
_PIECE: Final = 1 << 20

#: Names of exceptions, of Python's and of Java's, that lie in the location; all others lie in the store.
_UNUSABLE: Final = re.compile(
    "Access|Permission|Exists|NotFound|NotADirectory|IsADirectory|NotDirectory|NotEmpty|InvalidPath"
    "|IllegalArgument|UnsupportedFile|UnknownHost"
)


@dataclass(frozen=True, slots=True)
class FileStatus:
    """A file: its length in bytes, and when it was last written, in milliseconds since 1970.

    `changed_ns` is the time of any change at all, which no program sets back, in nanoseconds; `identity` is
    what all names of one file have in common. 0 and None where a store does not tell.
    """

    location: str
    length: int
    modified_ms: int
    is_folder: bool = False
    changed_ns: int = 0
    identity: tuple[int, int] | None = None


def check(location: str) -> None:
    """Refuse a location that no file can be at, before anything is computed.

    Raises:
        InputError: it is empty, its scheme is unknown to Spark, or its store cannot be addressed.
    """
    if not location.strip():
        raise InputError("a location is a path or a URI, but got an empty one: name a file or folder")
    if is_local(location):
        return
    try:
        with _told(location):
            _hadoop(location)
    except RetailClustersError as unknown:
        raise InputError(
            f"a location's scheme must be one that Spark knows; {unknown}: "
            "correct it, or add the scheme's jar to Spark (spark.jars.packages)"
        ) from unknown


def status(location: str) -> FileStatus | None:
    """Return what is known of a file or folder, links followed; None when there is none."""
    with _told(location):
        if is_local(location):
            return _local_status(location)
        system, path = _hadoop(location)
        try:
            return _hadoop_status(location, system.getFileStatus(path))
        except Py4JJavaError as absent:
            if _kind(absent) == "FileNotFoundException":
                return None
            raise


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
    found, waiting, seen = list[FileStatus](), [folder], set[str]()
    while waiting:
        here = waiting.pop(0)
        identity = os.path.realpath(local_path(here)) if is_local(here) else here
        if identity in seen:
            continue
        seen.add(identity)
        visible = [
            entry for entry in _entries(here) if hidden or not name(entry.location).startswith((".", "_"))
        ]
        found += [entry for entry in visible if not entry.is_folder]
        if recursive:
            waiting += sorted(entry.location for entry in visible if entry.is_folder)
    ends = tuple(suffixes) or ("",)
    return sorted((file for file in found if file.location.endswith(ends)), key=attrgetter("location"))


def list_folders(folder: str) -> list[str]:
    """List the folders in a folder by name, hidden ones too."""
    return sorted(entry.location for entry in _entries(folder) if entry.is_folder)


def expand(pattern: str) -> list[str]:
    """List by name what matches a pattern (`*`, `?`, `[...]`); what is there by that very name wins."""
    if exists(pattern):
        return [pattern]
    with _told(pattern):
        if is_local(pattern):
            local = local_path(pattern)
            start = pattern.removesuffix(local)
            return sorted(f"{start}{found}" for found in glob(local))  # noqa: PTH207 - as the shell expands it
        system, path = _hadoop(pattern)
        return sorted(found.getPath().toString() for found in system.globStatus(path) or [])


def total_length(pattern: str) -> int:
    """Add up the bytes of the files that match a pattern, or lie in folders that do."""
    found = filter(None, map(status, expand(pattern)))
    files = (list_files(each.location, recursive=True) if each.is_folder else [each] for each in found)
    return sum(file.length for part in files for file in part)


@contextmanager
def open_read(location: str) -> Iterator[BinaryIO]:
    """Open a file as a stream of bytes; it can seek."""
    with _told(location):
        stream = open(local_path(location), "rb") if is_local(location) else _open_in_java(location)  # noqa: SIM115, PTH123
    with stream:
        yield stream


def read_bytes(location: str) -> bytes:
    """Return a file's content."""
    with _told(location), open_read(location) as stream:
        return stream.read()


def read_text(location: str) -> str:
    """Return a file's text, which is UTF-8."""
    return read_bytes(location).decode("utf-8")


def find_text(location: str) -> str | None:
    """Return a file's text; None when there is no such file."""
    return read_text(location) if exists(location) else None


@contextmanager
def open_write(location: str) -> Iterator[BinaryIO]:
    """Open a stream of bytes that becomes the file, in place of an earlier one, if the block ends well.

    Until then a reader sees the earlier file, and so does one who comes after a kill. On a store of another scheme
    there is none for the moment between its removal and the renaming.
    """
    draft = draft_beside(location)
    with _told(location):
        try:
            if is_local(location):
                with Path(local_path(draft)).open("wb") as stream:
                    yield stream
                Path(local_path(draft)).replace(local_path(location))
                return
            with tempfile.TemporaryFile() as spool:
                yield spool
                spool.seek(0)
                _upload(spool, draft, overwrite=True)
            remove(location)
            _rename_in_java(draft, location)
        except BaseException:
            remove(draft)
            raise


def write_bytes(location: str, content: bytes) -> None:
    """Put a file in place whole, or leave the earlier one."""
    with open_write(location) as stream:
        stream.write(content)


def write_text(location: str, text: str) -> None:
    """Put a text file in place whole, or leave the earlier one."""
    write_bytes(location, text.encode("utf-8"))


def create_exclusive(location: str, text: str) -> bool:
    """Write a text file, whole, if there is none; tell whether it did.

    One of several processes succeeds on this machine's disks, HDFS, ABFS, GCS and S3 with conditional writes;
    a disk that is mounted under another scheme makes no such promise. Where a store had to be asked twice,
    False may mean that the file is this process's own: who must know compares the text.
    """
    with _told(location):
        if is_local(location):
            return _link_into_place(location, text)
        try:
            _upload(io.BytesIO(text.encode("utf-8")), location, overwrite=False)
        except Py4JJavaError:
            if exists(location):
                return False
            raise
        return True


def make_folder(location: str) -> None:
    """Make a folder and those above it, if they are not there."""
    with _told(location):
        if is_local(location):
            Path(local_path(location)).mkdir(parents=True, exist_ok=True)
            return
        system, path = _hadoop(location)
        if not system.mkdirs(path):
            raise StorageError(
                f"a store must make a folder, but at {for_display(location)} it did not: may it write there?"
            )


def rename(source: str, target: str) -> None:
    """Move a file or folder, within one store, to a place where nothing is."""
    with _told(source):
        if exists(target) or (is_local(target) and os.path.lexists(local_path(target))):
            raise FileExistsError(errno.EEXIST, f"there is something at {for_display(target)}")
        if is_local(source):
            Path(local_path(source)).rename(local_path(target))
        else:
            _rename_in_java(source, target)


def remove(location: str) -> None:
    """Remove a file, a link, or a folder and all in it, if there is one."""
    with _told(location):
        if not is_local(location):
            system, path = _hadoop(location)
            system.delete(path, True)
            return
        place = Path(local_path(location))
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            with suppress(NotADirectoryError):
                place.unlink(missing_ok=True)


def draft_beside(location: str) -> str:
    """Return a new name beside a location, for what is to take its place; Spark does not see it."""
    return join(parent(location), f"{_DRAFT}{uuid.uuid4().hex}")


def remove_drafts(folder: str) -> None:
    """Remove what killed writers left in a folder; for one who is its only writer."""
    for entry in _entries(folder):
        if name(entry.location).startswith(_DRAFT):
            remove(entry.location)


@contextmanager
def staged_folder(place: str) -> Iterator[str]:
    """Lend a hidden folder to write in, which takes the place of an earlier one if the block ends well.

    That takes two renames: a process that dies between them leaves neither. In an object store the second one
    copies, and one that dies in it leaves a part.
    """
    staged, earlier = draft_beside(place), draft_beside(place)
    make_folder(staged)
    try:
        yield staged
        if exists(place):
            rename(place, earlier)
        rename(staged, place)
    except BaseException:
        remove(staged)
        raise
    remove(earlier)


@contextmanager
def new_folder(output: str) -> Iterator[str]:
    """Lend a folder to write in, which becomes `output` if the block ends well; refuse one with content."""
    found = status(output)
    if found and (not found.is_folder or _entries(output)):
        raise InputError(
            f"an output folder must be new or empty, but {for_display(output)} is not; "
            "remove it or choose another"
        )
    with staged_folder(output) as folder:
        yield folder


def _entries(folder: str) -> list[FileStatus]:
    """List what is in a folder, links followed, in no order."""
    with _told(folder):
        if is_local(folder):
            names = [path.name for path in Path(local_path(folder)).iterdir()]
            return [found for each in names if (found := _local_status(join(folder, each)))]
        system, path = _hadoop(folder)
        return [_hadoop_status(join(folder, it.getPath().getName()), it) for it in system.listStatus(path)]


def _local_status(location: str) -> FileStatus | None:
    """Return what is known of a file or folder of this machine; a link that leads nowhere is nothing."""
    try:
        found = Path(local_path(location)).stat()
    except OSError as failed:
        if failed.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            return None
        raise
    modified = found.st_mtime_ns // 1_000_000
    identity = (found.st_dev, found.st_ino)
    return FileStatus(
        location, found.st_size, modified, stat.S_ISDIR(found.st_mode), found.st_ctime_ns, identity
    )


def _hadoop_status(location: str, found: Any) -> FileStatus:
    return FileStatus(location, found.getLen(), found.getModificationTime(), found.isDirectory())


def _link_into_place(location: str, text: str) -> bool:
    """Write a draft and link it: a plain exclusive create shows a file before it is whole."""
    draft = draft_beside(location)
    write_text(draft, text)
    try:
        os.link(local_path(draft), local_path(location))
    except FileExistsError:
        return False
    finally:
        remove(draft)
    return True


# Hadoop, through py4j. A call takes a tenth of a millisecond or less.


def _context() -> Any:
    from pyspark import SparkContext  # noqa: PLC0415 - local files do not wait for it

    context = SparkContext._active_spark_context
    if context is None:
        raise StorageError(
            "a location with a scheme is reached through Spark, but no session is open: open one"
        )
    return context


def _hadoop(location: str) -> tuple[Any, Any]:
    """Return the file system of a location, and the location as its path."""
    context = _context()
    path = context._jvm.org.apache.hadoop.fs.Path(location)
    return path.getFileSystem(context._jsc.hadoopConfiguration()), path


def _rename_in_java(source: str, target: str) -> None:
    (system, start), (_, end) = _hadoop(source), _hadoop(target)
    if not system.rename(start, end):
        raise StorageError(
            f"a store must move {for_display(source)} to {for_display(target)}, but did not: may it write there?"
        )


def _upload(content: BinaryIO, location: str, *, overwrite: bool) -> None:
    """Write a file on a store; what fails before it is closed does not appear in an object store."""
    system, path = _hadoop(location)
    stream = system.create(path, overwrite)
    while piece := content.read(_PIECE):
        stream.write(piece)
    stream.close()


def _open_in_java(location: str) -> BinaryIO:
    system, path = _hadoop(location)
    length = system.getFileStatus(path).getLen()
    return cast(BinaryIO, io.BufferedReader(_JavaInput(location, system.open(path), length), _PIECE))


class _JavaInput(io.RawIOBase):
    """A Java input stream as one of Python's, read in pieces."""

    def __init__(self, location: str, stream: Any, length: int) -> None:
        self._location, self._stream, self._length = location, stream, length

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._length}[whence]
        self._stream.seek(start + offset)
        return start + offset

    def tell(self) -> int:
        return int(self._stream.getPos())

    def readinto(self, buffer: Any) -> int:
        with _told(self._location):
            piece = bytes(self._stream.readNBytes(len(buffer)))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


@contextmanager
def _told(location: str) -> Iterator[None]:
    """Raise what Python and Java raise about a location as an error of this project, in one line."""
    try:
        yield
    except RetailClustersError:
        raise
    except (OSError, Py4JError) as failed:
        kind, place = _kind(failed), for_display(location)
        said = failed.java_exception.getMessage() if isinstance(failed, Py4JJavaError) else failed
        reason = for_display(f"{kind}: {said}")
        if _UNUSABLE.search(kind):
            raise InputError(
                f"a location must be one that can be used, but {place} gave: {reason}"
            ) from failed
        raise StorageError(f"a store must do as it is asked, but at {place} got: {reason}") from failed


def _kind(failure: Exception) -> str:
    """Return the simple name of an exception; Java's own where it comes from there."""
    if isinstance(failure, Py4JJavaError):
        return str(failure.java_exception.getClass().getSimpleName())
    return type(failure).__name__
