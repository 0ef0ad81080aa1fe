"""Which files of a place are read, by what the file system has there, and what became of each.

A file is a location: a path, or a URI of any file system that Spark knows. docs/lines.md has the rules.
"""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Final

from retail_clusters.errors import InputError, RetailClustersError
from retail_clusters.infra import locations, storage
from retail_clusters.infra.storage import FileStatus
from retail_clusters.wording import pluralize

#: Whatever their case.
SUFFIXES: Final = (".csv", ".csv.gz", ".csv.bz2")

_HIDDEN: Final = (".", "_")


@dataclass(frozen=True)
class Listing:
    """What the file system has at a place: files to read, each once, and how many are passed over by name.

    Attributes:
        hidden: files with `.` or `_` in front of their name, or of a folder's.
        others: files with other suffixes, by suffix.
        second_names: other names of files to read, each with the name that counts.
    """

    files: tuple[FileStatus, ...]
    hidden: int = 0
    others: Mapping[str, int] = field(default_factory=dict)
    second_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def locations(self) -> list[str]:
        """Return where the files to read are."""
        return [file.location for file in self.files]

    @property
    def passed_over(self) -> int:
        """Count the files that are passed over by name."""
        return self.hidden + sum(self.others.values()) + len(self.second_names)


@dataclass(frozen=True)
class Account:
    """Every file at a place: read, quarantined whole, or passed over by its name; they add up to `there`.

    For a command that goes on where it stopped, files may also be read before, or still be to be read.
    """

    there: int
    read: int
    quarantined: int
    hidden: int
    others: Mapping[str, int]
    second_names: int
    read_before: int = 0
    waiting: int = 0

    @property
    def passed_over(self) -> int:
        """Count the files that are passed over by name."""
        return self.there - self.read - self.quarantined - self.read_before - self.waiting

    def __str__(self) -> str:
        """Say in a sentence what became of the files."""
        suffixes = ", ".join(f"{count:,} {suffix}" for suffix, count in sorted(self.others.items()))
        over = {
            "hidden": self.hidden,
            f"with another suffix ({suffixes})": sum(self.others.values()),
            "a second name of a file": self.second_names,
        }
        passed_over = ", ".join(f"{count:,} {why}" for why, count in over.items() if count)
        parts = [
            f"{self.read:,} read",
            f"{self.quarantined:,} quarantined" if self.quarantined else "",
            f"{self.read_before:,} read before" if self.read_before else "",
            f"{self.waiting:,} still to be read" if self.waiting else "",
            f"{sum(over.values()):,} passed over by name: {passed_over}" if passed_over else "",
        ]
        return f"{pluralize(self.there, 'file')}: {', '.join(filter(None, parts))}"


def find(data: str) -> Listing:
    """List what is in a folder and the folders in it, in what matches a pattern, or at a single path, by name."""
    storage.check(data)
    found = [file for match in storage.expand(data) for file in _files_of(match)]
    visible = [file for file in found if not file.hidden]
    named = [file for file in visible if has_suffix(file.own) or file.own == data]
    kept: dict[object, _Found] = {}
    second_names = {}
    for file in sorted(named, key=lambda file: (file.is_link, file.own)):
        first = kept.setdefault(file.status.identity or file.own, file)
        if first is not file:
            second_names[file.status.location] = first.own
    files = (replace(file.status, location=file.own) for file in kept.values())
    return Listing(
        files=tuple(sorted(files, key=attrgetter("location"))),
        hidden=len(found) - len(visible),
        others=Counter(_ending(file.own) for file in visible if file not in named),
        second_names=second_names,
    )


def require(data: str) -> Listing:
    """Do as `find`, of a place where there must be lines.

    Raises:
        InputError: there is no such path, or no CSV file in it, or one that this process cannot name.
    """
    found = find(data)
    if found.files:
        _check_names(found.files)
        return found
    place = locations.for_display(data)
    if storage.exists(data) or found.passed_over:
        others = f" ({account(found)})" if found.passed_over else ""
        raise InputError(
            f"data needs at least one CSV file, but found none in {place}{others}: "
            "name the folder that holds them, or make some with the entry point generate"
        )
    raise InputError(
        f"data must name a folder, a file or a pattern, but found no such path: {place} "
        "(relative paths start at the working folder)"
    )


def account(found: Listing, *, quarantined: int = 0, read_before: int = 0, waiting: int = 0) -> Account:
    """Say what became of the files at a place; all others were read."""
    return Account(
        there=len(found.files) + found.passed_over,
        read=len(found.files) - quarantined - read_before - waiting,
        quarantined=quarantined,
        read_before=read_before,
        waiting=waiting,
        hidden=found.hidden,
        others=found.others,
        second_names=len(found.second_names),
    )


def check_read(files: Sequence[str], source_names: Collection[str]) -> None:
    """Hold the files that Spark has given lines of against those that it was to read.

    Raises:
        RetailClustersError: one was not read; names it.
    """
    missing = [file for file in files if source_name(file) not in source_names]
    if missing:
        raise RetailClustersError(
            f"each of the {pluralize(len(files), 'file')} must be read, but Spark gave no line of "
            f"{len(missing):,}, such as {locations.for_display(missing[0])}: run again if it came or went "
            "meanwhile; else a setting of Spark or Hadoop keeps it out"
        )


def has_suffix(file: str) -> bool:
    """Tell whether a file's name is that of invoice lines, in capitals or not."""
    return file.lower().endswith(SUFFIXES)


def own_name(file: str, *, source: str) -> str:
    """Return the name under which a file counts in a folder: that of what a link leads to, if it is there."""
    real, folder = locations.followed(file), locations.followed(source)
    if not locations.is_within(real, folder) or not has_suffix(real):
        return file
    inside = real.removeprefix(folder).strip("/")
    return file if _is_hidden(inside) else locations.join(source, *inside.split("/"))


def fingerprint(files: Sequence[FileStatus]) -> str:
    """Return a digest that changes whenever a file is written, moved, added or removed; reads no content."""
    facts = [
        (locations.to_uri(file.location), file.length, file.modified_ms, file.changed_ns) for file in files
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def source_name(file: str) -> str:
    """Name a file as Spark's `_metadata.file_path` does, in text that is UTF-8 whatever the name is."""
    return locations.for_display(locations.quoted(file))


def _ending(file: str) -> str:
    """Return all suffixes of a name, for people."""
    _, dot, end = locations.name(file).partition(".")
    return f"{dot}{end[:20]}".lower() if dot else "no suffix"


@dataclass(frozen=True)
class _Found:
    """A file that is there; `own` is the name under which it counts."""

    status: FileStatus
    own: str
    hidden: bool

    @property
    def is_link(self) -> bool:
        """Tell whether it counts under a name that is a link."""
        place, name = locations.parent(self.own), locations.name(self.own)
        return locations.followed(self.own) != locations.join(locations.followed(place), name)


def _files_of(match: str) -> list[_Found]:
    status = storage.status(match)
    if status is None:
        return []
    if not status.is_folder:
        return [_Found(status, match, hidden=_is_hidden(locations.name(match)))]
    found = []
    for file in storage.list_files(match, recursive=True, hidden=True):
        hidden = _is_hidden(file.location.removeprefix(match).strip("/"))
        own = file.location if hidden else own_name(file.location, source=match)
        found.append(_Found(file, own, hidden))
    return found


def _is_hidden(inside: str) -> bool:
    return any(part.startswith(_HIDDEN) for part in inside.split("/"))


def _check_names(files: Sequence[FileStatus]) -> None:
    """Refuse names that this process does not read as the file system has them."""
    if sys.getfilesystemencoding().lower() not in {"utf-8", "utf8"}:
        for file in files:
            if locations.is_local(file.location) and not file.location.isascii():
                raise InputError(
                    f"names of files are UTF-8, but the locale of this process reads them as "
                    f"{sys.getfilesystemencoding()}, such as {locations.for_display(file.location)}: set LC_ALL=C.UTF-8"
                )
