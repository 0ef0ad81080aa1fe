"""The MLflow run of a scorer: gone on in by every process, sent the points of the records, described."""

import json
from typing import Any, Final

from retail_clusters.data import quarantine
from retail_clusters.errors import InputError
from retail_clusters.infra import markdown, storage
from retail_clusters.infra.console import Progress
from retail_clusters.infra.locations import for_display, join, to_uri
from retail_clusters.registry import tracking
from retail_clusters.serving.alias import Pause
from retail_clusters.serving.commits import CommitLog, read_record
from retail_clusters.serving.scorer import ScoreSummary
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

    def finish(self, summary: ScoreSummary, *, status: str, unmeasured: str | None) -> None:
        """Send what waits, describe and close the run; say so when that fails."""
        self._pause.until = 0
        self.send()
        told = _description(self._request, summary, unmeasured)
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


def _params(request: ScoreRequest) -> dict[str, str]:
    asked = {name: str(getattr(request, name)) for name in ("source", "output", "model", "alias")}
    return asked | {f"scoring.{name}": str(value) for name, value in request.settings.model_dump().items()}


def _description(
    request: ScoreRequest, summary: ScoreSummary | None = None, unmeasured: str | None = None
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
    note += [f"Note: {unmeasured}."] if unmeasured else []
    note += quarantine.described(summary.reasons, of=summary.rows_in, account=summary.account)
    return "\n\n".join([*parts, done, *note, f"Next: {again} takes what has arrived since."])
