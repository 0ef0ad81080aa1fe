import gzip
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from retail_clusters.errors import DifferenceFoundError, InputError, StorageError
from retail_clusters.infra import checkpoint
from retail_clusters.purchases import proof, sink
from retail_clusters.purchases.batch_sums import BatchSums
from retail_clusters.purchases.job import PurchasesRequest, run
from retail_clusters.settings import Columns, Purchases
from tests.purchases.shop import HEADER, SWAPPED, metrics, put, rows, text, truncated, write, written
from tests.viewfs import in_session, take_over

APPEND = PurchasesRequest(
    data="data",
    mode="stream",
    sink="parquet",
    top=3,
    output="out",
    settings=Purchases(max_files_per_trigger=10),
)


def one_at_a_time() -> PurchasesRequest:
    return replace(APPEND, settings=Purchases(max_files_per_trigger=1))


@pytest.fixture
def proven(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The names of the files that each proof has read."""
    read: list[list[str]] = []
    parsed = proof.read_parsed

    def spy(spark: SparkSession, files: list[str], *, columns: Columns) -> DataFrame:
        read.append(sorted(Path(file).name for file in files))
        return parsed(spark, files, columns=columns)

    monkeypatch.setattr(proof, "read_parsed", spy)
    return read


def test_closed_days_are_written_once_later_lines_of_them_are_late_and_the_proof_reads_what_is_new(
    spark: SparkSession, workplace: Path, capsys: pytest.CaptureFixture[str], proven: list[list[str]]
):
    write("a.csv", ("1.0", 1, "2", 2), ("", 1, "1", 1), ("", 2, "1", 1), at=0)
    write("b.csv", ("1.0", 6, "3", 1), ("", 6, "?", 1), at=1)
    run(spark, one_at_a_time())
    first = [(None, date(2011, 3, 1), Decimal(1), 1), (1.0, date(2011, 3, 1), Decimal(4), 1)]
    first += [(None, date(2011, 3, 2), Decimal(1), 1)]
    assert written("out") == first
    shown = capsys.readouterr().out
    assert "1 (1 lines) kept back until their day closes, 0 lines late, 1 quarantined" in shown
    assert "0 of 4 customer-days differ from the batch" in shown

    # Days before the 4th are closed: lines of the 2nd and before are late, one of the 4th is not.
    # The file's own age, months older than the newest, makes no difference.
    write("c.csv", ("", 2, "7", 1), ("", 2, "7", 1), ("1.0", 1, "7", 1), ("", 4, "9", 1), at=-10_000_000)
    write("d.csv", ("2.0", 20, "1", 1), at=3)
    run(spark, APPEND)
    shown = capsys.readouterr().out
    assert "3 lines late, of days closed before 2011-03-04 00:00" in shown
    assert "0 of 5 customer-days differ from the batch" in shown
    assert "compared were 2 of 4 files: those new since the last time" in shown
    assert {"lines": 10.0, "lines_late": 3.0, "lines_kept_back": 1.0}.items() <= metrics().items()
    assert [row["line"].split(",")[-3] for row in rows("out", "late")] == ["7"] * 3  # type: ignore[attr-defined]
    assert len(rows("out", "quarantine")) == 1
    closed = [(None, date(2011, 3, 4), Decimal(9), 1), (1.0, date(2011, 3, 6), Decimal(3), 1)]
    assert written("out") == [*first, *closed]

    # Defect 43: the daily job read all its history again.
    assert [file.name for file in Path("out/batches").iterdir()] == ["2.json"]
    assert [file.name for file in Path("out/open").iterdir()] == ["2.parquet"]

    write("a.csv", ("1.0", 1, "2", 3), ("", 1, "1", 1), ("", 2, "1", 1), at=0)
    with pytest.raises(DifferenceFoundError, match="1 of 6 customer-days differ"):
        run(spark, replace(APPEND, prove="all"))
    assert proven == [["a.csv", "b.csv"], ["c.csv", "d.csv"], ["a.csv", "b.csv", "c.csv", "d.csv"]]


def test_a_file_that_cannot_be_trusted_is_quarantined_and_never_summed(
    spark: SparkSession, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    """Defect 28: a truncated file ended the stream at each start."""
    write("swapped.csv", ("1.0", 1, "2", 2), header=SWAPPED)
    put("cut.csv.gz", truncated(*[("1.0", 1, "2", 2)] * 3))
    put("whole.csv.gz", gzip.compress(text(("1.0", 1, "2", 2), ("1.0", 9, "1", 1)).encode()))
    put("empty.csv", b"")
    Path("data/loop").symlink_to(Path("data").absolute())  # defect 61
    Path("data", os.fsdecode(b"caf\xe9.csv")).write_text(text(("1.0", 1, "2", 2)))  # defect 60

    run(spark, APPEND)

    assert written("out") == [(1.0, date(2011, 3, 1), Decimal(4), 1)]
    reasons = {str(row["source_file"]).rpartition("/")[2]: row["reason"] for row in rows("out", "quarantine")}
    assert reasons.keys() == {"swapped.csv", "cut.csv.gz"}
    assert "another order" in str(reasons["swapped.csv"])
    assert "unpacked" in str(reasons["cut.csv.gz"])
    shown = capsys.readouterr().out
    assert "quarantined data/swapped.csv: the header's columns stand in another order" in shown.replace(
        f"{workplace}/", ""
    ).replace("file:", "").replace("///", "").replace("//", "")
    assert "0 of 2 customer-days differ" in shown
    assert "not read data/caf\\udce9.csv: the file's name is not UTF-8" in shown


def test_a_day_without_a_good_line_is_accounted_for(spark: SparkSession, workplace: Path):
    """Spark cut out of the plan what counted such lines, and the stream ended at each start."""
    put("header.csv", f"{HEADER}\n".encode())
    run(spark, APPEND)
    write("bad.csv", ("1.0", 1, "?", 2))
    write("swapped.csv", ("1.0", 1, "2", 2), header=SWAPPED)
    run(spark, APPEND)

    found = metrics()
    assert (found["files"], found["batches"]) == (3, 2)
    assert found["lines"] == found["lines_quarantined"] == 3 == len(rows("out", "quarantine"))


def test_an_output_and_a_checkpoint_that_do_not_belong_together_are_refused(
    spark: SparkSession, workplace: Path
):
    write("a.csv", ("1.0", 1, "2", 2))
    run(spark, APPEND)
    for request in (
        replace(APPEND, checkpoint="elsewhere"),
        replace(APPEND, output="new", checkpoint="out/checkpoint"),
    ):
        with pytest.raises(InputError, match="must be of one stream"):
            run(spark, request)
    with pytest.raises(InputError, match="must not be that of a stream"):
        run(spark, replace(APPEND, mode="batch", sink="memory"))


def test_a_batch_that_spark_does_again_is_summed_once_and_refused_with_other_files(
    spark: SparkSession, workplace: Path
):
    write("a.csv", ("1.0", 1, "2", 2), ("1.0", 9, "1", 1))
    run(spark, APPEND)
    shutil.copytree("out/purchases/batch_id=0", "out/purchases/batch_id=1")  # as a killed close leaves it
    forget_commit()

    run(spark, replace(APPEND, prove="all"))

    assert written("out") == [(1.0, date(2011, 3, 1), Decimal(4), 1)]
    assert {"lines": 2.0, "parity_differing": 0.0}.items() <= metrics().items()

    record = Path("out/batches/0.json")
    record.write_text(record.read_text().replace("a.csv", "other.csv"))
    forget_commit()
    with pytest.raises(InputError, match="is an older one"):
        run(spark, APPEND)


def forget_commit() -> None:
    """Let the checkpoint say that its only batch has begun, not ended."""
    for name in ("0", ".0.crc"):
        Path("out/checkpoint/commits", name).unlink(missing_ok=True)


def test_one_process_at_a_time_writes_to_an_output(spark: SparkSession, workplace: Path):
    """Defect 30: two wrote over one another."""
    from retail_clusters.infra.locks import lock

    write("a.csv", ("1.0", 1, "2", 2))
    with (
        lock("out/.purchases.lock", purpose="a test"),
        pytest.raises(InputError, match="one purchases at a time writes to out"),
    ):
        run(spark, APPEND)


def test_a_backlog_in_reverse_whose_stream_is_killed_half_way_loses_nothing_and_has_nothing_late(
    spark: SparkSession, workplace: Path
):
    """Defect 63: of files with one modification time most were late."""
    for day in range(1, 8):
        write(f"{day:02}.csv", ("1.0", day, "1.1", day), ("", day, "0.3", 1), at=-day)
    kill_after(workplace, batches=2)
    assert 2 <= (checkpoint.last_batch("out/checkpoint") or 0) < 7

    run(spark, APPEND)

    assert [row[1].day for row in written("out")] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert {"lines": 14.0, "lines_late": 0.0, "parity_differing": 0.0}.items() <= metrics().items()


def kill_after(workplace: Path, *, batches: int) -> None:
    """Run the stream in a process group of its own, and kill -9 the group in the middle."""
    script = (
        "from retail_clusters.infra.spark import spark_session; "
        "from retail_clusters.purchases.job import run; "
        "from tests.purchases.test_append import one_at_a_time\n"
        "with spark_session('purchases') as spark: run(spark, one_at_a_time())"
    )
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"SPARK_MASTER": "local[2]"}
    environment["PYTHONPATH"] = os.pathsep.join([root, environment.get("PYTHONPATH", "")])
    process = subprocess.Popen([sys.executable, "-c", script], start_new_session=True, env=environment)
    last = workplace / "out" / "checkpoint" / "commits" / str(batches)
    try:
        while not last.exists():
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_stream_that_stood_still_while_another_machine_went_on_leaves_the_account_alone(
    spark: SparkSession, workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    add_up, far = BatchSums.take, in_session(spark, workplace)

    def stand_still(*arguments: Any, **options: Any) -> Any:
        take_over(f"{far}/out/{sink.LOCK}")
        return add_up(*arguments, **options)

    write("a.csv", ("1.0", 1, "2", 2))
    monkeypatch.setattr(BatchSums, "take", stand_still)
    with pytest.raises(StorageError, match="was taken over"):
        run(spark, replace(APPEND, output=f"{far}/out"))
    assert not (workplace / "out" / "batches").exists()
