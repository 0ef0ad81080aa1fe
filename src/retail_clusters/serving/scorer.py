"""The scorer: files that no record holds become batches, each recorded last, with whatever model is ready."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Final

from pyspark.sql import SparkSession

from retail_clusters.data import listing, quarantine
from retail_clusters.data.listing import Account
from retail_clusters.data.quarantine import Reason, Tally
from retail_clusters.errors import InputError, RegistryError
from retail_clusters.features import drift
from retail_clusters.features.drift import Counts
from retail_clusters.features.interface import TRAINED_ON
from retail_clusters.infra import storage
from retail_clusters.infra.console import Progress, in_short
from retail_clusters.infra.locations import for_display, join, to_uri
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.serving.alias import Follower
from retail_clusters.serving.attempt import Attempt, prepare, remove_dead
from retail_clusters.serving.batch import ServedModel, compare, count_batch, serve, write_batch
from retail_clusters.serving.commits import (
    LINES,
    QUARANTINE,
    SCORED,
    BatchTakenError,
    CommitLog,
    Record,
    read_record,
)
from retail_clusters.serving.segments import SegmentWriter, Written
from retail_clusters.serving.snapshot import Snapshot
from retail_clusters.serving.source import InputFile, ScoreRequest, clean_source, files_of
from retail_clusters.settings import CHALLENGER
from retail_clusters.wording import pluralize

#: Where drift is not measured for so many batches, that is told.
_TOLD_AFTER: Final = 7
_EPOCH: Final = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class ScoreSummary:
    """What one process has done, in the MLflow run `run_id`."""

    run_id: str
    batches: int = 0
    files: int = 0
    rows_in: int = 0
    rows_scored: int = 0
    rows_excluded: int = 0
    rows_quarantined: int = 0
    model_versions: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    account: Account | None = None
    segments: Snapshot | None = None

    @property
    def places(self) -> str:
        """Say what became of the lines."""
        excluded = f"{self.rows_excluded:,} excluded, " if self.rows_excluded else ""
        done = "kept for segments" if self.segments else "scored"
        return f"{self.rows_scored:,} {done}, {excluded}{self.rows_quarantined:,} quarantined"

    def plus(self, record: Record) -> "ScoreSummary":
        """Add a batch."""
        return replace(
            self,
            batches=self.batches + 1,
            files=self.files + len(record.files),
            rows_in=self.rows_in + record.rows_in,
            rows_scored=self.rows_scored + record.rows_scored,
            rows_excluded=self.rows_excluded + record.rows_excluded,
            rows_quarantined=self.rows_quarantined + record.rows_quarantined,
            model_versions=tuple(dict.fromkeys((*self.model_versions, record.model_version))),
        )


class DriftWatch:
    """Measures drift batch by batch; says when it begins, and when it could not be measured for a while."""

    def __init__(self, log: CommitLog, *, warning: float, progress: Progress) -> None:
        """Watch the batches of a log."""
        self._log, self._above, self._warn = log, warning, progress.warn
        self._drifting = False
        self._since = 0
        self._wrong = set[int]()
        self.unmeasured: str | None = None

    def measure(self, counts: Counts | None, *, model: ServedModel) -> dict[str, float]:
        """Return the metrics of the latest lines of a version, those of the batch under way first."""
        if counts is None or model.baseline is None:
            self._tell_unmeasured(f"version {model.version} of an early release has no baseline: train anew")
            return {}
        moved = drift.measure([counts, *self._log.newest_counts(model.version)], against=model.baseline)
        self._tell_unmeasured(moved.unmeasured)
        self._tell_wrong(moved.window.wrong_days)
        why = moved.warning(model.baseline, above=self._above)
        if why and not self._drifting:
            self._warn(
                f"the lines drift from those that trained the model: {why}; look at them, and train anew"
            )
        self._drifting = why is not None
        scaled = moved.scaled(model.baseline, above=self._above)
        found = {f"drift/{name}": value for name, value in scaled.items()}
        return {"drift_psi": max(found.values())} | found if found else {}

    def _tell_unmeasured(self, why: str | None) -> None:
        batch_id = self._log.last + 1
        self._since = self._since if self.unmeasured else batch_id
        self.unmeasured = why and f"drift is unmeasured since batch {self._since}, because {why}"
        if self.unmeasured and batch_id - self._since + 1 == _TOLD_AFTER:
            self._warn(self.unmeasured)

    def _tell_wrong(self, days: Sequence[int]) -> None:
        """Say once of a day that it does not count."""
        for day in set(days) - self._wrong:
            named = date.fromordinal(_EPOCH + day)
            self._warn(
                f"hardly any line is of {named}, more than a month after all others: drift passes it over"
            )
        self._wrong |= {*days}


class Scorer:
    """Scores batch after batch: the files of its source that no record holds."""

    def __init__(
        self, spark: SparkSession, request: ScoreRequest, *, log: CommitLog, progress: Progress, run_id: str
    ) -> None:
        """Remove what killed scorers left; load nothing yet."""
        prepare(log)
        self.summary = ScoreSummary(run_id)
        self.drift = DriftWatch(log, warning=request.settings.drift_warning, progress=progress)
        self._spark, self._request, self._log, self._progress = spark, request, log, progress
        self._segments = SegmentWriter(spark, request, log=log, progress=progress)
        self._champion = self._follow(request.alias)
        self._challenger = self._follow(CHALLENGER)
        self._listed: frozenset[str] = frozenset()
        self._changed: set[InputFile] = set()
        self._told: set[InputFile] = set()
        self._tally, self._broken, self._read = Tally(), set[str](), set[str]()

    def start(self) -> None:
        """Load the model.

        Raises:
            RegistryError: there is none to start with.
            InputError: it cannot go on with the output, or gives no segments that dates are asked of.
        """
        model = self._champion.require()
        self._check_kind(model)
        data = model.opened.metadata.get(TRAINED_ON)
        if data:
            self._progress.note(f"version {self._champion.version} was trained on {data}")
        if self._request.settings.shadow:
            self._challenger.poll()

    def _check_kind(self, model: ServedModel) -> None:
        if not model.unit and (self._request.as_of or self._request.every):
            raise InputError(
                f"as_of and every are dates of segments, but version {model.version} {model.gives}: leave them out, or "
                "score with a version that has a unit"
            )
        other = join(self._log.output, SCORED if model.unit else LINES)
        if storage.is_folder(other) and storage.list_folders(other):
            raise InputError(
                f"an output holds scored lines or segments, but version {model.version} {model.gives} and "
                f"{for_display(other)} is there: name another output"
            )
        self._segments.check(model)

    def poll(self) -> None:
        """Go over to the models that the aliases name by now: between two batches."""
        self._champion.poll()
        if self._request.settings.shadow:
            self._challenger.poll()

    def waiting(self) -> list[InputFile]:
        """List the files that no record holds, oldest first; tell of changed ones, archive what a kill left."""
        found, known = listing.find(to_uri(self._request.source)), self._log.known
        # Hard links may have been scored under another name, when that one was the first.
        twins = {own for second, own in found.second_names.items() if second in known and own not in known}
        files = [file for file in files_of(found) if file.location not in twins]
        self._listed = frozenset(file.location for file in files)
        scored = [file for file in files if self._log.has_scored(file)]
        as_scored = [file for file in scored if known[file.location][:2] == (file.length, file.modified_ms)]
        self._changed = {*scored} - {*as_scored}
        for file in sorted(self._changed - self._told, key=lambda file: file.location):
            self._progress.warn(
                f"{for_display(file.location)} changed after batch {known[file.location][2]} had scored it, "
                "and its lines there are the earlier ones: score it anew with score --rescore FILE"
            )
        self._told |= self._changed
        self._clean(as_scored)
        return [file for file in files if not self._log.has_scored(file)]

    def finish(self) -> None:
        """Add to the summary why lines are quarantined, and what became of each file in the folder."""
        found = listing.find(to_uri(self._request.source))
        there = found.locations
        account = listing.account(
            found,
            quarantined=sum(file in self._broken for file in there),
            read_before=sum(file in self._log.known and file not in self._read for file in there),
            waiting=sum(file not in self._log.known for file in there),
        )
        reasons = self._tally.reasons(self._request.how)
        self.summary = replace(self.summary, reasons=reasons, account=account)

    def write_segments(self) -> Written | None:
        """Write who is in which segment on the dates that are due, where the version has a unit."""
        written = self._segments.write_due(self._champion.require())
        self.summary = replace(self.summary, segments=self._segments.latest)
        return written

    def process(self, brought: Sequence[InputFile]) -> None:
        """Score a batch of the stream: those of its files that are in the folder's listing and in no record.

        A path that leads through a link to a folder above is not in the listing, nor is a file that is gone.
        """
        new = [file for file in brought if not self._log.has_scored(file)]
        if any(file.location not in self._listed for file in new):
            self.waiting()
        self._score([file for file in new if file.location in self._listed])

    def score_left(self) -> None:
        """Score what no stream brings: empty files, names that are not UTF-8, what Spark has forgotten."""
        files, at_once = self.waiting(), self._request.settings.max_files_per_trigger
        for first in range(0, len(files), at_once):
            self._score(files[first : first + at_once])

    def rescore(self, file: InputFile) -> None:
        """Score a file anew, as a batch of its own that takes the place of the file's earlier lines.

        Raises:
            InputError: no batch has scored the file yet.
        """
        found = self._log.known.get(file.location)
        if found is None:
            raise InputError(
                f"a file to score anew must have been scored, but no batch holds {for_display(file.location)}: "
                "score it with the others first (entry point score)"
            )
        self._score([file], replaces=((found[2], listing.source_name(file.location)),))

    def _score(self, files: Sequence[InputFile], *, replaces: tuple[tuple[int, str], ...] = ()) -> None:
        if not files:
            return
        started, batch_id = time.perf_counter(), self._log.last + 1
        model = self._champion.require()
        with closing(Attempt(self._log.output)) as attempt:
            batch = write_batch(
                self._spark,
                attempt,
                [file.location for file in files],
                model=model,
                how=self._request.how,
                distance=self._request.settings.distance,
                first=batch_id == 0,
            )
            self._tally.add(quarantine.read(attempt.folder(QUARANTINE)))
            counts = count_batch(self._spark, attempt, model=model)
            metrics: dict[str, float] = asdict(batch.accounts) | {
                "rows_per_second": batch.accounts.rows_in / (time.perf_counter() - started),
                "model_version": float(model.version),
                "files_changed": len(self._changed),
            }
            record = Record(
                batch_id=batch_id,
                timestamp=int(time.time() * 1000),
                model_version=model.version,
                files=tuple(files),
                **asdict(batch.accounts),
                metrics=metrics | self._drift(counts, model=model) | self._shadow(attempt),
                counts=asdict(counts) if counts else None,
                replaces=replaces,
                days=attempt.count_days(LINES),  # before the files are moved
                written=attempt.publish(batch_id),
                extra=batch.extra,
            )
            try:
                self._log.append(record)
            except BatchTakenError:
                remove_dead(self._log.output, read_record(self._log.output, batch_id))
                raise
        if model.unit:
            self._segments.tell_late(record.days, unit=model.unit)
        self._broken.update(batch.broken)
        self._read.update(file.location for file in files)
        self._recorded(record)

    def _recorded(self, record: Record) -> None:
        """Do what may be done late, or again, once the batch is there."""
        remove_dead(self._log.output, record)
        self._clean(record.files)
        self.summary = self.summary.plus(record)
        self._progress.note(_line_of(record))

    def _clean(self, files: Sequence[InputFile]) -> None:
        how = self._request.settings.archive
        clean_source(files, source=self._request.source, how=how, batch_id=self._log.last)

    def _drift(self, counts: Counts | None, *, model: ServedModel) -> dict[str, float]:
        return {} if model.unit else self.drift.measure(counts, model=model)

    def _shadow(self, attempt: Attempt) -> dict[str, float]:
        """Compare with the challenger; whatever it does, the champion's batch stands."""
        if self._challenger.model is None or self._challenger.version == self._champion.version:
            return {}
        try:
            return compare(self._spark, attempt, challenger=self._challenger.model)
        except Exception as failure:
            self._progress.warn(f"the challenger failed on a batch: {in_short(failure)}")
            return {}

    def _follow(self, alias: str) -> Follower[ServedModel]:
        registry = ModelRegistry(self._request.model)
        return Follower(
            alias,
            look_up=lambda named: registry.version_named(alias=named),
            load=lambda version: self._load(registry, version),
            warn=self._progress.warn,
            note=self._progress.note,
        )

    def _load(self, registry: ModelRegistry, version: str) -> ServedModel:
        """Load a version that can take over from the champion.

        Raises:
            RegistryError: it does not work, or gives clusters to something else.
        """
        model, now = serve(self._spark, registry, version=version), self._champion.model
        if now and now.keys != model.keys:
            raise RegistryError(
                f"a version takes over from one of the same unit, but version {version} {model.gives}, and version "
                f"{now.version} {now.gives}: score with it into another output"
            )
        return model


def _line_of(record: Record) -> str:
    """Say in one line what a batch did."""
    parts = [
        f"batch {record.batch_id}",
        pluralize(len(record.files), "file"),
        pluralize(record.rows_in, "line"),
        f"{record.metrics['rows_per_second']:,.0f} lines/s",
        f"model version {record.model_version}",
    ]
    if record.rows_excluded:
        parts.append(f"{record.rows_excluded:,} excluded")
    if record.rows_quarantined:
        parts.append(f"{record.rows_quarantined:,} quarantined")
    if "drift_psi" in record.metrics:
        parts.append(f"drift {record.metrics['drift_psi']:.2f}")
    return " · ".join(parts)
