"""Many finished runs nested in one: a sweep's trials, written cheaply and never twice."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import mlflow
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from retail_clusters.infra.failures import was_cut_off
from retail_clusters.registry.tracking.kinds import Kind, kind_tag
from retail_clusters.registry.tracking.processes import process_tag
from retail_clusters.registry.tracking.reading import children
from retail_clusters.registry.tracking.records import NOTE
from retail_clusters.registry.tracking.store import answered

#: A server takes calls at the same time, and each waits for the way there and back; sqlite takes one.
_THREADS: Final = 8
#: How often a server may stop in the middle of an answer; MLflow itself waits for one that is away.
_ATTEMPTS: Final = 5


@dataclass(frozen=True)
class ChildRun:
    """A finished run; times are in milliseconds since 1970."""

    name: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    started: int | None = None
    ended: int | None = None
    description: str = ""


class ChildRuns:
    """The children of a run, told apart by a tag; what an earlier process has written of them is known."""

    def __init__(self, parent_id: str, *, kind: Kind, key: str) -> None:
        """Read which children there are; `key` is the tag whose value no two of them share."""
        self._parent = parent_id
        self._kind, self._key = kind, key
        self._client = MlflowClient()
        with answered():
            self._experiment = str(self._client.get_run(parent_id).info.experiment_id)
            self._begun: dict[str, str] = {}
            self._written: set[str] = set()
            self._catch_up()

    def write(self, records: Sequence[ChildRun]) -> list[str]:
        """Write the records that have no finished run yet; return the run of each record, in their order.

        A run that is half written is completed.
        """
        with answered():
            if mlflow.get_tracking_uri().startswith(("http://", "https://")):
                self._write_side_by_side(records)
            else:
                for record in self._new(records):
                    self._write(record)
        return [self._begun[record.tags[self._key]] for record in records]

    def _new(self, records: Sequence[ChildRun]) -> list[ChildRun]:
        return [record for record in records if record.tags[self._key] not in self._written]

    def _write_side_by_side(self, records: Sequence[ChildRun]) -> None:
        """Write over HTTP; where the server stops in the middle, see what it has done, and go on."""
        for left in reversed(range(_ATTEMPTS)):
            try:
                with ThreadPoolExecutor(_THREADS) as pool:
                    list(pool.map(self._write, self._new(records)))
                self._catch_up(status="RUNNING")
                return
            except mlflow.MlflowException as failure:
                if not left or not was_cut_off(failure):
                    raise
                self._catch_up(status="RUNNING")

    def _catch_up(self, *, status: str | None = None) -> None:
        """Read which children there are; remove a second one.

        A server that stops before it has answered may have made a run, and makes another when asked again.
        """
        found = children(self._parent, status=status)
        for run in sorted(found, key=lambda run: run.info.status != "FINISHED"):
            child = run.data.tags.get(self._key)
            if child is None:
                continue
            if self._begun.setdefault(child, run.info.run_id) != run.info.run_id:
                self._client.delete_run(run.info.run_id)
            elif run.info.status == "FINISHED":
                self._written.add(child)

    def _write(self, record: ChildRun) -> None:
        now = int(time.time() * 1000)
        child = record.tags[self._key]
        run_id = self._begun.get(child)
        if run_id is None:
            own = {MLFLOW_PARENT_RUN_ID: self._parent} | process_tag() | kind_tag(self._kind)
            told = {NOTE: record.description} if record.description else {}
            tags = own | told | dict(record.tags)
            made = self._client.create_run(
                self._experiment, start_time=record.started or now, tags=tags, run_name=record.name
            )
            run_id = self._begun[child] = str(made.info.run_id)
        at = record.ended or now
        self._client.log_batch(
            run_id,
            metrics=[Metric(key, value, at, 0) for key, value in record.metrics.items()],
            params=[Param(key, value) for key, value in record.params.items()],
        )
        self._client.set_terminated(run_id, end_time=at)
        self._written.add(child)
