"""The stream of files: what Spark's log says of a batch, and how a stream stops."""

import json
import os
import signal
import threading
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from retail_clusters.errors import InputError
from retail_clusters.serving.stream import batch_files, run_stream, stop_on_signals
from tests import scorers


def log(checkpoint: Path, name: str, *entries: dict[str, object]) -> None:
    file = checkpoint / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(["v1", *(json.dumps(entry, ensure_ascii=False) for entry in entries)]) + "\n")


def arrived(name: str, number: int) -> dict[str, object]:
    return {"path": f"file:///in/{name}", "timestamp": 1, "batchId": number}


def test_a_batch_is_what_arrived_since_the_one_before(tmp_path: Path) -> None:
    for batch_id, offset in enumerate([1, 2]):
        log(tmp_path, f"offsets/{batch_id}", {"batchWatermarkMs": 0}, {"logOffset": offset})
    log(tmp_path, "sources/0/0", arrived("b%20%C3%BC%23%3F%25.csv", 0))
    log(tmp_path, "sources/0/1", arrived("a\u2028.csv", 1))
    log(tmp_path, "sources/0/2.compact", arrived("a.csv", 1), arrived("c.csv", 2))
    assert batch_files(tmp_path, 0) == [Path("/in/a\u2028.csv"), Path("/in/b \u00fc#?%.csv")]
    assert batch_files(tmp_path, 1) == [Path("/in/c.csv")]


def test_a_log_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "offsets").mkdir()
    (tmp_path / "offsets" / "0").write_text("v2\n{}\n{}\n")
    with pytest.raises(InputError, match="must be of version v1"):
        batch_files(tmp_path, 0)


def test_every_file_comes_once_whatever_its_name_and_length(spark: SparkSession, tmp_path: Path) -> None:
    source = tmp_path / "in [x]"
    names = [
        "empty.csv",
        "100%25 \u00fc.csv",
        "q[1]{a,b}*?.csv",
        "z.csv.gz",
        "b.csv.bz2",
        "_no.csv",
        "no.txt",
    ]
    for name in names:
        scorers.put(source, name, "")
    scorers.put(source / "day=1" / "deep", "nested.csv", "x")
    seen: dict[int, list[Path]] = {}

    def run() -> None:
        run_stream(
            spark,
            source=source,
            checkpoint=tmp_path / "checkpoint",
            max_files_per_trigger=4,
            once=True,
            process=seen.__setitem__,
            stopping=threading.Event(),
        )

    run()
    late = scorers.put(source, "late.csv", "x")
    os.utime(late, (1_000_000_000, 1_000_000_000))
    run()
    assert [len(files) for files in seen.values()] == [4, 2, 1]
    found = {str(file.relative_to(source)) for files in seen.values() for file in files}
    assert found == {*names[:5], "day=1/deep/nested.csv", "late.csv"}


def test_what_processing_raises_ends_the_stream_and_is_raised(spark: SparkSession, tmp_path: Path) -> None:
    scorers.put(tmp_path / "in", "a.csv", "x")

    def fail(batch_id: int, files: list[Path]) -> None:
        raise InputError(f"batch {batch_id} of {len(files)}")

    with pytest.raises(InputError, match="batch 0 of 1"):
        run_stream(
            spark,
            source=tmp_path / "in",
            checkpoint=tmp_path / "checkpoint",
            max_files_per_trigger=1,
            once=True,
            process=fail,
            stopping=threading.Event(),
        )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_the_event_and_the_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_on_signals() as stopping:
        os.kill(os.getpid(), number)
        assert stopping.wait(5)
        assert signal.getsignal(number) == before
    assert signal.getsignal(number) == before
