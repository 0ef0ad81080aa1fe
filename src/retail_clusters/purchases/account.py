"""What the appending stream has done so far: a record for each batch, and the state they add up to.

OUTPUT/state.json      who writes here, what is added up, what is proven
OUTPUT/batches/N.json  what batch N read and found, written last: a batch without it is not yet there
OUTPUT/batches/N.parquet  its customer-days, until they are added up
OUTPUT/open/N.parquet  the customer-days that batches up to N have left open
"""

import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from retail_clusters.errors import InputError
from retail_clusters.infra import storage
from retail_clusters.infra.locations import join
from retail_clusters.purchases.customer_days import EPOCH, SHAPE

_STATE: Final = "state.json"
_BATCHES: Final = "batches"
_OPEN: Final = "open"


@dataclass(frozen=True)
class Counts:
    """Files and lines that came in, and what became of them."""

    files: int = 0
    lines: int = 0
    lines_late: int = 0
    lines_quarantined: int = 0
    customer_days: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        """Add up two accounts."""
        return Counts(**{name: count + getattr(other, name) for name, count in asdict(self).items()})


@dataclass(frozen=True)
class BatchRecord:
    """What came in with one batch: its files, its counts, the newest InvoiceDate."""

    batch_id: int
    files: tuple[str, ...]
    counts: Counts
    newest: datetime


@dataclass(frozen=True)
class State:
    """What batches up to `through` add up to. Days that end by `closed_before` are closed, and written.

    Batches up to `proven`, of the stream's first `proven_files` files, have been compared with a plain batch
    over the same files.
    """

    query: str
    through: int = -1
    newest: datetime = EPOCH
    closed_before: datetime = EPOCH
    proven: int = -1
    proven_files: int = 0
    counts: Counts = Counts()


class Account:
    """The account in an output folder."""

    def __init__(self, output: str) -> None:
        """Keep it in `output`."""
        self._output = output

    def read_state(self) -> State | None:
        """Return the state; None in a new folder."""
        text = storage.find_text(join(self._output, _STATE))
        return None if text is None else _parse_state(text, self._output)

    def write_state(self, state: State) -> None:
        """Put a state in place of the one before; what it has added up stays until `forget`."""
        storage.make_folder(self._output)
        storage.write_text(join(self._output, _STATE), json.dumps(asdict(state), default=datetime.isoformat))

    def read_record(self, batch: int) -> BatchRecord | None:
        """Return the record of a batch; None before it is done."""
        text = storage.find_text(self._batch(batch, "json"))
        return None if text is None else _parse_record(text)

    def write_record(self, record: BatchRecord, days: pa.Table) -> None:
        """Keep what a batch found; the record is the last thing that is written."""
        storage.make_folder(join(self._output, _BATCHES))
        write_parquet(self._batch(record.batch_id, "parquet"), days)
        storage.write_text(
            self._batch(record.batch_id, "json"), json.dumps(asdict(record), default=datetime.isoformat)
        )

    def read_records(self, after: int, last: int) -> list[BatchRecord]:
        """Return the records of the batches after one, up to another.

        Raises:
            InputError: one is missing.
        """
        found = [self.read_record(batch) for batch in range(after + 1, last + 1)]
        missing = [batch for batch, record in enumerate(found, start=after + 1) if record is None]
        if missing:
            raise InputError(
                f"an output must hold a record of each batch of its checkpoint, but {self._output} has none "
                f"of batch {missing[0]}: name the two that belong together, or two new folders"
            )
        return [record for record in found if record is not None]

    def read_days(self, batches: Iterable[int]) -> list[pa.Table]:
        """Return the customer-days of batches that are not yet added up."""
        return [read_parquet(self._batch(batch, "parquet")) for batch in batches]

    def read_open(self, through: int) -> pa.Table:
        """Return the customer-days that batches up to `through` have left open."""
        return SHAPE.empty_table() if through < 0 else read_parquet(self._open(through))

    def write_open(self, through: int, days: pa.Table) -> None:
        """Keep the customer-days that are left open."""
        storage.make_folder(join(self._output, _OPEN))
        write_parquet(self._open(through), days)

    def forget(self, before: State, state: State) -> None:
        """Remove what a new state needs no more, given the state before.

        The last record stays: a process that dies before Spark has noted the batch does it again.
        """
        for batch in range(before.through + 1, state.through + 1):
            storage.remove(self._batch(batch, "parquet"))
        for batch in range(before.proven, state.proven):
            storage.remove(self._batch(batch, "json"))
        for through in {before.through, before.proven} - {state.through, state.proven}:
            storage.remove(self._open(through))

    def _batch(self, batch: int, kind: str) -> str:
        return join(self._output, _BATCHES, f"{batch}.{kind}")

    def _open(self, through: int) -> str:
        return join(self._output, _OPEN, f"{through}.parquet")


def advanced(state: State, records: Iterable[BatchRecord]) -> State:
    """Return the state with the counts of further batches, nothing closed yet."""
    for record in records:
        state = replace(
            state,
            through=record.batch_id,
            newest=max(state.newest, record.newest),
            counts=state.counts + record.counts,
        )
    return state


def write_parquet(location: str, table: pa.Table) -> None:
    """Put a Parquet file in place whole."""
    with storage.open_write(location) as stream:
        pq.write_table(table, stream)


def read_parquet(location: str) -> pa.Table:
    """Read a Parquet file."""
    return pq.read_table(io.BytesIO(storage.read_bytes(location)))


def _parse_state(text: str, output: str) -> State:
    try:
        facts = json.loads(text)
        moments = {name: datetime.fromisoformat(facts[name]) for name in ("newest", "closed_before")}
        return State(**facts | moments | {"counts": Counts(**facts["counts"])})
    except (ValueError, TypeError, KeyError) as damaged:
        raise InputError(
            f"an output must hold the state of a purchases stream, but {join(output, _STATE)} gave: {damaged}"
        ) from damaged


def _parse_record(text: str) -> BatchRecord:
    facts = json.loads(text)
    known = {"files": tuple(facts["files"]), "counts": Counts(**facts["counts"])}
    return BatchRecord(**facts | known | {"newest": datetime.fromisoformat(facts["newest"])})
