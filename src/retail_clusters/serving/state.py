"""What a scorer keeps beside its checkpoint: who it is, what each batch did, which points are sent."""

import fcntl
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from retail_clusters.errors import InputError

_IDENTITY: Final = "scorer.json"
_OWNER: Final = "_scorer.json"
_SENT: Final = "sent.json"
#: Batches whose records are kept; unsent ones always are.
_KEPT: Final = 1_000


@dataclass(frozen=True)
class Identity:
    """A scorer, whatever processes it has run in: its id, and its MLflow run in which tracking store."""

    scorer: str
    run_id: str | None = None
    tracking_uri: str | None = None


@dataclass(frozen=True)
class Batch:
    """What one batch did: the points that MLflow gets, and the counts that drift is measured from."""

    batch_id: int
    timestamp: int
    model_version: str
    files: int
    metrics: Mapping[str, float]
    counts: Mapping[str, list[int]] | None = None

    @property
    def points(self) -> list[tuple[str, float, int, int]]:
        """Return name, value, milliseconds and step of each point."""
        return [(name, value, self.timestamp, self.batch_id) for name, value in self.metrics.items()]


@dataclass
class ScorerState:
    """The folder beside the checkpoint, and the batches that it records."""

    folder: Path
    identity: Identity
    sent_until: int = -1
    batches: dict[int, Batch] = field(default_factory=dict)

    @property
    def stream(self) -> Path:
        """Return Spark's own checkpoint."""
        return self.folder / "stream"

    @property
    def unsent(self) -> list[Batch]:
        """List the batches whose points wait."""
        return [batch for number, batch in sorted(self.batches.items()) if number > self.sent_until]

    def remember_run(self, run_id: str, tracking_uri: str) -> None:
        """Keep the run that the points go to; in another store, all of them go there anew."""
        if (run_id, tracking_uri) != (self.identity.run_id, self.identity.tracking_uri):
            self.sent_until = -1
            _write(self.folder / _SENT, self.sent_until)
        self.identity = replace(self.identity, run_id=run_id, tracking_uri=tracking_uri)
        _write(self.folder / _IDENTITY, asdict(self.identity))

    def record(self, batch: Batch) -> None:
        """Keep what a batch did: from here on it is done, and a replay has nothing left to do."""
        _write(self.folder / "batches" / f"{batch.batch_id}.json", asdict(batch))
        self.batches[batch.batch_id] = batch

    def mark_sent(self, batch_id: int) -> None:
        """Note that the points up to a batch are sent, and forget the oldest batches."""
        self.sent_until = batch_id
        _write(self.folder / _SENT, batch_id)
        for number in [number for number in self.batches if number <= batch_id - _KEPT]:
            del self.batches[number]
            (self.folder / "batches" / f"{number}.json").unlink(missing_ok=True)


@contextmanager
def open_state(checkpoint: Path, *, output: Path) -> Iterator[ScorerState]:
    """Lend the state of the one scorer that may work on this checkpoint and output.

    Raises:
        InputError: another process holds the checkpoint, or the output belongs to another one.
    """
    (checkpoint / "batches").mkdir(parents=True, exist_ok=True)
    with (checkpoint / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as held:
            raise InputError(
                f"a checkpoint serves one scorer at a time, but another holds {checkpoint}: stop it first"
            ) from held
        state = _load(checkpoint)
        _own(output, checkpoint, scorer=state.identity.scorer)
        yield state


def _load(checkpoint: Path) -> ScorerState:
    known = _read(checkpoint / _IDENTITY)
    identity = Identity(**known) if known else Identity(scorer=uuid.uuid4().hex)
    _write(checkpoint / _IDENTITY, asdict(identity))
    sent = _read(checkpoint / _SENT)
    batches = [Batch(**_read(file)) for file in (checkpoint / "batches").glob("*.json")]
    return ScorerState(
        folder=checkpoint,
        identity=identity,
        sent_until=-1 if sent is None else sent,
        batches={batch.batch_id: batch for batch in batches},
    )


def _own(output: Path, checkpoint: Path, *, scorer: str) -> None:
    """Tie an output to a checkpoint: batches of two streams in one folder would replace one another."""
    owner = _read(output / _OWNER)
    if owner == scorer:
        return
    started = (checkpoint / "stream" / "offsets").is_dir()
    if owner is not None or started:
        found = "batches of another checkpoint" if owner is not None else "no batch of the checkpoint"
        raise InputError(
            f"output and checkpoint must belong together, but {output} holds {found} (given: {checkpoint}): "
            "name the pair that was used before, or a new folder for both"
        )
    output.mkdir(parents=True, exist_ok=True)
    _write(output / _OWNER, scorer)


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def _write(file: Path, content: object) -> None:
    """Replace a file in one step."""
    draft = file.with_name(f".{file.name}.writing")
    draft.write_text(json.dumps(content), encoding="utf-8")
    os.replace(draft, file)  # noqa: PTH105
