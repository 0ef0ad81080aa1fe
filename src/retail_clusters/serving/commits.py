"""The commit log of a scorer's output: one record a batch, created last and once, decides what is scored."""

import json
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from retail_clusters import schema
from retail_clusters.errors import InputError, RetailClustersError
from retail_clusters.features.drift import Counts
from retail_clusters.infra import storage
from retail_clusters.infra.locations import for_display, join, name
from retail_clusters.serving.source import InputFile

#: The folders of lines in an output: its layout is told in docs/scoring.md.
SCORED: Final = "scored"
#: Good lines without a cluster: of a version that gives one to units of them.
LINES: Final = "lines"
QUARANTINE: Final = schema.QUARANTINE
KINDS: Final = (SCORED, LINES, QUARANTINE)
COMMITS: Final = "commits"
#: Batches whose counts are kept in memory: those that drift is measured on.
RECENT: Final = 1_000

_RECORD: Final = ".json"


class BatchTakenError(RetailClustersError):
    """Another scorer has created the record of a batch first."""


@dataclass(frozen=True)
class Record:
    """What one batch did.

    `written` has the names of its files by kind; `replaces` the lines that this batch stands for from now on:
    earlier batch and `source_file`; `extra` the columns that its files have beside the eight; `days` the good lines
    of each day (ISO), of a version with a unit.
    """

    batch_id: int
    timestamp: int
    model_version: str
    files: tuple[InputFile, ...]
    rows_in: int
    rows_scored: int
    rows_quarantined: int
    metrics: Mapping[str, float]
    written: Mapping[str, list[str]]
    counts: Mapping[str, Any] | None = None
    replaces: tuple[tuple[int, str], ...] = ()
    extra: tuple[str, ...] = ()
    rows_excluded: int = 0
    days: Mapping[str, int] = field(default_factory=dict)

    @property
    def points(self) -> list[tuple[str, float, int, int]]:
        """Return name, value, milliseconds and step of each point that MLflow gets."""
        return [(metric, value, self.timestamp, self.batch_id) for metric, value in self.metrics.items()]

    @classmethod
    def from_json(cls, text: str) -> "Record":
        """Read a record.

        Raises:
            InputError: an earlier release has written it, which did not name the files of a batch.
        """
        found: dict[str, Any] = json.loads(text)
        if "written" not in found:
            raise InputError(
                "records must name the files of their batch, but an earlier release has written those of this output: "
                "name a new output, which takes all files of the source"
            )
        known = {each.name: found[each.name] for each in fields(cls) if each.name in found}
        known["files"] = tuple(InputFile(**file) for file in found["files"])
        known["extra"] = tuple(found.get("extra", ()))
        known["replaces"] = tuple((int(batch), str(file)) for batch, file in found["replaces"])
        return cls(**known)


def read_record(output: str, batch_id: int) -> Record:
    """Read the record of a batch."""
    return Record.from_json(storage.read_text(_place(output, batch_id)))


def committed(output: str) -> list[int]:
    """List the batches that have a record."""
    folder = join(output, COMMITS)
    files = storage.list_files(folder, suffixes=(_RECORD,)) if storage.is_folder(folder) else []
    stems = (name(file.location).removesuffix(_RECORD) for file in files)
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def batch_folder(output: str, kind: str, batch_id: int) -> str:
    """Name the folder of a batch's scored or quarantined lines."""
    return join(output, kind, f"{schema.BATCH_ID}={batch_id}")


@dataclass
class CommitLog:
    """The records of an output: how far it is, what was counted lately, and every file that was scored.

    `known` has length, modification time and batch of each file as it was scored last, by its location.
    """

    output: str
    last: int = -1
    known: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    counts: deque[tuple[str, Counts]] = field(default_factory=lambda: deque(maxlen=RECENT))
    days: Counter[str] = field(default_factory=Counter)

    @classmethod
    def load(cls, output: str) -> "CommitLog":
        """Read every record."""
        log = cls(output)
        for batch_id in committed(output):
            log._learn(read_record(output, batch_id))
        return log

    def append(self, record: Record) -> None:
        """Create a record: from here on its batch is there, for every reader and every scorer.

        Raises:
            BatchTakenError: another scorer created it first. A store that had to be asked twice may refuse
                its own success, so the text is compared.
        """
        place, text = _place(self.output, record.batch_id), json.dumps(asdict(record))
        if not storage.create_exclusive(place, text) and storage.read_text(place) != text:
            raise BatchTakenError(
                f"one scorer at a time may write to an output, but another scorer wrote batch {record.batch_id} of "
                f"{for_display(self.output)} first: end one of the two, and start again if none runs"
            )
        self._learn(record)

    def has_scored(self, file: InputFile) -> bool:
        """Tell whether a batch has a file's lines, changed or not since; one that was empty had none."""
        found = self.known.get(file.location)
        return found is not None and (found[0] > 0 or file.length == 0)

    def newest_counts(self, version: str) -> list[Counts]:
        """Return what a version scored lately, newest first."""
        return [counts for scored_by, counts in reversed(self.counts) if scored_by == version]

    def _learn(self, record: Record) -> None:
        self.last = record.batch_id
        for file in record.files:
            self.known[file.location] = (file.length, file.modified_ms, record.batch_id)
        self.days.update(record.days)
        if record.counts:
            self._add(record.model_version, Counts.from_json(record.counts))

    def _add(self, version: str, counts: Counts) -> None:
        """Add up batches of the same days, so that a window holds its days however small the batches are."""
        if self.counts:
            scored_by, before = self.counts[-1]
            if scored_by == version and before.days.keys() == counts.days.keys():
                counts += before
                self.counts.pop()
        self.counts.append((version, counts))


def _place(output: str, batch_id: int) -> str:
    return join(output, COMMITS, f"{batch_id}{_RECORD}")
