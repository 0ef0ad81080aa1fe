"""Which files of a place are read, by what the file system has there, and what became of each.

A file is a location: a path, or a URI of any file system that Spark knows. docs/lines.md has the rules.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
    hidden: int
    others: Mapping[str, int]
    second_names: Mapping[str, str]

    @property
    def locations(self) -> list[str]:
        """Return where the files to read are."""
        return [file.location for file in self.files]


@dataclass(frozen=True)
class Account:
    """Every file at a place, counted by what became of it: by the order of the sentence that tells it."""

    read: int
    quarantined: int
    read_before: int
    waiting: int
    passed_over_by: Mapping[str, int]

    @property
    def passed_over(self) -> int:
        """Count the files that are passed over by name."""
        return sum(self.passed_over_by.values())

    @property
    def there(self) -> int:
        """Count all files."""
        return self.read + self.quarantined + self.read_before + self.waiting + self.passed_over

    def __str__(self) -> str:
        """Say in a sentence what became of the files."""
        over = ", ".join(f"{count:,} {why}" for why, count in self.passed_over_by.items() if count)
        counts = {
            "quarantined": self.quarantined,
            "read before": self.read_before,
            "still to be read": self.waiting,
            f"passed over by name: {over}": self.passed_over,
        }
        parts = [f"{self.read:,} read", *(f"{count:,} {what}" for what, count in counts.items() if count)]
        return f"{pluralize(self.there, 'file')}: {', '.join(parts)}"


def find(data: str) -> Listing:
    """List what is in a folder and the folders in it, in what matches a pattern, or at a single path, by name."""
    storage.check(data)
    hidden, others = 0, Counter[str]()
    kept: dict[object, FileStatus] = {}
    second_names = {}
    for own, is_hidden, file in sorted(
        _there(data), key=lambda found: (found[0], found[0] != found[2].location)
    ):
        if is_hidden:
            hidden += 1
        elif not has_suffix(own) and own != data:
            others[_ending(own)] += 1
        elif (key := file.identity or own) in kept:
            second_names[file.location] = kept[key].location
        else:
            kept[key] = replace(file, location=own)
    return Listing(tuple(kept.values()), hidden, others, second_names)


def require(data: str) -> Listing:
    """Do as `find`, of a place where there must be lines.

    Raises:
        InputError: there is no such path, or no CSV file in it.
    """
    found = find(data)
    if found.files:
        return found
    place, seen = locations.for_display(data), account(found)
    if storage.exists(data) or seen.there:
        others = f" ({seen})" if seen.there else ""
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
    suffixes = ", ".join(f"{count:,} {suffix}" for suffix, count in sorted(found.others.items()))
    return Account(
        read=len(found.files) - quarantined - read_before - waiting,
        quarantined=quarantined,
        read_before=read_before,
        waiting=waiting,
        passed_over_by={
            "hidden": found.hidden,
            f"with another suffix ({suffixes})": sum(found.others.values()),
            "a second name of a file": len(found.second_names),
        },
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


def _there(data: str) -> Iterator[tuple[str, bool, FileStatus]]:
    """List all files at a place: the name under which one counts, whether it is hidden, what is known of it."""
    for match in storage.expand(data):
        found = storage.status(match)
        if found and not found.is_folder:
            yield match, _is_hidden(locations.name(match)), found
            continue
        for file in storage.list_files(match, recursive=True, hidden=True) if found else ():
            hidden = _is_hidden(file.location.removeprefix(match).strip("/"))
            yield file.location if hidden else own_name(file.location, source=match), hidden, file


def _is_hidden(inside: str) -> bool:
    return any(part.startswith(_HIDDEN) for part in inside.split("/"))
