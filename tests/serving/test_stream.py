"""The stream of files: what its frame tells of a batch, and how a stream stops."""

import os
import signal
import threading
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from retail_clusters.errors import InputError
from retail_clusters.infra.locations import to_uri
from retail_clusters.infra.signals import stop_on_signals
from retail_clusters.serving.known_files import InputFile
from retail_clusters.serving.stream import Process, run_stream
from tests import scorers


def run(spark: SparkSession, source: Path, process: Process, *, files: int = 1) -> None:
    run_stream(
        spark,
        source=str(source),
        checkpoint=str(source.parent / "checkpoint"),
        max_files_per_trigger=files,
        process=process,
        stopping=threading.Event(),
    )


def test_every_file_with_content_comes_once_whatever_its_name(spark: SparkSession, tmp_path: Path) -> None:
    source = tmp_path / "in [x]"
    names = ["100%25 \u00fc.csv", "q[1]{a,b}*?.csv", "2011-01-01T08:00.csv", "z.csv.gz", "b.csv.bz2"]
    for name in [*names, "_no.csv", "no.txt"]:
        scorers.put(source, name, "x")
    scorers.put(source, "empty.csv", "")
    scorers.put(source / "day=1" / "deep", "nested.csv", "four")
    seen: dict[int, list[InputFile]] = {}
    run(spark, source, seen.__setitem__, files=4)
    late = scorers.put(source, "late.csv", "x")
    week = 7 * 86_400
    then = (late.stat().st_mtime_ns // 10**9 - week) * 1_000
    os.utime(late, (then // 1_000,) * 2)
    run(spark, source, seen.__setitem__, files=4)
    found = {file.location: file for files in seen.values() for file in files}
    whole = [*(source / name for name in names), source / "day=1" / "deep" / "nested.csv", late]
    assert set(found) == {to_uri(str(file)) for file in whole}
    assert len(seen) == 3
    assert found[to_uri(str(late))].modified_ms == then
    assert found[to_uri(str(whole[-2]))].length == 4


def test_spark_forgets_the_names_of_old_files_and_keeps_the_others(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Defect 42: with files that are never too old it kept every name in memory."""
    for day in range(100):
        file = scorers.put(tmp_path / "in", f"{day}.csv", "x")
        os.utime(file, (1_700_000_000 + day * 86_400,) * 2)
    kept: list[int] = []
    files: list[InputFile] = []

    def take(_: int, batch: list[InputFile]) -> None:
        files.extend(batch)
        active = spark._jsparkSession.sharedState().activeStreamingQueries()  # of all sessions
        (query,) = active.values()
        kept.append(query.sources().head().seenFiles().size())

    run(spark, tmp_path / "in", take, files=25)
    assert len({file.location for file in files}) == len(files) == 100
    assert kept == [25, 31, 31, 31]


def test_spark_keeps_no_listing_of_the_files_that_a_batch_has_read(spark: SparkSession) -> None:
    """Defect 42: its cache of listings took a kilobyte and more for each of them."""
    caches = spark._jvm.org.apache.spark.sql.execution.datasources.FileStatusCache  # type: ignore[union-attr]
    assert caches.getOrCreate(spark._jsparkSession).getClass().getSimpleName() == "NoopCache$"


def test_what_processing_raises_ends_the_stream_and_the_batch_comes_again(
    spark: SparkSession, tmp_path: Path
) -> None:
    scorers.put(tmp_path / "in", "a.csv", "x")

    def fail(batch_id: int, files: list[InputFile]) -> None:
        raise InputError(f"batch {batch_id} of {len(files)}")

    with pytest.raises(InputError, match="batch 0 of 1"):
        run(spark, tmp_path / "in", fail)
    scorers.put(tmp_path / "in", "b.csv", "x")
    seen: dict[int, list[InputFile]] = {}
    run(spark, tmp_path / "in", seen.__setitem__)
    assert [[Path(file.location).name for file in files] for files in seen.values()] == [["a.csv"], ["b.csv"]]


def test_a_replayed_batch_is_not_told_of_files_that_are_gone(spark: SparkSession, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        scorers.put(tmp_path / "in", name, "x")

    def fail(batch_id: int, files: list[InputFile]) -> None:
        raise InputError("killed")

    with pytest.raises(InputError, match="killed"):
        run(spark, tmp_path / "in", fail, files=2)
    (tmp_path / "in" / "a.csv").unlink()
    seen: dict[int, list[InputFile]] = {}
    run(spark, tmp_path / "in", seen.__setitem__, files=2)
    assert [Path(file.location).name for file in seen[0]] == ["b.csv"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_the_event_and_the_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_on_signals() as stopping:
        os.kill(os.getpid(), number)
        assert stopping.wait(5)
        assert signal.getsignal(number) == before
    assert signal.getsignal(number) == before
