"""What each batch did: one record, the last thing that it writes, and the book of them all."""

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from retail_clusters.errors import InputError
from retail_clusters.features.binned import Counts
from retail_clusters.infra import storage
from retail_clusters.infra.locations import for_display
from retail_clusters.serving.known_files import InputFile, KnownFiles
from retail_clusters.serving.output import Output

#: Batches whose figures are kept in memory: those that the chart shows.
RECENT: Final = 1_000


@dataclass(frozen=True)
class Record:
    """What one batch did.

    `stream_batch` is Spark's number of the batch in the query `query_id`; None where Spark knows nothing of
    it, as with a file that is scored anew. `replaces` names the lines that this batch stands for from now on:
    earlier batch and `source_file`.
    """

    batch_id: int
    query_id: str
    stream_batch: int | None
    timestamp: int
    model_version: str
    files: tuple[InputFile, ...]
    rows_in: int
    rows_scored: int
    rows_quarantined: int
    metrics: Mapping[str, float]
    counts: Mapping[str, Any] | None = None
    replaces: tuple[tuple[int, str], ...] = ()

    @property
    def points(self) -> list[tuple[str, float, int, int]]:
        """Return name, value, milliseconds and step of each point that MLflow gets."""
        return [(name, value, self.timestamp, self.batch_id) for name, value in self.metrics.items()]

    def to_json(self) -> str:
        """Write the record as one JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Record":
        """Read the record that `to_json` wrote."""
        found = json.loads(text)
        found["files"] = tuple(InputFile(**file) for file in found["files"])
        found["replaces"] = tuple((int(batch), str(file)) for batch, file in found["replaces"])
        return cls(**found)


@dataclass(frozen=True)
class Compacted:
    """What `compact` has rewritten: batches up to one, in which folders, and what was replaced in them."""

    until: int = -1
    folders: tuple[str, ...] = ()
    replaced: tuple[tuple[int, str], ...] = ()


class ScoredDays:
    """The counts of what was scored lately: batches of the same days, by the same version, are added up.

    So the days that drift is measured over are there however small the batches are.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._parts: deque[tuple[str, Counts]] = deque(maxlen=RECENT)

    def add(self, version: str, counts: Counts) -> None:
        """Add what a version scored."""
        if self._parts and self._parts[-1][0] == version and self._parts[-1][1].days == counts.days:
            counts += self._parts.pop()[1]
        self._parts.append((version, counts))

    def newest_first(self, version: str) -> list[Counts]:
        """Return what a version scored."""
        return [counts for scored_by, counts in reversed(self._parts) if scored_by == version]


@dataclass
class CommitLog:
    """The records of an output: how far it is, the recent figures, and what is known of every file."""

    output: Output
    last: int = -1
    stream_last: int = -1
    query_id: str | None = None
    recent: dict[int, Mapping[str, float]] = field(default_factory=dict)
    scored_days: ScoredDays = field(default_factory=ScoredDays)
    known: KnownFiles = field(default_factory=KnownFiles)
    unstreamed: list[int] = field(default_factory=list)

    @classmethod
    def load(cls, output: Output) -> "CommitLog":
        """Read every record.

        Raises:
            InputError: one is missing between others, or lines are there that no record of theirs tells of.
        """
        book = cls(output)
        for batch_id in output.committed():
            book._check_next(batch_id)
            book._learn(read_record(output, batch_id))
        beyond = [batch_id for batch_id in output.begun() if batch_id > book.last + 1]
        if beyond:
            raise InputError(
                f"an output must hold a record of each batch, but {for_display(output.location)} has lines of "
                f"batch {beyond[-1]} and records up to {book.last}: bring back the folder commits with theirs"
            )
        return book

    def append(self, record: Record) -> None:
        """Keep what a batch did: from here on it is there, and a replay has nothing left to do."""
        storage.write_text(self.output.record(record.batch_id), record.to_json())
        self._learn(record)

    def number_of(self, stream_batch: int) -> int:
        """Return the number here of Spark's batch: batches that it knows nothing of took numbers between."""
        number = stream_batch
        for taken in self.unstreamed:
            if taken > number:
                break
            number += 1
        return number

    def holds(self, stream_batch: int, *, query_id: str, files: Sequence[InputFile]) -> bool:
        """Tell whether a batch of the stream is done.

        Raises:
            InputError: it is another stream's, or had other files, or batches before it are not here.
        """
        number = self.number_of(stream_batch)
        if number > self.last + 1:
            raise InputError(
                f"an output must hold every batch before the one under way, but "
                f"{for_display(self.output.location)} ends with batch {self.last}, and the checkpoint goes on with "
                f"{number}: bring back the output that belongs to it, or name a new folder for both"
            )
        if number > self.last:
            return False
        record = read_record(self.output, number)
        recorded = {file.location for file in record.files}
        others = [
            file.location
            for file in files
            if file.location not in recorded and not self._had(file.location, before=number)
        ]
        if record.query_id != query_id or others:
            raise self._mismatch(
                f"batch {number} had {_listed(recorded)}, not {_listed(others or ['these'])}"
            )
        return True

    def check_stream(self, query_id: str | None, *, last_batch: int | None) -> None:
        """Refuse a checkpoint that the batches did not come from, or that is older or newer than they are.

        Raises:
            InputError: Spark would skip files, or bring others under the same numbers.
        """
        if self.query_id and query_id != self.query_id:
            raise self._mismatch("its batches came from another checkpoint, or it was deleted")
        reached = -1 if last_batch is None else last_batch
        if not self.stream_last - 1 <= reached <= self.stream_last:
            raise self._mismatch(
                f"the checkpoint ends with its batch {reached}, the output with {self.stream_last}"
            )

    def _had(self, location: str, *, before: int) -> bool:
        """Tell whether a batch had a file before: a stream that brings it again does so in vain."""
        found = self.known.find(location)
        return found is not None and found[1] < before

    def _mismatch(self, found: str) -> InputError:
        return InputError(
            f"checkpoint and output must belong together, but for {for_display(self.output.location)} {found}: "
            "bring back the checkpoint that was used last, or name new folders and score everything anew"
        )

    def _check_next(self, batch_id: int) -> None:
        if batch_id != self.last + 1:
            raise InputError(
                f"an output must hold a record of each batch, but {for_display(self.output.commits)} lacks "
                f"{self.last + 1}.json: bring it back"
            )

    def _learn(self, record: Record) -> None:
        self.last = record.batch_id
        self.query_id = record.query_id
        self.recent[record.batch_id] = record.metrics
        self.recent.pop(record.batch_id - RECENT, None)
        if record.counts:
            self.scored_days.add(record.model_version, Counts.from_json(record.counts))
        self.known.learn(record.files, record.batch_id)
        if record.stream_batch is None:
            self.unstreamed.append(record.batch_id)
        else:
            self.stream_last = record.stream_batch


def read_record(output: Output, batch_id: int) -> Record:
    """Read the record of a batch."""
    return Record.from_json(storage.read_text(output.record(batch_id)))


def read_compacted(output: Output) -> Compacted:
    """Read what has been compacted."""
    text = storage.find_text(output.manifest)
    if text is None:
        return Compacted()
    found = json.loads(text)
    replaced = tuple((int(batch), str(file)) for batch, file in found["replaced"])
    return Compacted(int(found["until"]), tuple(found["folders"]), replaced)


def write_compacted(output: Output, compacted: Compacted) -> None:
    """Let readers find what has been compacted: one object, put in place in one step."""
    storage.write_text(output.manifest, json.dumps(asdict(compacted)))


def _listed(files: Sequence[str] | set[str]) -> str:
    some = sorted(files)
    return ", ".join(for_display(file) for file in some[:3]) + (
        f" and {len(some) - 3} more" if len(some) > 3 else ""
    )
