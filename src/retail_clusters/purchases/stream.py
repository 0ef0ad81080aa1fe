"""What the two streams of `purchases` share: their session, what a person sees of them, how they stop."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from retail_clusters.purchases import charts

#: A batch of so few files is one task, without a shuffle.
FEW_FILES: Final = 4


def small_session(spark: SparkSession) -> SparkSession:
    """Return a session of its own to a stream over small files: one shuffle partition, one state store."""
    session = spark.newSession()
    session.conf.set("spark.sql.shuffle.partitions", "1")
    return session


@contextmanager
def stopped(query: StreamingQuery) -> Iterator[None]:
    """Stop the query however the block ends."""
    try:
        yield
    finally:
        query.stop()


def watch(query: StreamingQuery, *, headline: Callable[[], str], body: Callable[[], str] = str) -> None:
    """Show how far the stream is, each time that its headline changes, until it ends."""
    screen = charts.Screen()
    shown = ""
    try:
        while not query.awaitTermination(screen.interval):
            text = headline()
            if text and text != shown:
                shown = text
                screen.draw(text, body())
    finally:
        screen.clear()


class Failures:
    """Carries an exception out of Spark's callback, which would wrap it."""

    def __init__(self) -> None:
        """Carry nothing yet."""
        self._found: list[BaseException] = []

    def __call__(self, action: Callable[[], None]) -> None:
        """Do something in a callback, and keep what it raises."""
        try:
            action()
        except BaseException as failure:
            self._found.append(failure)
            raise

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Raise what the callback has raised in place of Spark's exception."""
        try:
            yield
        except StreamingQueryException:
            if self._found:
                raise self._found[0] from None
            raise
