"""Points on their way to MLflow: sent beside the scoring, from the batches' records."""

import threading
from collections.abc import Callable
from typing import Final

from retail_clusters.registry import tracking
from retail_clusters.serving.follower import Backoff
from retail_clusters.serving.output import Output
from retail_clusters.serving.records import Record, read_record
from retail_clusters.serving.state import ScorerState

#: MLflow takes 1,000 metrics at once.
_POINTS_AT_ONCE: Final = 1_000
_BATCHES_AT_ONCE: Final = 50

Send = Callable[[str, list[tuple[str, float, int, int]]], str | None]


def _to_mlflow(run_id: str, points: list[tuple[str, float, int, int]]) -> str | None:
    return tracking.attempt(tracking.log_points, run_id, points)


class Sender:
    """Sends the points of recorded batches in a thread of its own, oldest first.

    What waits are the records, so nothing is lost when the store is away or the process dies, and nothing
    grows in memory. A point that is sent twice is one point.
    """

    def __init__(
        self,
        state: ScorerState,
        output: Output,
        *,
        warn: Callable[[str], None],
        note: Callable[[str], None],
        send: Send = _to_mlflow,
    ) -> None:
        """Start the thread."""
        self._state, self._output = state, output
        self._warn, self._note, self._send_points = warn, note, send
        self._backoff = Backoff()
        self._away = False
        self._last = -1
        self._ending = False
        self._woken = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="points", daemon=True)
        self._thread.start()

    @property
    def has_sent_all(self) -> bool:
        """Tell whether no point waits."""
        return self._state.sent_until >= self._last

    def reach(self, batch_id: int) -> None:
        """Send the points up to a batch soon."""
        with self._woken:
            self._last = max(self._last, batch_id)
            self._woken.notify()

    def finish(self) -> None:
        """Send what waits, once more even when the store was away, and end the thread."""
        with self._woken:
            self._ending = True
            self._woken.notify()
        self._thread.join()

    def _run(self) -> None:
        while self._wait_for_work():
            self._send_piece()
        self._backoff.succeeded()
        while not self.has_sent_all and self._backoff.over:
            self._send_piece()

    def _wait_for_work(self) -> bool:
        with self._woken:
            while not self._ending and (self.has_sent_all or not self._backoff.over):
                self._woken.wait(None if self.has_sent_all else self._backoff.remaining)
            return not self._ending

    def _send_piece(self) -> None:
        run_id = self._state.identity.run_id
        piece = self._next_piece()
        if run_id is None or not piece:
            return
        problem = self._send_points(run_id, [point for record in piece for point in record.points])
        if problem is None:
            self._arrived(piece[-1].batch_id)
            return
        self._backoff.failed()
        if not self._away:
            self._warn(f"points wait for the tracking store: {problem}")
        self._away = True

    def _arrived(self, batch_id: int) -> None:
        self._backoff.succeeded()
        self._state.mark_sent(batch_id)
        if self._away:
            self._note(f"the tracking store takes points again, up to batch {batch_id}")
        self._away = False

    def _next_piece(self) -> list[Record]:
        first = self._state.sent_until + 1
        piece: list[Record] = []
        for batch_id in range(first, min(first + _BATCHES_AT_ONCE, self._last + 1)):
            piece.append(read_record(self._output, batch_id))
            if sum(len(record.metrics) for record in piece) > _POINTS_AT_ONCE:
                return piece[:-1]
        return piece
