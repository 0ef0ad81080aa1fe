"""Who a scorer is: its checkpoint, its output and its source, which belong together, and its MLflow run."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from retail_clusters.errors import InputError
from retail_clusters.infra import checkpoint as spark_checkpoint
from retail_clusters.infra import storage
from retail_clusters.infra.locations import for_display, join, to_uri
from retail_clusters.infra.locks import Lock, lock

_IDENTITY: Final = "scorer.json"
_OWNER: Final = "_scorer.json"
_SENT: Final = "sent.json"


@dataclass(frozen=True)
class Identity:
    """A scorer, whatever processes it has run in: its id, and its MLflow run in which tracking store."""

    scorer: str
    run_id: str | None = None
    tracking_uri: str | None = None


@dataclass
class ScorerState:
    """The folder beside Spark's own checkpoint: who the scorer is, and which points are sent."""

    folder: str
    identity: Identity
    lock: Lock
    sent_until: int = -1

    @property
    def stream(self) -> str:
        """Name Spark's own checkpoint."""
        return stream_checkpoint(self.folder)

    def remember_run(self, run_id: str, tracking_uri: str) -> None:
        """Keep the run that the points go to; in another store, all of them go there anew."""
        if (run_id, tracking_uri) != (self.identity.run_id, self.identity.tracking_uri):
            self.mark_sent(-1)
        self.identity = replace(self.identity, run_id=run_id, tracking_uri=tracking_uri)
        _write(join(self.folder, _IDENTITY), asdict(self.identity))

    def mark_sent(self, batch_id: int) -> None:
        """Note that the points up to a batch are sent."""
        self.sent_until = batch_id
        _write(join(self.folder, _SENT), batch_id)


@contextmanager
def open_state(checkpoint: str, *, output: str, source: str) -> Iterator[ScorerState]:
    """Lend the state of the one scorer that may work on this checkpoint and output.

    Raises:
        InputError: another process holds the checkpoint, or the output is of another checkpoint or source.
    """
    storage.make_folder(checkpoint)
    with lock(join(checkpoint, "lock"), purpose="a checkpoint serves one scorer at a time") as held:
        state = _load(checkpoint, held)
        _own(output, checkpoint, scorer=state.identity.scorer, source=to_uri(source))
        yield state


def stream_checkpoint(folder: str) -> str:
    """Name Spark's own checkpoint in a scorer's."""
    return join(folder, "stream")


def _load(checkpoint: str, held: Lock) -> ScorerState:
    known = _read(join(checkpoint, _IDENTITY))
    identity = Identity(**known) if known else Identity(scorer=uuid.uuid4().hex)
    _write(join(checkpoint, _IDENTITY), asdict(identity))
    sent = _read(join(checkpoint, _SENT))
    return ScorerState(checkpoint, identity, held, sent_until=-1 if sent is None else sent)


def _own(output: str, checkpoint: str, *, scorer: str, source: str) -> None:
    """Tie an output to a checkpoint and a source: batches of two streams in one would replace one another."""
    owner = _read(join(output, _OWNER))
    mine = {"scorer": scorer, "source": source}
    if owner == mine:
        return
    if isinstance(owner, dict) and owner.get("scorer") == scorer:
        raise InputError(
            f"an output must hold the lines of one source, but {for_display(output)} holds those of "
            f"{for_display(str(owner.get('source')))} (given: {for_display(source)}): name that source, or a new folder"
        )
    started = spark_checkpoint.has_started(stream_checkpoint(checkpoint))
    if owner is not None or started:
        found = "batches of another checkpoint" if owner is not None else "no batch of the checkpoint"
        raise InputError(
            f"output and checkpoint must belong together, but {for_display(output)} holds {found} "
            f"(given: {for_display(checkpoint)}): name the pair that was used before, or a new folder for both"
        )
    storage.make_folder(output)
    _write(join(output, _OWNER), mine)


def _read(file: str) -> Any:
    text = storage.find_text(file)
    return None if text is None else json.loads(text)


def _write(file: str, content: object) -> None:
    storage.write_text(file, json.dumps(content))
