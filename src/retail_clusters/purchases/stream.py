"""What a person sees of the two streams of `purchases`."""

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from typing import Final

from pyspark.sql.streaming.query import StreamingQuery

from retail_clusters.purchases import charts

#: A batch of so few files is one task, without a shuffle.
FEW_FILES: Final = 4


@contextlib.contextmanager
def for_display(headline: Callable[[], str], body: Callable[[], str] = str) -> Iterator[Callable[[], None]]:
    """Return what shows how far a stream is, each time that its headline has changed; clear it at the end."""
    screen = charts.Screen()
    last, drawn = "", time.monotonic()

    def show() -> None:
        nonlocal last, drawn
        text = headline()
        if text and text != last and time.monotonic() - drawn >= screen.interval:
            last, drawn = text, time.monotonic()
            screen.draw(text, body())

    try:
        yield show
    finally:
        screen.clear()


def plan_of(query: StreamingQuery) -> str:
    """Return the physical plan of the last batch: Spark prints it, so it is caught."""
    with contextlib.redirect_stdout(io.StringIO()) as plan:
        query.explain()
    return plan.getvalue()
