"""Many finished runs nested in one: a sweep's trials, written at once and never twice."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import mlflow
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE

from retail_clusters.registry import tracking

#: A server takes calls at the same time, and each waits for the way there and back; sqlite takes one.
_THREADS: Final = 8


@dataclass(frozen=True)
class ChildRun:
    """A finished run."""

    name: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    description: str = ""


class ChildRuns:
    """The children of a run, told apart by a tag; what an earlier process has written of them is known."""

    def __init__(self, parent_id: str, *, kind: tracking.Kind, key: str) -> None:
        """Read which children there are; `key` is the tag whose value no two of them share."""
        self._parent, self._kind, self._key = parent_id, kind, key
        self._client = MlflowClient()
        self._begun: dict[str, str] = {}
        self._finished: set[str] = set()
        self._experiment = tracking.read_run(parent_id).info.experiment_id
        self._read()

    def write(self, records: Sequence[ChildRun]) -> list[str]:
        """Write the records that have no finished run yet; return the run of each record, in their order.

        A run that is half written is completed.
        """
        new = [record for record in records if record.tags[self._key] not in self._finished]
        over_http = mlflow.get_tracking_uri().startswith(("http://", "https://"))
        with tracking.answered(), ThreadPoolExecutor(_THREADS if over_http else 1) as pool:
            list(pool.map(self._write, new))
        if over_http:
            self._read(status="RUNNING")
        return [self._begun[record.tags[self._key]] for record in records]

    def _read(self, *, status: str | None = None) -> None:
        """Read which children there are; delete a second one.

        A server that stops before it has answered may have made a run; asked again, it makes another.
        """
        found = tracking.children(self._parent, status=status)
        for run in sorted(found, key=lambda run: run.info.status != "FINISHED"):
            child = run.data.tags.get(self._key)
            if child is None:
                continue
            if self._begun.setdefault(child, run.info.run_id) != run.info.run_id:
                with tracking.answered():
                    self._client.delete_run(run.info.run_id)
            elif run.info.status == "FINISHED":
                self._finished.add(child)

    def _write(self, record: ChildRun) -> None:
        now, child = int(time.time() * 1000), record.tags[self._key]
        run_id = self._begun.get(child)
        if run_id is None:
            own = {MLFLOW_PARENT_RUN_ID: self._parent, MLFLOW_RUN_NOTE: record.description}
            made = self._client.create_run(
                self._experiment,
                start_time=now,
                tags=own | tracking.run_tags(self._kind) | dict(record.tags),
                run_name=record.name,
            )
            run_id = self._begun[child] = str(made.info.run_id)
        self._client.log_batch(
            run_id,
            metrics=[Metric(key, value, now, 0) for key, value in record.metrics.items()],
            params=[Param(key, value) for key, value in record.params.items()],
        )
        self._client.set_terminated(run_id, end_time=now)
        self._finished.add(child)
