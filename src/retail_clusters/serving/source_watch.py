"""What the stream does not tell about its folder: files that are empty, have changed, or cannot be named."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from retail_clusters.data import csv_files
from retail_clusters.infra import storage
from retail_clusters.infra.locations import is_utf8, to_uri
from retail_clusters.serving.known_files import InputFile, KnownFiles
from retail_clusters.serving.output import Output


@dataclass(frozen=True)
class Seen:
    """Files of a folder: those that a stream is to bring, that none brings, that changed, that are done."""

    waiting: tuple[InputFile, ...] = ()
    unstreamed: tuple[InputFile, ...] = ()
    changed: tuple[InputFile, ...] = ()
    done: tuple[InputFile, ...] = ()


def look(source: str, known: KnownFiles) -> Seen:
    """List a folder and hold it against what was scored.

    A stream of files has those of length 0 in its log, not in its frame, and none whose name is not UTF-8.
    """
    files = [
        InputFile(file.location, file.length, file.modified_ms)
        for file in storage.list_files(to_uri(source), recursive=True, suffixes=csv_files.SUFFIXES)
    ]
    scored = [known.find(file.location) for file in files]
    new = [file for file, found in zip(files, scored, strict=True) if not found]
    old = [(file, found[0]) for file, found in zip(files, scored, strict=True) if found]
    return Seen(
        waiting=tuple(file for file in new if _is_streamed(file)),
        unstreamed=tuple(file for file in new if not _is_streamed(file)),
        changed=tuple(file for file, was in old if was != file),
        done=tuple(file for file, was in old if was == file),
    )


def _is_streamed(file: InputFile) -> bool:
    return file.length > 0 and is_utf8(file.location)


@dataclass(frozen=True)
class ChangedFile:
    """A file that changed after a batch had scored it."""

    location: str
    batch_id: int
    scored: InputFile
    found: InputFile


class ChangedFiles:
    """The list of changed files in the output, and which of them are new."""

    def __init__(self, output: Output) -> None:
        """Read the list."""
        self._place = output.changed_files
        text = storage.find_text(self._place)
        self._found = {file.location: file for file in _parse(text)} if text else {}

    def __len__(self) -> int:
        return len(self._found)

    def update(self, changed: Iterable[InputFile], known: KnownFiles) -> list[ChangedFile]:
        """Keep what is changed now; return those that were not told of yet."""
        now = {
            file.location: ChangedFile(file.location, batch_id, scored, file)
            for file in changed
            if (found := known.find(file.location))
            for scored, batch_id in (found,)
        }
        new = [file for location, file in now.items() if self._found.get(location) != file]
        if now != self._found:
            self._found = now
            storage.write_text(self._place, json.dumps([asdict(file) for file in now.values()], indent=1))
        return new


def _parse(text: str) -> list[ChangedFile]:
    return [
        ChangedFile(
            each["location"], each["batch_id"], InputFile(**each["scored"]), InputFile(**each["found"])
        )
        for each in json.loads(text)
    ]


def loops(file: InputFile, *, source: str) -> bool:
    """Tell whether a file is here once more, through a link to a folder above it."""
    return csv_files.loops(file.location, source=to_uri(source))


def source_name(file: InputFile) -> str:
    """Name a file as the column `source_file` does."""
    return csv_files.source_name(file.location)
