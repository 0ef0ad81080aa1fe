"""Files on this machine's disks, without Spark: a draft is written, synced, then renamed."""

import ctypes
import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from glob import glob
from pathlib import Path
from typing import BinaryIO, Final

from retail_clusters.errors import InputError
from retail_clusters.infra._file_status import FileStatus
from retail_clusters.infra.locations import join, local_path

_AT_WORKING_FOLDER: Final = -100
_RENAME_EXCHANGE: Final = 2


class LocalFiles:
    """This machine's disks."""

    def check(self, location: str) -> None:
        """Refuse the file URI of another machine."""
        if local_path(location).startswith("//") or "\0" in location:
            raise InputError(
                f"a file URI names a path of this machine, but got {location}: write file:///path"
            )

    def status(self, location: str) -> FileStatus | None:
        """Return what is known of a file or folder; None when there is none, or a link that leads nowhere."""
        path = Path(local_path(location))
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _status_of(location, found, is_folder=path.is_dir())

    def entries(self, folder: str) -> list[FileStatus]:
        """List what is in a folder, links followed, in no order."""
        return list(_entries(folder))

    def identity(self, folder: str) -> object:
        """Return the folder's device and number."""
        found = Path(local_path(folder)).stat()
        return found.st_dev, found.st_ino

    def glob(self, pattern: str) -> list[str]:
        """List the locations that match a pattern."""
        path = local_path(pattern)
        scheme = "" if path == pattern else "file://"
        return [f"{scheme}{found}" for found in glob(path)]  # noqa: PTH207 - as the shell expands it

    def open_read(self, location: str) -> BinaryIO:
        """Open a file as a stream of bytes."""
        return Path(local_path(location)).open("rb")

    def open_append(self, location: str) -> BinaryIO:
        """Open a file for bytes behind those that are there."""
        return Path(local_path(location)).open("ab")

    def open_new(self, location: str) -> BinaryIO:
        """Open a new or emptied file for bytes."""
        return Path(local_path(location)).open("wb")

    def replace(self, draft: str, place: str) -> None:
        """Put a file in the place of another in one step, for good."""
        path = Path(local_path(place))
        _sync_one(Path(local_path(draft)))
        Path(local_path(draft)).replace(path)
        _sync_one(path.parent)

    def create_exclusive(self, location: str, content: bytes) -> bool:
        """Write a file if there is none: it appears whole."""
        path = Path(local_path(location))
        draft = path.with_name(f".writing-{uuid.uuid4().hex}")
        try:
            draft.write_bytes(content)
            _sync_one(draft)
            path.hardlink_to(draft)
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
        _sync_one(path.parent)
        return True

    def rename(self, source: str, target: str) -> None:
        """Move a file or folder to a place where nothing is."""
        place = Path(local_path(target))
        if os.path.lexists(place):
            raise FileExistsError(f"there is something at {target}")
        Path(local_path(source)).rename(place)
        _sync_one(place.parent)

    def exchange(self, one: str, other: str) -> bool:
        """Swap two folders in one step, where the system can."""
        rename = getattr(ctypes.CDLL(None), "renameat2", None)
        if rename is None:
            return False
        first, second = os.fsencode(local_path(one)), os.fsencode(local_path(other))
        done: bool = rename(_AT_WORKING_FOLDER, first, _AT_WORKING_FOLDER, second, _RENAME_EXCHANGE) == 0
        if done:
            _sync_one(Path(local_path(other)).parent)
        return done

    def remove(self, location: str) -> None:
        """Remove a file, a link, or a folder and all in it, if there is one."""
        path = Path(local_path(location))
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            with suppress(NotADirectoryError):
                path.unlink(missing_ok=True)

    def make_folder(self, location: str) -> None:
        """Make a folder and those above it, if they are not there."""
        Path(local_path(location)).mkdir(parents=True, exist_ok=True)

    def touch(self, location: str) -> None:
        """Set a file's modification time to now; make an empty one if there is none."""
        Path(local_path(location)).touch()

    def sync(self, location: str) -> None:
        """Sync a file, or a folder and all in it."""
        path = Path(local_path(location))
        if path.is_dir():
            for folder, _, names in os.walk(path):
                for name in (*names, "."):
                    _sync_one(Path(folder, name))
        else:
            _sync_one(path)


def _entries(folder: str) -> Iterator[FileStatus]:
    with os.scandir(local_path(folder)) as found:
        for entry in found:
            try:
                status = entry.stat()
            except OSError as dangling:
                if dangling.errno not in {errno.ENOENT, errno.ELOOP}:
                    raise
                continue
            yield _status_of(join(folder, entry.name), status, is_folder=entry.is_dir())


def _status_of(location: str, found: os.stat_result, *, is_folder: bool) -> FileStatus:
    modified = found.st_mtime_ns // 1_000_000
    return FileStatus(location, found.st_size, modified, is_folder, changed_ns=found.st_ctime_ns)


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
