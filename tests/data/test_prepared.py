"""The cache of prepared tables: found by key and by content, the first writer wins, the unused ones go."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from retail_clusters import schema
from retail_clusters.data import prepared
from retail_clusters.data.prepared import PreparedTable
from retail_clusters.data.weighted_rows import PREPARATION_VERSION
from tests import examples

LINES = {"train": 2, "validation": 1, "test": 1}
CACHE = Path(prepared.DEFAULT_CACHE)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RETAIL_CLUSTERS_PREPARED", raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    columns = ", ".join(f"{field.name} {field.dataType.simpleString()}" for field in schema.WEIGHTED_ROW)
    return spark.createDataFrame(
        [("train", *examples.whole((2.5, 6, "Monday", 2, 0)))], f"split string, {columns}"
    )


def make(
    rows: DataFrame, key: str = "k", *, digest: str = "d", run: str = "r", data: str = "in"
) -> PreparedTable:
    empty = PreparedTable.named(key, run, data)
    return prepared.store(
        replace(empty, data_digest=digest, lines=LINES, rows=LINES), reduced=rows, quarantine=rows
    )


def grow_old(key: str, *, days: float) -> None:
    when = time.time() - days * 24 * 3600
    for path in [CACHE / key, *(CACHE / key).rglob("*")]:
        os.utime(path, (when, when))


def test_a_table_is_found_by_its_key_with_its_rows(spark, rows):
    table = make(rows)
    assert prepared.find("k") == table
    assert prepared.find("other") is None
    assert [row.UnitPrice for row in prepared.read_rows(spark, table).collect()] == [2.5]


def test_the_cache_is_where_the_environment_says(spark, rows, place, monkeypatch):
    monkeypatch.setenv("RETAIL_CLUSTERS_PREPARED", f"file://{place}/shared [x]/cache")
    table = make(rows)
    assert (place / "shared [x]" / "cache" / table.folder / "rows" / "_SUCCESS").is_file()
    assert prepared.read_rows(spark, table).count() == 1
    assert not CACHE.exists()


def test_the_first_of_two_writers_wins_and_the_second_reads_its_table(spark, rows):
    first, second = make(rows, run="first"), make(rows, run="second")
    assert second == first == prepared.find("k")
    assert prepared.read_rows(spark, first).count() == 1
    assert len([folder for folder in (CACHE / "k").iterdir() if folder.is_dir()]) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"folder": 1}', '{"data": "\\u00e9"}', "\0"])
def test_a_manifest_that_cannot_be_read_is_passed_over_with_a_warning_and_replaced(rows, capsys, text):
    make(rows)
    make(rows, "other", digest="wanted")
    (CACHE / "k" / "manifest.json").write_text(text)
    assert prepared.find("k") is None
    assert "k/manifest.json cannot be read and is passed over" in capsys.readouterr().err
    found = prepared.find_by_content("wanted", LINES)
    assert found is not None
    assert found.key == "other"
    table = make(rows, run="again")
    assert prepared.find("k") == table


def test_content_is_found_whatever_the_key_but_not_with_other_lines_or_of_another_version(rows):
    table = make(rows, digest="d")
    assert prepared.find_by_content("d", LINES) == table
    assert prepared.find_by_content("e", LINES) is None
    assert prepared.find_by_content("d", LINES | {"test": 7}) is None
    manifest = CACHE / "k" / "manifest.json"
    for version in (PREPARATION_VERSION - 1, PREPARATION_VERSION + 1):
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": version}))
        assert prepared.find_by_content("d", LINES) is None


def test_a_manifest_of_before_there_were_versions_is_of_the_first_one(rows, capsys):
    make(rows)
    manifest = CACHE / "k" / "manifest.json"
    facts = json.loads(manifest.read_text())
    del facts["version"]
    manifest.write_text(json.dumps(facts))
    assert prepared.find_by_content("d", LINES) is None
    assert capsys.readouterr().err == ""


def test_no_cache_holds_no_table():
    assert prepared.find_by_content("d", LINES) is None
    assert prepared.prune() == 0


def test_tables_beyond_the_number_kept_go_the_longest_unused_first_and_none_that_is_in_use(spark, rows):
    tables = {key: make(rows, key) for key in ("a", "b", "c", "d")}
    for days, key in ((9, "a"), (8, "b"), (7, "c"), (0.5, "d")):
        grow_old(key, days=days)
    prepared.read_rows(spark, tables["a"])
    assert prepared.prune(keep=2) == 2
    assert {key for key in tables if prepared.find(key)} == {"a", "d"}
    assert prepared.prune(keep=0) == 0, "both were used within a day"


def test_what_a_killed_writer_left_goes_after_a_day(rows):
    make(rows)
    for key in ("fresh", "old"):
        (CACHE / key / "x" / "rows").mkdir(parents=True)
    grow_old("old", days=2)
    assert prepared.prune() == 1
    assert sorted(folder.name for folder in CACHE.iterdir()) == ["fresh", "k"]
