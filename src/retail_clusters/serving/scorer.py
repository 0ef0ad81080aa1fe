"""The scorer of a stream: batch after batch, each recorded last, with whatever model is ready."""

import time
from collections.abc import Sequence
from dataclasses import asdict

from pyspark.sql import SparkSession

from retail_clusters.errors import InputError
from retail_clusters.features.interface import TRAINED_ON
from retail_clusters.infra import checkpoint as spark_checkpoint
from retail_clusters.infra.console import Progress
from retail_clusters.infra.failures import in_short
from retail_clusters.infra.locations import for_display
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.serving import charts, source_watch
from retail_clusters.serving.archive import clean_source
from retail_clusters.serving.batch import Agreement, ServedModel, compare, count_batch, serve, write_batch
from retail_clusters.serving.drift_watch import DriftWatch
from retail_clusters.serving.folder_watch import FolderWatch
from retail_clusters.serving.follower import AliasPoller, Follower
from retail_clusters.serving.known_files import InputFile
from retail_clusters.serving.metrics import Totals, agreement_metrics, batch_metrics, drift_metrics, line_of
from retail_clusters.serving.output import Output
from retail_clusters.serving.records import CommitLog, Record
from retail_clusters.serving.request import ScoreRequest
from retail_clusters.serving.sender import Sender
from retail_clusters.serving.staged import StagedBatch, prepare, staged_batch
from retail_clusters.serving.state import ScorerState
from retail_clusters.settings import CHALLENGER


class Scorer:
    """Scores batch after batch: what the stream calls."""

    def __init__(self, spark: SparkSession, request: ScoreRequest, *, state: ScorerState) -> None:
        """Read the records, and refuse a checkpoint that does not belong to them.

        Raises:
            InputError: records and checkpoint, or records and lines, are not of one time.
        """
        self.totals = Totals()
        self.progress = Progress()
        self._spark, self._state = spark, state
        self._source, self._output = request.source, Output(request.output)
        self._registry = ModelRegistry(request.model)
        self._settings, self._columns = request.settings, request.columns
        self._book = CommitLog.load(self._output)
        self._book.check_stream(
            spark_checkpoint.query_id(state.stream), last_batch=spark_checkpoint.last_batch(state.stream)
        )
        prepare(self._output, after=self._book.last)
        self._champion = self._follow(request.alias)
        self._challenger = self._follow(CHALLENGER) if self._settings.shadow else None
        self._drift = DriftWatch(self._book, warning=self._settings.drift_warning, warn=self.progress.warn)
        self.folder = FolderWatch(
            request.source, self._book, archive=self._settings.archive, warn=self.progress.warn
        )
        self._lookout: AliasPoller | None = None
        self._sender: Sender | None = None

    def start(self) -> None:
        """Load the model, follow its alias, and send points, those of an earlier process first.

        Raises:
            RegistryError: there is no model to start with.
        """
        self._champion.require()
        data = self._champion.current.opened.metadata.get(TRAINED_ON)
        if data:
            self.progress.note(f"version {self._champion.version} was trained on {data}")
        if self._challenger:
            self._challenger.look()
        self._lookout = AliasPoller(*(each for each in (self._champion, self._challenger) if each))
        self._sender = Sender(self._state, self._output, warn=self.progress.warn, note=self.progress.note)
        self._sender.reach(self._book.last)

    def process(self, stream_batch: int, files: Sequence[InputFile]) -> None:
        """Score a batch of the stream, unless it is done."""
        query_id = self._query_id
        files = self.folder.drop_link_duplicates(files)
        if self._book.holds(stream_batch, query_id=query_id, files=files):
            return
        new = {file.location: file for file in files if not self.folder.has_lines(file)}
        found = self.folder.look(due=not new or len(new) < len(files))
        others = [file for file in found if file.location not in new]
        self._score([*new.values(), *others], query_id=query_id, stream_batch=stream_batch)

    def look_again(self, waited: Sequence[InputFile] = ()) -> None:
        """Look at the folder after a stream, and score what it did not bring in batches of their own.

        These are files that no stream brings, and those of `waited`, which the stream has had time for.
        """
        files = self.folder.look(due=True, waited=waited)
        at_once = self._settings.max_files_per_trigger
        for first in range(0, len(files), at_once):
            part = files[first : first + at_once]
            self._score(part, query_id=self._query_id, stream_batch=None)

    def rescore(self, file: InputFile) -> None:
        """Score a file anew, as a batch of its own that takes the place of the file's earlier lines.

        Raises:
            InputError: no batch has scored the file yet.
        """
        found = self._book.known.find(file.location)
        if found is None:
            raise InputError(
                f"a file to score anew must have been scored, but no batch holds {for_display(file.location)}: "
                "score it with the others first (entry point score)"
            )
        _, earlier = found
        replaces = ((earlier, source_watch.source_name(file)),)
        self._score([file], query_id=self._query_id, stream_batch=None, replaces=replaces)
        self.folder.look(due=True)

    def finish(self, *, status: str | None) -> None:
        """Send what waits and a chart of the drift, and close the run; say so when that fails.

        Without a status the run is another process's by now, and is left alone.
        """
        self.progress.close()
        if self._lookout:
            self._lookout.finish()
        run_id = self._state.identity.run_id
        if self._sender:
            self._sender.finish()
        if run_id is None or status is None or (self._sender and not self._sender.has_sent_all):
            return
        chart_problem = self._send_chart(run_id) if self._sender else None
        problem = chart_problem or tracking.attempt(tracking.end_run, run_id, status=status)
        if problem:
            self.progress.warn(f"the run stays open, as the tracking store gave: {problem}")

    def _score(
        self,
        files: Sequence[InputFile],
        *,
        query_id: str,
        stream_batch: int | None,
        replaces: tuple[tuple[int, str], ...] = (),
    ) -> None:
        started = time.perf_counter()
        batch_id = self._book.last + 1
        if self._champion.take():
            self.progress.note(f"version {self._champion.version} scores from batch {batch_id} on")
        model = self._champion.current
        confirm = self._state.lock.confirm
        with staged_batch(self._output, batch_id, confirm=confirm) as staged:
            accounts = write_batch(
                self._spark, staged, [file.location for file in files], model=model, columns=self._columns
            )
            accounts.check(batch_id)
            counts = count_batch(staged, model=model)
            agreement = self._shadow(staged)
        metrics = batch_metrics(
            accounts,
            time.perf_counter() - started,
            model=model,
            counts=counts,
            files_changed=self.folder.changed,
        )
        moved = self._drift.measure(counts, model=model)
        record = Record(
            batch_id=batch_id,
            query_id=query_id,
            stream_batch=stream_batch,
            timestamp=int(time.time() * 1000),
            model_version=model.version,
            files=tuple(files),
            metrics=metrics | drift_metrics(moved) | agreement_metrics(agreement),
            counts=asdict(counts) if counts else None,
            replaces=replaces,
            **asdict(accounts),
        )
        confirm()
        self._book.append(record)
        self._recorded(record)

    def _recorded(self, record: Record) -> None:
        """Do what may be done late, or again, once the batch is there."""
        clean_source(record.files, source=self._source, how=self._settings.archive, batch_id=record.batch_id)
        self.totals.add(record)
        if self._sender:
            self._sender.reach(record.batch_id)
        self.progress.show(line_of(record))

    @property
    def _query_id(self) -> str:
        return spark_checkpoint.query_id(self._state.stream) or self._book.query_id or ""

    def _follow(self, alias: str) -> Follower[ServedModel]:
        return Follower(
            alias,
            look_up=lambda named: self._registry.version_named(alias=named),
            load=lambda version: serve(self._spark, self._registry, version=version, columns=self._columns),
            warn=self.progress.warn,
            note=self.progress.note,
        )

    def _shadow(self, staged: StagedBatch) -> Agreement | None:
        """Compare with the challenger; whatever it does, the champion's batch stands."""
        if self._challenger is None:
            return None
        self._challenger.take()
        if self._challenger.model is None or self._challenger.version == self._champion.version:
            return None
        try:
            return compare(self._spark, staged, challenger=self._challenger.current)
        except Exception as failure:
            self.progress.warn(f"the challenger failed on a batch: {in_short(failure)}")
            return None

    def _send_chart(self, run_id: str) -> str | None:
        chart = charts.drift_chart(self._book.recent, warning=self._settings.drift_warning)
        return tracking.attempt(tracking.log_chart, chart, "drift.png", run_id=run_id) if chart else None
