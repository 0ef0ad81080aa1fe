"""The promotion ledger: every move of `champion` is a run of its own, written first and closed after.

The run of a move is RUNNING while the move is under way, FINISHED when it is done, KILLED when it did not
happen. A command that dies in between leaves it RUNNING, for the next one to find.
Why, and what it cannot do: docs/decisions/0030-promotion.md.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import mlflow
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from retail_clusters.infra.locks import LockOwner, lock
from retail_clusters.promotion.moves import Move, in_order, numbers_of
from retail_clusters.registry import tracking

#: How long to wait for another command on this machine, in seconds.
PATIENCE: Final = 60.0

#: Moves in an answer of the store.
_PAGE: Final = 1000

_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Ledger:
    """The moves of one registered model's champion."""

    model: str

    @property
    def experiment(self) -> str:
        """Name the MLflow experiment that holds the moves."""
        return f"{self.model}-promotions"

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the one right to move the champion, among the processes of this machine that use this store.

        The system takes it back from a process that dies.

        Raises:
            InputError: another process has held it for a minute.
        """
        purpose = f"one command moves the champion of {self.model} at a time"
        with lock(lock_file(mlflow.get_registry_uri(), self.model), purpose=purpose, wait=PATIENCE):
            yield

    def print_header(
        self,
        *,
        number: int,
        action: str,
        before: str | None,
        after: str,
        reason: str,
        facts: Mapping[str, str],
        texts: Mapping[str, str],
    ) -> Move:
        """Write that a move is about to happen, with its evidence: tags, and artifacts by file name."""
        here = LockOwner.here()
        tags = {
            "move": str(number),
            "action": action,
            "from": before or "",
            "to": after,
            "who": here.user,
            "host": here.host,
            "process": here.text,
            "reason": reason,
        }
        with tracking.answered():
            client = MlflowClient()
            known = client.get_experiment_by_name(self.experiment)
            experiment = known.experiment_id if known else client.create_experiment(self.experiment)
            run = client.create_run(
                experiment,
                run_name=f"{action} {after}",
                tags={"kind": "move"} | tags | dict(facts),
            )
            for name, text in texts.items():
                client.log_text(run.info.run_id, text, name)
        return _from_run(run)

    def close(self, move: Move, *, state: str, note: str) -> None:
        """Write how a move ended."""
        with tracking.answered():
            client = MlflowClient()
            client.set_tag(move.run_id, "note", note)
            client.set_terminated(move.run_id, state)

    def moves(self) -> list[Move]:
        """Read the whole ledger, oldest move first."""
        return self._search("")

    def under_way(self) -> list[Move]:
        """Read the moves that are under way, or were when their process died."""
        return self._search("attributes.status = 'RUNNING'")

    def _search(self, condition: str) -> list[Move]:
        with tracking.answered():
            client = MlflowClient()
            experiment = client.get_experiment_by_name(self.experiment)
            found: list[Run] = []
            token: str | None = None
            while experiment:
                page = client.search_runs(
                    [experiment.experiment_id], condition, max_results=_PAGE, page_token=token
                )
                found += page
                token = page.token
                if not token:
                    break
        return in_order([_from_run(run) for run in found if "move" in run.data.tags])


def lock_file(store: str, model: str) -> str:
    """Return the file that stands for a model: beside an sqlite store, else in the temporary folder.

    A store has one, however its address is written.
    """
    path = tracking.sqlite_file(store)
    if path:
        return f"{path.resolve()}.{model}.promotion-lock"
    parts = urlsplit(store)
    port = parts.port or _PORTS.get(parts.scheme.lower(), 0)
    address = f"{parts.scheme.lower()}://{parts.hostname or ''}:{port}{parts.path.rstrip('/')}"
    digest = hashlib.sha256(f"{address} {model}".encode()).hexdigest()[:16]
    return str(Path(tempfile.gettempdir(), f"retail-clusters-{digest}.promotion-lock"))


def _from_run(run: Run) -> Move:
    """Read a move from its run."""
    tags = run.data.tags
    return Move(
        run_id=run.info.run_id,
        number=int(tags["move"]),
        action=tags["action"],
        before=tags["from"] or None,
        after=tags["to"],
        challenger=tags.get("challenger"),
        numbers=numbers_of(tags.get("cluster_numbers", "")),
        who=tags["who"],
        host=tags["host"],
        process=LockOwner.parse(tags.get("process", "")),
        when=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        reason=tags["reason"],
        state=run.info.status,
        note=tags.get("note", ""),
    )
