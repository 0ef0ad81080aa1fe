"""What a store tells about a file, and what every kind of store can do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class FileStatus:
    """A file: its length in bytes, and when it was last written, in milliseconds since 1970.

    `changed_ns` is the time of any change at all, which no program sets back, in nanoseconds; 0 where a store
    does not tell.
    """

    location: str
    length: int
    modified_ms: int
    is_folder: bool = False
    changed_ns: int = 0


class Files(Protocol):
    """What this machine's disks and Hadoop's file systems both do; each raises errors of its own."""

    def check(self, location: str) -> None:
        """Raise where no file could ever be."""

    def status(self, location: str) -> FileStatus | None:
        """Return what is known of a file or folder; None when there is none."""

    def entries(self, folder: str) -> Sequence[FileStatus]:
        """List what is in a folder, links followed, in no order."""

    def identity(self, folder: str) -> object:
        """Return what two names of one folder have in common."""

    def glob(self, pattern: str) -> Sequence[str]:
        """List the locations that match a pattern."""

    def open_read(self, location: str) -> BinaryIO:
        """Open a file as a stream of bytes."""

    def open_append(self, location: str) -> BinaryIO:
        """Open a file for bytes behind those that are there."""

    def open_new(self, location: str) -> BinaryIO:
        """Open a new or emptied file for bytes; closing it makes them last."""

    def replace(self, draft: str, place: str) -> None:
        """Put a file in the place of another in one step."""

    def create_exclusive(self, location: str, content: bytes) -> bool:
        """Write a file if there is none; tell whether it did."""

    def rename(self, source: str, target: str) -> None:
        """Move a file or folder to a place where nothing is."""

    def exchange(self, one: str, other: str) -> bool:
        """Swap two folders in one step; False, and nothing done, where that is not possible."""

    def remove(self, location: str) -> None:
        """Remove a file, or a folder and all in it, if there is one."""

    def make_folder(self, location: str) -> None:
        """Make a folder and those above it, if they are not there."""

    def touch(self, location: str) -> None:
        """Set a file's modification time to now; make an empty one if there is none."""

    def sync(self, location: str) -> None:
        """Make what is written in a file or folder survive a power loss."""
