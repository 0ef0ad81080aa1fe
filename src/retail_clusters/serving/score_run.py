"""The MLflow run of a scorer: gone on in by every process, sent the points of the records, described."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pandas as pd

from retail_clusters import schema
from retail_clusters.data import quarantine
from retail_clusters.errors import InputError
from retail_clusters.infra import markdown, storage
from retail_clusters.infra.console import Progress
from retail_clusters.infra.locations import for_display, join, to_uri
from retail_clusters.registry import tracking
from retail_clusters.report import over_time, plots
from retail_clusters.report.over_time import SEGMENTS_OF
from retail_clusters.serving.alias import Pause
from retail_clusters.serving.commits import CommitLog, read_record
from retail_clusters.serving.scorer import ScoreSummary
from retail_clusters.serving.segments import Point, Written
from retail_clusters.serving.source import ScoreRequest
from retail_clusters.wording import pluralize

#: MLflow takes 1,000 points at once; a batch has some fifteen.
_BATCHES_AT_ONCE: Final = 20


class ScoreRun:
    """The run that the points of an output go to.

    What waits are the records, so nothing is lost when the store is away or the process dies, and nothing
    grows in memory. A point that is sent twice is one point.
    """

    def __init__(self, request: ScoreRequest, *, log: CommitLog, progress: Progress) -> None:
        """Go on in the run of the process before, or open one; in another store, all points go there anew.

        Raises:
            InputError: the output holds the lines of another source.
        """
        self._request, self._log, self._progress = request, log, progress
        self._place = join(request.output, "_scorer.json")
        self._pause, self._away = Pause(), False
        self._segments: Written | None = None
        self._unsent: Sequence[Point] = ()
        state, uri = self._read(), tracking.store_uri()
        earlier = state.get("run_id") if state.get("tracking_uri") == uri else None
        self.run_id = tracking.detached_run("score", run_id=earlier, params=_params(request))
        sent_until = state["sent_until"] if self.run_id == earlier else -1
        self._write(
            {"source": state["source"], "run_id": self.run_id, "tracking_uri": uri, "sent_until": sent_until}
        )
        tracking.attempt(tracking.describe, _description(request), run_id=self.run_id)

    def send(self) -> None:
        """Send the points of recorded batches, oldest first, until one is refused; it waits for later."""
        while self._state["sent_until"] < self._log.last and self._pause.over:
            first = self._state["sent_until"] + 1
            batches = range(first, min(first + _BATCHES_AT_ONCE, self._log.last + 1))
            points = [point for each in batches for point in read_record(self._log.output, each).points]
            problem = tracking.attempt(tracking.log_points, self.run_id, points)
            if problem is None:
                self._write(self._state | {"sent_until": batches[-1]})
                self._away = False
                continue
            self._pause.begin()
            if not self._away:
                self._progress.warn(f"points wait for the tracking store: {problem}")
            self._away = True

    def add_segments(self, written: Written | None) -> None:
        """Log segments that were written: a point for each date, the sizes over time and the latest moves.

        What the store does not take is logged with the next ones, or at the end.
        """
        if written:
            self._segments = replace(written, points=[*self._unsent, *written.points])
            self._unsent = self._segments.points
        if self._segments is None or not self._unsent:
            return
        problem = tracking.attempt(_log_segments, self.run_id, self._segments)
        if problem is None:
            self._unsent = ()
        else:
            self._progress.warn(f"points of segments wait for the tracking store: {problem}")

    def add_farthest(self, lines: pd.DataFrame) -> None:
        """Log the lines that are farthest from the centre of their cluster: what to look at first."""
        problem = tracking.attempt(_log_farthest, self.run_id, lines)
        if problem:
            self._progress.warn(f"the farthest lines are not logged, as the tracking store gave: {problem}")

    def finish(self, summary: ScoreSummary, *, status: str, unmeasured: str | None) -> None:
        """Send what waits, describe and close the run; say so when that fails."""
        self._pause.until = 0
        self.send()
        self.add_segments(None)
        told = _description(self._request, summary, unmeasured, self._segments)
        tracking.attempt(tracking.describe, told, run_id=self.run_id)
        problem = tracking.attempt(tracking.end_run, self.run_id, status=status)
        if problem:
            self._progress.warn(f"the run stays open, as the tracking store gave: {problem}")

    def _read(self) -> dict[str, Any]:
        """Read whose the output is: the source of its lines, the MLflow run, and how far its points are sent."""
        text, source = storage.find_text(self._place), to_uri(self._request.source)
        state: dict[str, Any] = json.loads(text) if text else {"source": source}
        if state["source"] != source:
            raise InputError(
                f"an output must hold the lines of one source, but {for_display(self._request.output)} holds those of "
                f"{for_display(state['source'])} (given: {for_display(source)}): name that source, or a new output"
            )
        return state

    def _write(self, state: dict[str, Any]) -> None:
        self._state = state
        storage.write_text(self._place, json.dumps(state))


def _log_segments(run_id: str, segments: Written) -> None:
    tracking.log_points(run_id, segments.points)
    tracking.set_tags({SEGMENTS_OF: segments.version}, run_id=run_id)
    drawn = {over_time.SIZES_CHART: over_time.sizes_chart(segments.sizes, noun=segments.noun)}
    files = {over_time.SIZES: segments.sizes.to_csv(index=False).encode()}
    if segments.moves and len(segments.moves.pairs):
        matrix = segments.moves.matrix()
        drawn[over_time.MATRIX_CHART] = over_time.moves_chart(matrix, str(segments.moves), noun=segments.noun)
        files[over_time.MATRIX] = matrix.to_csv().encode()
    tracking.log_files(files | plots.to_pngs(drawn), run_id=run_id)


def _log_farthest(run_id: str, lines: pd.DataFrame) -> None:
    tracking.log_files({over_time.FARTHEST: lines.to_csv(index=False).encode()}, run_id=run_id)
    if len(lines):
        tracking.set_tags({over_time.FARTHEST_OF: str(lines[schema.MODEL_VERSION].max())}, run_id=run_id)


def _params(request: ScoreRequest) -> dict[str, str]:
    asked = {name: str(getattr(request, name)) for name in ("source", "output", "model", "alias")}
    return asked | {f"scoring.{name}": str(value) for name, value in request.settings.model_dump().items()}


def _description(
    request: ScoreRequest,
    summary: ScoreSummary | None = None,
    unmeasured: str | None = None,
    segments: Written | None = None,
) -> str:
    """Say what is scored with what, what came of it, and how to go on; no summary while it runs."""
    source, output = for_display(request.source), for_display(request.output)
    parts = [
        f"Files that arrive in `{source}`, scored with the version of `{request.model}` that "
        f"`{request.alias}` names. Lines go to `{output}`: `scored/`, or `lines/` for `segments/`, and `quarantine/`.",
        "Each batch is a step of the metrics: `rows_in` = `rows_scored` + `rows_excluded` + `rows_quarantined`, where "
        "those that the version leaves out are excluded; `drift_psi` is the "
        "largest of `drift/…`: population stability indices of the latest four days, "
        "divided by what training days reach themselves where that is above the warning, times the warning.",
    ]
    if summary is None:
        return "\n\n".join([*parts, "It runs; the metrics grow with every batch."])
    links = [markdown.version_link(request.model, version) for version in summary.model_versions]
    done = (
        f"The latest process took {pluralize(summary.rows_in, 'line')} of {pluralize(summary.files, 'file')}: "
        f"{summary.places}; with {', '.join(links)}."
        if links
        else "Nothing new came in."
    )
    again = markdown.command(f"score --source {source} --output {output}")
    note = [f"{summary.segments}."] if summary.segments else []
    if segments:
        moves, noun = segments.moves, segments.noun
        matrix, between = (
            (moves.matrix(), (moves.earlier, moves.later)) if moves and len(moves.pairs) else (None, None)
        )
        note.append(over_time.to_markdown(segments.sizes, matrix, between=between, noun=noun))
    note += [f"Note: {unmeasured}."] if unmeasured else []
    note += quarantine.described(summary.reasons, of=summary.rows_in, account=summary.account)
    return "\n\n".join([*parts, done, *note, f"Next: {again} takes what has arrived since."])
