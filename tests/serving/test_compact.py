"""Compaction: each line once at every moment, whatever is killed or scored anew."""

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession

from retail_clusters.errors import InputError, StorageError
from retail_clusters.serving import compact
from retail_clusters.serving.output import SCORED_LINE, Output
from retail_clusters.serving.reader import read_quarantine, read_scored
from retail_clusters.serving.records import CommitLog
from retail_clusters.serving.staged import prepare, staged_batch
from tests.serving.test_records import record
from tests.viewfs import in_session, take_over


def line(text: str, *, day: int = 1, file: str = "f") -> Row:
    when = datetime(2011, 1, day)
    values = (text, None, None, 1, when, 1.0, None, None, 0, 1, file)
    return Row(**dict(zip(SCORED_LINE.names, values, strict=True)))


def write(spark: SparkSession, place: Path, batch_id: int, *lines: Row, **changes: object) -> None:
    output = Output(str(place))
    with staged_batch(output, batch_id) as staged:
        staged.write_scored(spark.createDataFrame(lines, SCORED_LINE))
    book = CommitLog.load(output)
    book.append(record(batch_id, stream_batch=batch_id, rows_scored=len(lines), **changes))  # type: ignore[arg-type]


def scored(spark: SparkSession, place: Path) -> list[tuple[str, int]]:
    found = read_scored(spark, str(place)).select("InvoiceNo", "batch_id").collect()
    return sorted((str(text), int(batch)) for text, batch in found)


def compacted(place: Path) -> list[str]:
    """Name the folders, each without what is one call's own."""
    return sorted(folder.name.partition("-")[0] for folder in (place / "compacted").iterdir())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    prepare(Output(str(tmp_path)), after=-1)
    return tmp_path


def test_readers_see_committed_batches_only(spark: SparkSession, place: Path) -> None:
    assert scored(spark, place) == []
    write(spark, place, 0, line("a"))
    with staged_batch(Output(str(place)), 1) as staged:
        staged.write_scored(spark.createDataFrame([line("not recorded")], SCORED_LINE))
    assert scored(spark, place) == [("a", 0)]
    assert read_quarantine(spark, str(place)).count() == 0


def test_batches_become_one_file_in_the_order_of_days(spark: SparkSession, place: Path) -> None:
    for batch_id, day in enumerate((3, 1, 2)):
        write(spark, place, batch_id, line(f"b{batch_id}", day=day))
    before = scored(spark, place)
    assert compact.run(spark, str(place)) == compact.CompactSummary(batches=3, lines=3, files=1)
    assert scored(spark, place) == before == [("b0", 0), ("b1", 1), ("b2", 2)]
    assert not list((place / "scored").glob("batch_id=*"))
    (file,) = place.glob("compacted/until=2-*/*.parquet")
    assert [row["InvoiceNo"] for row in spark.read.parquet(str(file)).collect()] == ["b1", "b2", "b0"]
    assert compact.run(spark, str(place)).batches == 0


def test_batches_that_came_since_join_a_file_that_is_still_small(spark: SparkSession, place: Path) -> None:
    write(spark, place, 0, line("a"))
    compact.run(spark, str(place))
    write(spark, place, 1, line("b"))
    assert scored(spark, place) == [("a", 0), ("b", 1)]
    compact.run(spark, str(place))
    assert compacted(place) == ["until=1"]
    assert scored(spark, place) == [("a", 0), ("b", 1)]
    assert CommitLog.load(Output(str(place))).last == 1


@pytest.mark.parametrize("compacted_between", [False, True])
def test_lines_of_a_file_that_is_scored_anew_are_those_of_the_last_batch(
    spark: SparkSession, place: Path, compacted_between: bool
) -> None:
    write(spark, place, 0, line("old", file="f"), line("kept", file="g"))
    if compacted_between:
        compact.run(spark, str(place))
    write(spark, place, 1, line("new", file="f"), replaces=((0, "f"),))
    assert scored(spark, place) == [("kept", 0), ("new", 1)]
    compact.run(spark, str(place))
    assert scored(spark, place) == [("kept", 0), ("new", 1)]


def test_what_is_replaced_stays_out_of_files_that_are_large_enough(
    spark: SparkSession, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compact, "SENSIBLE_SIZE", 1)
    write(spark, place, 0, line("old", file="f"), line("kept", file="g"))
    compact.run(spark, str(place))
    write(spark, place, 1, line("new", file="f"), replaces=((0, "f"),))
    compact.run(spark, str(place))
    assert compacted(place) == ["until=0", "until=1"]
    assert scored(spark, place) == [("kept", 0), ("new", 1)]


def test_killed_before_the_list_is_replaced_it_leaves_the_batches_as_they_are(
    spark: SparkSession, place: Path
) -> None:
    write(spark, place, 0, line("a"))
    half = place / "compacted" / "until=0-killed"
    shutil.copytree(place / "scored" / "batch_id=0", half)
    assert scored(spark, place) == [("a", 0)]
    compact.run(spark, str(place))
    assert scored(spark, place) == [("a", 0)]


def test_killed_after_the_list_is_replaced_its_leftovers_count_no_more(
    spark: SparkSession, place: Path
) -> None:
    write(spark, place, 0, line("a"))
    shutil.copytree(place / "scored", place / "kept")
    compact.run(spark, str(place))
    shutil.rmtree(place / "scored")
    (place / "kept").rename(place / "scored")
    assert scored(spark, place) == [("a", 0)]
    compact.run(spark, str(place))
    assert not list((place / "scored").glob("batch_id=*"))


def test_a_folder_that_no_scorer_wrote_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no records of batches"):
        compact.check(str(tmp_path))


def test_a_compaction_that_stood_still_while_another_went_on_leaves_the_list_alone(
    spark: SparkSession, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(spark, place, 0, line("a"))
    rewrite, far = compact._rewrite, in_session(spark, place)

    def stand_still(*arguments: Any) -> Any:
        take_over(f"{far}/compact.lock")
        return rewrite(*arguments)

    monkeypatch.setattr(compact, "_rewrite", stand_still)
    with pytest.raises(StorageError, match="was taken over"):
        compact.run(spark, far)
    assert not (place / "commits" / "compacted.json").exists()
    assert scored(spark, place) == [("a", 0)]
