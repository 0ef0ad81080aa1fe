"""An attempt at a batch: hidden until it is whole, and nothing of it is left where another one counts."""

import time
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.errors import ArithmeticException
from pyspark.sql import SparkSession

from retail_clusters.serving.attempt import Attempt, prepare, remove_dead
from retail_clusters.serving.commits import CommitLog
from tests.serving.test_commits import record


def published(place: Path, text: str, *, batch_id: int = 7) -> dict[str, list[str]]:
    """Publish a batch of one quarantined line, and of one row that stands for a file without any."""
    with closing(Attempt(str(place))) as attempt:
        rows = ({"line": line, "reason": "r", "source_file": "f"} for line in (text, None))
        assert attempt.write_whole_files(rows) == (1, 1)
        assert (attempt.count("quarantine"), attempt.count("scored")) == (2, 0)
        return attempt.publish(batch_id)


def lines(place: Path) -> list[str | None]:
    files = sorted((place / "quarantine" / "batch_id=7").glob("*.parquet"))
    return [line for file in files for line in pq.read_table(file, partitioning=None)["line"].to_pylist()]


def test_what_was_written_is_counted_and_then_seen_under_names_of_its_own(
    spark: SparkSession, tmp_path: Path
) -> None:
    with closing(Attempt(str(tmp_path))) as attempt:
        rows = spark.createDataFrame([("a", 1), (None, 1), (None, 2)], "InvoiceNo string, prediction int")
        attempt.write(rows.coalesce(1), "scored")
        assert attempt.count("scored") == 3
        assert attempt.count_nulls("scored", "InvoiceNo") == 2
        assert attempt.count_nulls("scored", "prediction") == attempt.count_nulls("lines", "prediction") == 0
        assert [path.name for path in tmp_path.iterdir()] == [".attempts"]
        written = attempt.publish(0)
    assert [file.name for file in (tmp_path / "scored" / "batch_id=0").iterdir()] == written["scored"]
    assert written["quarantine"] == []
    assert not list((tmp_path / ".attempts").iterdir())


def test_an_attempt_that_fails_leaves_nothing(spark: SparkSession, tmp_path: Path) -> None:
    failing = spark.createDataFrame([(0,)], "number int").selectExpr("1 / number AS InvoiceNo")
    with pytest.raises(ArithmeticException), closing(Attempt(str(tmp_path))) as attempt:
        attempt.write(failing, "scored")
    assert [path.name for path in tmp_path.rglob("*")] == [".attempts"]


def test_the_attempt_that_is_not_in_the_record_is_removed(tmp_path: Path) -> None:
    first, second = published(tmp_path, "first"), published(tmp_path, "second")
    assert sorted(map(str, lines(tmp_path))) == ["None", "None", "first", "second"]
    remove_dead(str(tmp_path), record(7, written=first))
    assert lines(tmp_path) == ["first", None]
    assert second != first


def test_a_start_removes_what_killed_scorers_left_here_and_long_ago_elsewhere(tmp_path: Path) -> None:
    log = CommitLog(str(tmp_path))
    prepare(log)
    mine = Attempt(str(tmp_path))
    mine.write_whole_files(iter([]))
    now = int(time.time())
    for name in (f"elsewhere-{now - 3600}-a", f"elsewhere-{now - 90_000}-b"):
        (tmp_path / ".attempts" / name).mkdir()
    written = published(tmp_path, "recorded", batch_id=0)
    published(tmp_path, "dead", batch_id=0)
    published(tmp_path, "under way elsewhere", batch_id=1)
    log.append(record(0, written=written))
    prepare(log)
    assert [path.name for path in (tmp_path / ".attempts").iterdir()] == [f"elsewhere-{now - 3600}-a"]
    names = [path.name for path in (tmp_path / "quarantine" / "batch_id=0").iterdir()]
    assert names == written["quarantine"]
    assert len(list((tmp_path / "quarantine" / "batch_id=1").iterdir())) == 1
