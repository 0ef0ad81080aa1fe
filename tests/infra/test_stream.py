"""How a stream runs, fails and stops, on disks and behind a scheme of Spark."""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from retail_clusters.infra import storage
from retail_clusters.infra.locations import join, literal
from retail_clusters.infra.spark import small_session
from retail_clusters.infra.stream import run_batches, stop_on_signals
from tests.viewfs import in_session

NAMES = ["a b%20.csv", "c#[1].csv", "d.csv", "é.csv"]


@dataclass
class Stream:
    """A stream of one file a batch over the files of a folder, which hold their own names."""

    spark: SparkSession
    place: str
    took: list[str] = field(default_factory=list)

    def bring(self, *names: str) -> None:
        for name in names:
            storage.make_folder(join(self.place, "source"))
            storage.write_text(join(self.place, "source", name), name)

    def run(
        self, *, stopping: threading.Event | None = None, then: Callable[[int], None] = lambda _: None
    ) -> None:
        def take(batch: int, frame: DataFrame) -> None:
            self.took += [row.value for row in frame.collect()]
            then(batch)

        files = small_session(self.spark).readStream.option("maxFilesPerTrigger", 1)
        run_batches(
            files.text(literal(join(self.place, "source"))),
            checkpoint=join(self.place, "checkpoint"),
            process=take,
            stopping=stopping or threading.Event(),
        )


@pytest.fixture(params=["local", "viewfs"])
def stream(request: pytest.FixtureRequest, tmp_path: Path, spark: SparkSession) -> Stream:
    """A stream over four files that are there."""
    made = Stream(spark, str(tmp_path) if request.param == "local" else in_session(spark, tmp_path))
    made.bring(*NAMES)
    return made


def test_a_drained_stream_has_taken_every_file_once_and_goes_on_with_new_ones(stream: Stream):
    stream.run()
    assert sorted(stream.took) == NAMES
    stream.bring("later.csv")
    stream.run()
    assert stream.took[4:] == ["later.csv"]


def test_a_failure_of_a_batch_is_raised_as_it_is_and_the_batch_comes_anew(stream: Stream):
    def fail_on_the_third(batch: int) -> None:
        if len(stream.took) == 3:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stream.run(then=fail_on_the_third)
    failed = stream.took.pop()
    stream.run()
    assert stream.took[2] == failed
    assert sorted(stream.took) == NAMES


def test_a_stream_that_is_to_stop_ends_after_its_batch_and_goes_on_when_it_is_started_again(stream: Stream):
    stopping = threading.Event()
    stream.run(stopping=stopping, then=lambda _: stopping.set())
    assert len(stream.took) == 1
    stream.run()
    assert sorted(stream.took) == NAMES


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_a_job_to_stop_and_a_second_one_acts_as_it_does_elsewhere(number: int):
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    told: list[str] = []

    def job() -> None:
        with stop_on_signals(lambda: told.append("stopping")) as stopping:
            assert not stopping.is_set()
            os.kill(os.getpid(), number)
            assert stopping.wait(5)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        job()
    assert told == ["stopping"]
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_thread_that_takes_no_signals_may_ask_all_the_same():
    seen: list[bool] = []

    def job() -> None:
        with stop_on_signals() as stopping:
            seen.append(stopping.is_set())

    thread = threading.Thread(target=job)
    thread.start()
    thread.join(5)
    assert seen == [False]
