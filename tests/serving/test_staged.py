from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import ArithmeticException
from pyspark.sql import SparkSession

from retail_clusters.errors import LockLostError
from retail_clusters.infra import staging
from retail_clusters.serving.output import Output
from retail_clusters.serving.staged import prepare, staged_batch


def write(spark: SparkSession, output: Output, batch_id: int, text: str) -> None:
    with staged_batch(output, batch_id) as staged:
        staged.write_scored(spark.createDataFrame([(text,)], "InvoiceNo string"))
        rows = [{"line": line, "reason": "r", "source_file": "f"} for line in (text, None)]
        assert staged.write_whole_files(iter(rows)) == 1
        assert [table.to_pylist() for table in staged.read_scored(["InvoiceNo"])] == [[{"InvoiceNo": text}]]


def held_once() -> Callable[[], None]:
    """Return what says that the output is this process's, and later that it is another's."""
    answers = iter([None, LockLostError("taken over")])

    def confirm() -> None:
        if lost := next(answers):
            raise lost

    return confirm


def content(folder: Path) -> list[object]:
    files = sorted(folder.rglob("[!._]*.parquet"))
    return [value for file in files for value in pq.read_table(file, partitioning=None)[0].to_pylist()]


def test_a_replayed_batch_replaces_what_it_wrote_before(spark: SparkSession, tmp_path: Path) -> None:
    output = Output(str(tmp_path))
    prepare(output, after=6)
    for text in ("first", "second"):
        write(spark, output, 7, text)
    assert content(tmp_path / "scored" / "batch_id=7") == ["second"]
    assert content(tmp_path / "quarantine" / "batch_id=7") == ["second", None]
    assert not list(tmp_path.glob("*/.*"))


def test_a_batch_that_fails_leaves_nothing(spark: SparkSession, tmp_path: Path) -> None:
    prepare(Output(str(tmp_path)), after=-1)
    lines = spark.createDataFrame([(0,)], "number int").selectExpr("1 / number AS InvoiceNo")
    with pytest.raises(ArithmeticException), staged_batch(Output(str(tmp_path)), 1) as staged:
        staged.write_scored(lines)
    assert [folder.name for folder in tmp_path.glob("*/*")] == ["batch_id=0"]


def test_a_batch_that_another_machine_has_taken_over_in_an_object_store_withdraws_its_own_lines_alone(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the two write to one folder, and what was on its way arrives after the other has recorded."""
    monkeypatch.setattr(staging, "is_object_store", lambda _: True)
    output, folder = Output(str(tmp_path)), tmp_path / "scored" / "batch_id=7"
    prepare(output, after=6)

    def stand_still() -> None:
        with staged_batch(output, 7, confirm=held_once()) as mine:
            mine.write_scored(spark.createDataFrame([("mine",)], "InvoiceNo string").coalesce(1))
            (late,) = folder.glob("*.parquet")
            on_its_way = late.read_bytes()
            write(spark, output, 7, "theirs")
            late.write_bytes(on_its_way)
            assert sorted(map(str, content(folder))) == ["mine", "theirs"]

    with pytest.raises(LockLostError):
        stand_still()
    assert content(folder) == ["theirs"]
    assert content(tmp_path / "quarantine" / "batch_id=7") == ["theirs", None]


def test_a_batch_that_fails_as_another_machine_empties_its_folder_leaves_the_other_s_lines(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "is_object_store", lambda _: True)
    output = Output(str(tmp_path))
    prepare(output, after=6)

    def fail() -> None:
        with staged_batch(output, 7, confirm=held_once()) as mine:
            mine.write_scored(spark.createDataFrame([("mine",)], "InvoiceNo string"))
            write(spark, output, 7, "theirs")
            raise FileNotFoundError("_temporary")

    with pytest.raises(LockLostError):
        fail()
    assert content(tmp_path / "scored" / "batch_id=7") == ["theirs"]


def test_what_a_killed_scorer_left_is_removed_and_what_is_recorded_stays(tmp_path: Path) -> None:
    for name in ("scored/batch_id=0", "scored/batch_id=1", "quarantine/batch_id=1", "scored/.writing-x"):
        (tmp_path / name).mkdir(parents=True)
    prepare(Output(str(tmp_path)), after=0)
    found = {str(folder.relative_to(tmp_path)) for folder in tmp_path.glob("*/*")}
    assert found == {"scored/batch_id=0", "quarantine/batch_id=0"}


def test_quarantined_lines_can_be_read_before_there_are_any(tmp_path: Path) -> None:
    prepare(Output(str(tmp_path)), after=-1)
    table: pa.Table = pq.read_table(tmp_path / "quarantine")
    assert (table.num_rows, table.column_names[:3]) == (0, ["line", "reason", "source_file"])
