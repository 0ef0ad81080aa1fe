"""The cache of prepared tables: found by key, the first writer wins, the longest unused ones go."""

import os
import shutil
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from retail_clusters.data import csv_files, prepare
from retail_clusters.data.prepare import Prepared
from retail_clusters.errors import InputError
from retail_clusters.settings import Experiment, Split

CACHE = Path(prepare.DEFAULT_CACHE)
LINES = [
    f"{day},A,CUP,{day},2011-{month:02}-{day:02} 08:00:00,2.5,{'' if day % 2 else '17850.0'},UK"
    for month in (1, 8, 11)
    for day in range(1, 8)
]


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A few lines in each part of the split."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RETAIL_CLUSTERS_PREPARED", raising=False)
    write(tmp_path / "in" / "a.csv", LINES)
    return tmp_path / "in"


def write(file: Path, lines: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([csv_files.header(), *lines, ""]))


def make(spark: SparkSession, data: Path, *, run: str = "r") -> Prepared:
    return prepare.make(spark, prepare.source(str(data), Experiment()), run_id=run)


def found(spark: SparkSession, data: Path, experiment: Experiment | None = None) -> str | None:
    """The run whose rows are in the cache."""
    there = prepare.find(spark, prepare.source(str(data), experiment or Experiment()))
    return there.table.run_id if there else None


def test_a_table_is_found_by_its_files_and_settings_with_its_rows(spark, data):
    made = make(spark, data)
    there = prepare.find(spark, prepare.source(str(data), Experiment()))
    assert there is not None
    assert there.table == made.table
    assert there.reduced.count() == sum(made.table.rows.values())
    assert found(spark, data, Experiment(split=Split(train_until=date(2011, 6, 1)))) is None
    write(data / "a.csv", LINES[1:])
    assert found(spark, data) is None


def test_the_cache_is_where_the_environment_says(spark, data, tmp_path, monkeypatch):
    monkeypatch.setenv("RETAIL_CLUSTERS_PREPARED", f"file://{tmp_path}/shared [x]/cache")
    table = make(spark, data).table
    assert (tmp_path / "shared [x]" / "cache" / table.folder / "rows" / "_SUCCESS").is_file()
    assert found(spark, data) == "r"
    assert not CACHE.exists()


def test_the_first_of_two_writers_wins_and_the_second_reads_its_table(spark, data):
    first, second = make(spark, data, run="first"), make(spark, data, run="second")
    assert second.table == first.table
    (key,) = CACHE.iterdir()
    assert len([folder for folder in key.iterdir() if folder.is_dir()]) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"folder": 1}', '{"data": "\\u00e9"}', "\0"])
def test_a_manifest_that_cannot_be_read_is_no_table_and_is_replaced(spark, data, text):
    make(spark, data)
    (manifest,) = CACHE.glob("*/manifest.json")
    manifest.write_text(text)
    assert found(spark, data) is None
    make(spark, data, run="again")
    assert found(spark, data) == "again"


def test_the_cache_may_be_deleted_whole_or_in_part_at_any_time(spark, data):
    make(spark, data)
    shutil.rmtree(next(CACHE.glob("*/*/rows")))
    assert found(spark, data) is None
    make(spark, data, run="again")
    assert found(spark, data) == "again"
    shutil.rmtree(CACHE)
    assert found(spark, data) is None


def test_the_tables_used_last_stay_and_what_a_killed_writer_left_goes(spark, data):
    make(spark, data)
    (key,) = CACHE.iterdir()
    others = [CACHE / f"{number:02}" for number in range(prepare.TABLES_KEPT + 5)]
    for age, folder in enumerate(others):
        (folder / "x" / "rows").mkdir(parents=True)
        grow_old(folder, days=1 + age)
    grow_old(key, days=99)
    assert found(spark, data) == "r", "which marks it as used"
    write(data / "a.csv", LINES[1:])
    new = make(spark, data).table.folder.partition("/")[0]
    kept = {new, key.name, *(folder.name for folder in others[: prepare.TABLES_KEPT - 2])}
    assert {folder.name for folder in CACHE.iterdir()} == kept


def grow_old(folder: Path, *, days: float) -> None:
    for path in [folder, *folder.rglob("*")]:
        when = path.stat().st_mtime - days * 24 * 3600
        os.utime(path, (when, when))


def test_a_cache_at_a_scheme_that_spark_does_not_know_is_refused(spark, data, monkeypatch):
    monkeypatch.setenv("RETAIL_CLUSTERS_PREPARED", "nothing://b/prepared")
    with pytest.raises(InputError, match="No FileSystem for scheme"):
        prepare.source(str(data), Experiment())
