"""The commit log of a scorer's output: one record a batch, created last and once, decides what is scored."""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from retail_clusters import schema
from retail_clusters.errors import InputError, RetailClustersError
from retail_clusters.features.drift import Counts
from retail_clusters.infra import storage
from retail_clusters.infra.locations import for_display, join, name
from retail_clusters.serving.source import InputFile

#: Batches whose metrics and counts are kept in memory: those that the chart shows, and drift is measured on.
RECENT: Final = 1_000

_RECORD: Final = ".json"


class BatchTakenError(RetailClustersError):
    """Another scorer has created the record of a batch first."""


@dataclass(frozen=True)
class Output:
    """Where a scorer's lines and records are: the layout of OUTPUT, as docs/scoring.md tells it."""

    location: str

    @property
    def scored(self) -> str:
        """Name the folder of scored lines."""
        return join(self.location, "scored")

    @property
    def quarantine(self) -> str:
        """Name the folder of quarantined lines."""
        return join(self.location, schema.QUARANTINE)

    @property
    def commits(self) -> str:
        """Name the folder of the batches' records."""
        return join(self.location, "commits")

    @property
    def attempts(self) -> str:
        """Name the hidden folder in which batches are written."""
        return join(self.location, ".attempts")

    def record(self, batch_id: int) -> str:
        """Name the record of a batch."""
        return join(self.commits, f"{batch_id}{_RECORD}")

    def committed(self) -> list[int]:
        """List the batches that have a record."""
        if not storage.is_folder(self.commits):
            return []
        files = storage.list_files(self.commits, suffixes=(_RECORD,))
        stems = (name(file.location).removesuffix(_RECORD) for file in files)
        return sorted(int(stem) for stem in stems if stem.isdecimal())

    def begun(self) -> int:
        """Return the last batch that has lines, committed or not; -1 where none has."""
        folders = storage.list_folders(self.scored) if storage.is_folder(self.scored) else []
        names = [name(each).partition("=") for each in folders]
        found = (int(value) for key, _, value in names if key == schema.BATCH_ID and value.isdecimal())
        return max(found, default=-1)


def batch_folder(lines: str, batch_id: int) -> str:
    """Name the folder of a batch in the folder of all scored, or of all quarantined, lines."""
    return join(lines, f"{schema.BATCH_ID}={batch_id}")


@dataclass(frozen=True)
class Record:
    """What one batch did.

    `scored_files` and `quarantine_files` are the names of its files; None in a record of an earlier release,
    whose folders hold nothing else. `replaces` names the lines that this batch stands for from now on:
    earlier batch and `source_file`.
    """

    batch_id: int
    timestamp: int
    model_version: str
    files: tuple[InputFile, ...]
    rows_in: int
    rows_scored: int
    rows_quarantined: int
    metrics: Mapping[str, float]
    scored_files: tuple[str, ...] | None = None
    quarantine_files: tuple[str, ...] | None = None
    counts: Mapping[str, Any] | None = None
    replaces: tuple[tuple[int, str], ...] = ()

    @property
    def points(self) -> list[tuple[str, float, int, int]]:
        """Return name, value, milliseconds and step of each point that MLflow gets."""
        return [(metric, value, self.timestamp, self.batch_id) for metric, value in self.metrics.items()]

    def to_json(self) -> str:
        """Write the record as one JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Record":
        """Read a record; what an earlier release wrote and nobody asks for is passed over."""
        found: dict[str, Any] = json.loads(text)
        known = {each.name: found[each.name] for each in fields(cls) if each.name in found}
        known["files"] = tuple(InputFile(**file) for file in found["files"])
        known["replaces"] = tuple((int(batch), str(file)) for batch, file in found["replaces"])
        for kind in ("scored_files", "quarantine_files"):
            known[kind] = tuple(known[kind]) if known.get(kind) is not None else None
        return cls(**known)


def read_record(output: Output, batch_id: int) -> Record:
    """Read the record of a batch."""
    return Record.from_json(storage.read_text(output.record(batch_id)))


@dataclass
class CommitLog:
    """The records of an output: how far it is, what was measured lately, and every file that was scored.

    `known` has length, modification time and batch of each file as it was scored last, by its location.
    """

    output: Output
    last: int = -1
    recent: dict[int, Mapping[str, float]] = field(default_factory=dict)
    known: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    counts: deque[tuple[str, Counts]] = field(default_factory=lambda: deque(maxlen=RECENT))

    @classmethod
    def load(cls, output: Output) -> "CommitLog":
        """Read every record.

        Raises:
            InputError: one is missing between others, or lines are there that no record of theirs tells of.
        """
        log, begun = cls(output), output.begun()
        for batch_id in output.committed():
            if batch_id != log.last + 1:
                raise _missing(output, log.last + 1)
            log._learn(read_record(output, batch_id))
        if begun > log.last + 1:
            raise _missing(output, log.last + 1)
        return log

    def append(self, record: Record) -> None:
        """Create a record: from here on its batch is there, for every reader and every scorer.

        Raises:
            BatchTakenError: another scorer created it first. A store that had to be asked twice may refuse
                its own success, so the text is compared.
        """
        place, text = self.output.record(record.batch_id), record.to_json()
        if not storage.create_exclusive(place, text) and storage.read_text(place) != text:
            raise BatchTakenError(
                f"one scorer at a time may write to an output, but another scorer wrote batch {record.batch_id} of "
                f"{for_display(self.output.location)} first: end one of the two, and start again if nothing runs"
            )
        self._learn(record)

    def has_scored(self, file: InputFile) -> bool:
        """Tell whether a batch has a file's lines, changed or not since; one that was empty had none."""
        found = self.known.get(file.location)
        return found is not None and (found[0] > 0 or file.length == 0)

    def has_changed(self, file: InputFile) -> bool:
        """Tell whether a file is not as it was when a batch scored it."""
        found = self.known.get(file.location)
        return found is not None and found[:2] != (file.length, file.modified_ms)

    def newest_counts(self, version: str) -> list[Counts]:
        """Return what a version scored lately, newest first."""
        return [counts for scored_by, counts in reversed(self.counts) if scored_by == version]

    def _learn(self, record: Record) -> None:
        self.last = record.batch_id
        self.recent[record.batch_id] = record.metrics
        self.recent.pop(record.batch_id - RECENT, None)
        for file in record.files:
            self.known[file.location] = (file.length, file.modified_ms, record.batch_id)
        counts = Counts.from_json(record.counts) if record.counts else None
        if counts:
            self._add(record.model_version, counts)

    def _add(self, version: str, counts: Counts) -> None:
        """Add up batches of the same days, so that a window holds its days however small the batches are."""
        if (
            self.counts
            and self.counts[-1][0] == version
            and self.counts[-1][1].days.keys() == counts.days.keys()
        ):
            counts += self.counts.pop()[1]
        self.counts.append((version, counts))


def _missing(output: Output, batch_id: int) -> InputError:
    return InputError(
        f"an output must hold a record of each batch, but {for_display(output.commits)} lacks {batch_id}.json, and "
        "later batches are there: bring it back"
    )
