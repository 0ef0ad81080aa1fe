"""How a stream runs, fails and stops, and what it has taken; on disks and behind a scheme of Spark."""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from retail_clusters.infra import storage
from retail_clusters.infra.locations import join, literal, to_uri
from retail_clusters.infra.spark import small_session
from retail_clusters.infra.stream import DRAIN, FOLLOW, Trigger, committed_files, run_batches, stop_on_signals
from tests.viewfs import in_session

NAMES = ["a b%20.csv", "c#[1].csv", "d.csv", "é.csv"]


@dataclass
class Stream:
    """A stream of one file a batch over the files of a folder, which hold their own names."""

    spark: SparkSession
    place: str
    took: list[str] = field(default_factory=list)

    @property
    def checkpoint(self) -> str:
        return join(self.place, "checkpoint")

    def bring(self, *names: str) -> None:
        for name in names:
            storage.make_folder(join(self.place, "source"))
            storage.write_text(join(self.place, "source", name), name)

    def run(
        self,
        *,
        trigger: Trigger = DRAIN,
        stopping: threading.Event | None = None,
        until: Callable[[], bool] = lambda: False,
        then: Callable[[int], None] = lambda _: None,
    ) -> None:
        def take(batch: int, frame: DataFrame) -> None:
            self.took += [row.value for row in frame.collect()]
            then(batch)

        session = small_session(self.spark)
        session.conf.set("spark.sql.streaming.fileSource.log.compactInterval", "3")
        files = session.readStream.option("maxFilesPerTrigger", 1).text(literal(join(self.place, "source")))
        run_batches(
            files,
            checkpoint=self.checkpoint,
            trigger=trigger,
            process=take,
            stopping=stopping or threading.Event(),
            until=until,
        )


@pytest.fixture(params=["local", "viewfs"])
def stream(request: pytest.FixtureRequest, tmp_path: Path, spark: SparkSession) -> Stream:
    """A stream over four files that are there."""
    made = Stream(spark, str(tmp_path) if request.param == "local" else in_session(spark, tmp_path))
    made.bring(*NAMES)
    return made


def test_a_drained_stream_has_taken_every_file_once_and_goes_on_with_new_ones(stream: Stream):
    assert committed_files(stream.checkpoint) == []
    stream.run()
    assert sorted(stream.took) == NAMES
    stream.bring("later.csv")
    stream.run()
    assert sorted(stream.took) == sorted([*NAMES, "later.csv"])
    files = committed_files(stream.checkpoint)
    assert [*map(to_uri, files)] == [to_uri(join(stream.place, "source", name)) for name in stream.took]


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


@pytest.mark.parametrize("trigger", [DRAIN, FOLLOW])
def test_a_stream_that_is_to_stop_ends_after_its_batch_and_its_end_can_be_asked_for(
    stream: Stream, trigger: Trigger
):
    stopping = threading.Event()
    stream.run(trigger=trigger, stopping=stopping, then=lambda _: stopping.set())
    assert len(stream.took) == 1
    stream.run(trigger=FOLLOW, until=lambda: len(stream.took) == 4)
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
