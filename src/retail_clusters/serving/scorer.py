"""The scorer of a stream: follows its model, batch by batch, and keeps track of all it does."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

from pyspark.sql import SparkSession

from retail_clusters.infra import tracking
from retail_clusters.infra.console import Progress
from retail_clusters.infra.registry import CHALLENGER, ModelRegistry
from retail_clusters.serving import charts, drift
from retail_clusters.serving import output as scored_output
from retail_clusters.serving.batch import Agreement, ServedModel, compare, count_batch, serve, write_batch
from retail_clusters.serving.drift import Counts, Drift
from retail_clusters.serving.follower import Backoff, HotModel
from retail_clusters.serving.metrics import Totals, batch_metrics, line_of
from retail_clusters.serving.output import Draft
from retail_clusters.serving.state import Batch, ScorerState
from retail_clusters.settings import Scoring

#: Drift is measured over the latest batches that hold so many lines: a day's lines know one weekday only.
DRIFT_LINES: Final = 20_000
#: Fewer lines say nothing about drift.
_DRIFT_NEEDS: Final = 1_000
#: Batches whose points go to MLflow at once: it takes 1,000 metrics.
_SENT_AT_ONCE: Final = 50


class Scorer:
    """Scores batch after batch: what the stream calls."""

    def __init__(
        self,
        spark: SparkSession,
        *,
        output: Path,
        state: ScorerState,
        registry: ModelRegistry,
        alias: str,
        settings: Scoring,
    ) -> None:
        """Make a scorer that has no model yet."""
        self.totals = Totals()
        self.progress = Progress()
        self._spark = spark
        self._output = output
        self._state = state
        self._settings = settings
        self._registry = registry
        self._champion = self._follow(alias)
        self._challenger = self._follow(CHALLENGER) if settings.shadow else None
        self._sending = Backoff()
        self._drifting = False

    def start(self) -> None:
        """Load the model, and send the points that an earlier process could not.

        Raises:
            RegistryError: there is no model to start with.
        """
        self._champion.required()
        self._send()

    def process(self, batch_id: int, files: list[Path]) -> None:
        """Score a batch, unless it is done: its record is the last thing that a batch writes."""
        if batch_id in self._state.batches:
            return
        started = time.perf_counter()
        if self._champion.refresh():
            self.progress.note(f"version {self._champion.version} scores from batch {batch_id} on")
        model = self._champion.current
        with scored_output.draft(self._output, batch_id) as draft:
            accounts = write_batch(self._spark, draft, files, model=model)
            accounts.check(batch_id)
            counts = count_batch(draft, model=model)
            agreement = self._shadow(draft)
        seconds = time.perf_counter() - started
        self.totals.add(len(files), accounts, model.version)
        moved = self._drift(counts, model)
        metrics = batch_metrics(accounts, seconds, model, counts, moved, agreement)
        batch = Batch(
            batch_id=batch_id,
            timestamp=int(time.time() * 1000),
            model_version=model.version,
            files=len(files),
            metrics=metrics,
            counts=asdict(counts) if counts else None,
        )
        self._state.record(batch)
        self._send()
        self.progress.show(line_of(batch))
        self._warn_of(moved)

    def finish(self, *, status: str) -> None:
        """Send what waits and a chart of the drift, and close the run; say so when that fails."""
        self.progress.close()
        self._sending.succeeded()
        self._send()
        run_id = self._state.identity.run_id
        if run_id is None or self._state.unsent:
            return
        problem = self._send_chart(run_id) or tracking.try_end_run(run_id, status=status)
        if problem:
            self.progress.warn(f"the run stays open, as the tracking store gave: {problem}")

    def _send_chart(self, run_id: str) -> str | None:
        batches = [batch for _, batch in sorted(self._state.batches.items()) if "drift_psi" in batch.metrics]
        if not batches:
            return None
        names = ("clusters", "price", "quantity", "weekday")
        chart = charts.drift_chart(
            [batch.batch_id for batch in batches],
            {name: [batch.metrics[f"drift_{name}"] for batch in batches] for name in names},
            warning=self._settings.drift_warning,
        )
        return tracking.try_log_figure(run_id, chart, "drift.png")

    def _follow(self, alias: str) -> HotModel[ServedModel]:
        return HotModel(
            alias,
            look_up=lambda named: self._registry.version_named(alias=named),
            load=lambda version: serve(self._spark, self._registry, version=version),
            warn=self.progress.warn,
        )

    def _shadow(self, draft: Draft) -> Agreement | None:
        """Compare with the challenger; whatever it does, the champion's batch stands."""
        if self._challenger is None:
            return None
        self._challenger.refresh()
        if self._challenger.model is None or self._challenger.version == self._champion.version:
            return None
        try:
            return compare(self._spark, draft, challenger=self._challenger.current)
        except Exception as failure:
            self.progress.warn(f"the challenger failed on a batch: {' '.join(str(failure).split())[:200]}")
            return None

    def _drift(self, counts: Counts | None, model: ServedModel) -> Drift | None:
        """Measure the latest batches that this version scored."""
        if counts is None or model.baseline is None:
            return None
        earlier = [
            Counts(**{name: tuple(lines) for name, lines in batch.counts.items()})
            for _, batch in sorted(self._state.batches.items(), reverse=True)[:_SENT_AT_ONCE]
            if batch.counts and batch.model_version == model.version
        ]
        window = drift.latest([counts, *earlier], lines=DRIFT_LINES)
        return drift.measure(window, against=model.baseline) if window and window.lines else None

    def _warn_of(self, moved: Drift | None) -> None:
        over = moved is not None and moved.lines >= _DRIFT_NEEDS and moved.psi > self._settings.drift_warning
        if moved and over and not self._drifting:
            self.progress.warn(
                f"the lines drift from those that trained the model: PSI of {moved.most} is {moved.psi:.2f}, "
                f"above {self._settings.drift_warning:g}; look at them, and train anew"
            )
        self._drifting = over

    def _send(self) -> None:
        """Send the points that wait, oldest first; keep them when the store does not take them."""
        run_id, unsent = self._state.identity.run_id, self._state.unsent
        while run_id and unsent and self._sending.over:
            piece, unsent = unsent[:_SENT_AT_ONCE], unsent[_SENT_AT_ONCE:]
            problem = tracking.try_log_points(run_id, [point for batch in piece for point in batch.points])
            if problem:
                self._sending.failed()
                self.progress.warn(
                    f"points of {len(piece) + len(unsent)} batch(es) wait for the tracking store: {problem}"
                )
            else:
                self._sending.succeeded()
                self._state.mark_sent(piece[-1].batch_id)
