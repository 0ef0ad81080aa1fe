"""The cache of prepared tables: found by key, the last writer is found."""

import shutil
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from retail_clusters import schema
from retail_clusters.data import csv_files, digest, invoices, prepare
from retail_clusters.data.prepare import Prepared
from retail_clusters.errors import InputError
from retail_clusters.input_settings import Input
from retail_clusters.settings import Split
from tests.conftest import SAMPLE

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
    return prepare.make(spark, prepare.source(str(data), Input()), run_id=run)


def found(spark: SparkSession, data: Path, how: Input | None = None) -> str | None:
    """The run whose lines are in the cache."""
    there = prepare.find(spark, prepare.source(str(data), how or Input()))
    return there.table.run_id if there else None


def test_a_table_is_found_by_its_files_and_settings_with_its_lines(spark, data):
    made = make(spark, data)
    there = prepare.find(spark, prepare.source(str(data), Input()))
    assert there is not None
    assert there.table == made.table
    assert there.lines.count() == made.table.good_lines == len(LINES)
    assert found(spark, data, Input(null_words=["NULL"])) is None
    write(data / "a.csv", LINES[1:])
    assert found(spark, data) is None


def test_good_lines_are_kept_typed_and_the_others_as_they_came_with_the_reason(spark, data):
    bad = ["1,A,CUP,one,2011-01-02 08:00:00,2.5,17850.0,UK", "1,A,CUP,1,2011-01-02,2.5,17850.0,UK"]
    write(data / "b.csv", [*LINES, *bad])
    (data / "c.csv").write_bytes(f"{csv_files.header()}\n1,A,M\xdcG,1,,,,UK\n".encode("latin-1"))
    source = prepare.source(str(data), Input())
    made = prepare.make(spark, source, run_id="r")
    parsed, _ = invoices.read(spark, source.layouts)
    assert made.lines.schema == schema.INVOICE_LINE
    assert sorted(made.lines.collect(), key=str) == sorted(invoices.good(parsed).collect(), key=str)
    reasons = {each.reason: (each.lines, each.line_number, each.example) for each in made.table.reasons}
    assert reasons == {
        invoices.NOT_WHOLE: (1, len(LINES) + 2, bad[0]),
        invoices.not_a_date(): (1, len(LINES) + 3, bad[1]),
        invoices.not_text(): (1, 2, "1,A,M\ufffdG,1,,,,UK"),
    }
    assert made.table.data_digest == digest.summarize(parsed).digest
    assert made.table.total_lines == 2 * len(LINES) + 3


def test_the_sample_has_the_digest_that_it_always_had(spark):
    assert make(spark, SAMPLE).table.data_digest == "2:36f84865596f4934a97963b541879c4f"


def test_a_split_cuts_the_same_lines_at_any_days_and_needs_lines_in_each_part(spark, data):
    table = make(spark, data).table
    for train_until, validate_until, parts in (
        (date(2011, 7, 1), date(2011, 10, 1), (7, 7, 7)),
        (date(2011, 1, 2), date(2011, 11, 7), (1, 19, 1)),
    ):
        split = Split(train_until=train_until, validate_until=validate_until)
        assert tuple(table.parts(split).values()) == parts
        prepare.check_split(table, split)
    with pytest.raises(InputError, match=r"train and test got none \(train 0, validation 21, test 0"):
        prepare.check_split(table, Split(train_until=date(1, 1, 1), validate_until=date(9999, 12, 31)))


def test_days_are_days_in_utc_in_order_and_a_stray_one_shows(spark, data):
    write(data / "a.csv", [*LINES[::-1], "1,A,CUP,1,2199-12-31 23:59:59,2.5,,UK"])
    days = make(spark, data).table.days
    assert list(days) == sorted(days)
    assert list(days)[-2:] == ["2011-11-07", "2199-12-31"]
    assert set(days.values()) == {1}


def test_what_is_refused_leaves_no_lines_behind(spark, data):
    write(data / "a.csv", ["one,line"] * 30)
    with pytest.raises(InputError, match=r"at most 50\.0% of the lines may be quarantined"):
        make(spark, data)
    assert not list(CACHE.glob("*/*"))


def test_the_cache_is_where_the_environment_says(spark, data, tmp_path, monkeypatch):
    monkeypatch.setenv("RETAIL_CLUSTERS_PREPARED", f"file://{tmp_path}/shared [x]/cache")
    table = make(spark, data).table
    assert (tmp_path / "shared [x]" / "cache" / table.folder / "lines" / "_SUCCESS").is_file()
    assert found(spark, data) == "r"
    assert not CACHE.exists()


def test_of_two_writers_the_last_is_found_and_each_reads_its_own(spark, data):
    first, second = make(spark, data, run="first"), make(spark, data, run="second")
    assert found(spark, data) == "second"
    assert first.lines.count() == second.lines.count() == len(LINES)


def test_a_manifest_that_cannot_be_read_is_no_table_and_is_replaced(spark, data):
    make(spark, data)
    (manifest,) = CACHE.glob("*/manifest.json")
    for text in ("", "{", "[]", '{"folder": 1}', '{"data": "\\u00e9"}', "\0"):
        manifest.write_text(text)
        assert found(spark, data) is None, text
    make(spark, data, run="again")
    assert found(spark, data) == "again"


def test_the_cache_may_be_deleted_whole_or_in_part_at_any_time(spark, data):
    make(spark, data)
    shutil.rmtree(next(CACHE.glob("*/*/lines")))
    assert found(spark, data) is None
    make(spark, data, run="again")
    assert found(spark, data) == "again"
    shutil.rmtree(CACHE)
    assert found(spark, data) is None


def test_a_cache_at_a_scheme_that_spark_does_not_know_is_refused(spark, data, monkeypatch):
    monkeypatch.setenv("RETAIL_CLUSTERS_PREPARED", "nothing://b/prepared")
    with pytest.raises(InputError, match="No FileSystem for scheme"):
        prepare.source(str(data), Input())
