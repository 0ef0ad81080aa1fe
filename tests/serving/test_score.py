"""The scorer on real Spark, registry and tracking store: exactly once, hot swap, quarantine, accounts."""

import gzip
import os
import re
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from pyspark.sql import SparkSession
from pyspark.testing import assertDataFrameEqual

from retail_clusters import schema
from retail_clusters.data import csv_files, invoices
from retail_clusters.errors import InputError, RegistryError
from retail_clusters.features.interface import open_model
from retail_clusters.infra.console import Progress
from retail_clusters.infra.locations import to_uri
from retail_clusters.serving import score
from retail_clusters.serving.alias import Follower
from retail_clusters.serving.batch import ServedModel, serve
from retail_clusters.serving.commits import BatchTakenError, CommitLog, read_record
from retail_clusters.serving.reader import read_quarantine, read_scored
from retail_clusters.serving.scorer import Scorer
from retail_clusters.serving.source import InputFile, check_places
from tests import scorers, shop
from tests.conftest import SAMPLE
from tests.mutations import mutated
from tests.scorers import HEADER, LINE, registry

SATURDAY = LINE.replace("2010-12-01", "2010-12-04")


@pytest.fixture(scope="module")
def store(spark: SparkSession, empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions: champion 1, another 2, a broken 3, 4 refuses unseen days, 5 leaves lines out, 6 has a unit."""
    folder = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{shutil.copy(empty_store, folder / 'mlflow.db')}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("tests", (folder / "artifacts").as_uri()))
    scorers.register_models(spark, (8, "keep"), (5, "keep"))
    scorers.register_broken(of="1")
    scorers.register_models(spark, (4, "error"))
    scorers.register_picky(spark)
    scorers.register_customers(spark)
    registry.set_alias(alias="champion", version="1")
    return folder / "mlflow.db"


@pytest.fixture
def place(store: Path, workplace: Path) -> Path:
    shutil.copy(store, workplace / "mlflow.db")
    mlflow.set_experiment("tests")
    return workplace


@contextmanager
def meanwhile(steps: Callable[[], None]) -> Iterator[None]:
    """Do something while a scorer keeps running in here, then let SIGTERM end it."""
    problems: list[BaseException] = []

    def work() -> None:
        try:
            steps()
        except BaseException as problem:
            problems.append(problem)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join()
    assert not problems, problems


def recorded(place: Path, batch_id: int) -> bool:
    return (place / "output" / "commits" / f"{batch_id}.json").exists()


def invoice_numbers(spark: SparkSession, place: Path) -> Counter[str]:
    found = read_scored(spark, str(place / "output")).select(schema.INVOICE_NO).collect()
    return Counter(str(row[0]) for row in found)


def test_the_stream_gives_what_a_batch_gives_and_every_line_once(spark: SparkSession, place: Path) -> None:
    files = sorted(SAMPLE.glob("*.csv"))[:8]
    for file in files:
        scorers.put(place / "in", file.name, file.read_bytes())
    summary = scorers.drain(spark, place / "in", files=4)
    assert (summary.batches, summary.files, summary.model_versions) == (2, 8, ("1",))
    assert summary.rows_in == summary.rows_scored == sum(scorers.lines_of(files).values())
    good = invoices.good(invoices.read(spark, csv_files.check_headers([str(file) for file in files]))[0])
    batch = open_model(registry, version="1").score(good)
    plain = spark.read.parquet(str(place / "output" / "scored")).select(batch.columns)
    assertDataFrameEqual(plain, batch)
    assertDataFrameEqual(read_scored(spark, str(place / "output")).select(batch.columns), batch)
    names = (
        "rows_in",
        "rows_scored",
        "rows_excluded",
        "rows_quarantined",
        "rows_per_second",
        "model_version",
    )
    for name in names:
        assert set(scorers.points(summary.run_id, name)) == {0, 1}
    assert set(scorers.points(summary.run_id, "drift_psi")) <= {1}  # where the days came in order
    assert sum(scorers.points(summary.run_id, "rows_in").values()) == summary.rows_in
    run = mlflow.get_run(summary.run_id)
    assert (run.info.run_name, run.info.status) == ("score", "FINISHED")


def test_started_again_it_goes_on_in_the_same_run_with_new_files_only(
    spark: SparkSession, place: Path
) -> None:
    scorers.put(place / "in", "a.csv", scorers.lines())
    first = scorers.drain(spark, place / "in")
    old = scorers.put(place / "in", "late but old.csv", scorers.lines(2))
    os.utime(old, (1_000_000_000, 1_000_000_000))
    with mlflow.start_run(run_name="main"):
        second = scorers.drain(spark, place / "in")
    third = scorers.drain(spark, place / "in")
    assert first.run_id == second.run_id == third.run_id
    assert (second.rows_in, third.batches) == (2, 0)
    assert scorers.points(first.run_id, "rows_in") == {0: 1, 1: 2}


def test_a_checkpoint_that_is_deleted_or_older_scores_nothing_twice_and_skips_nothing(
    spark: SparkSession, place: Path
) -> None:
    stream, source = place / "checkpoint" / "stream", place / "in"
    scorers.put(source, "0.csv", scorers.lines(invoice="0"))
    scorers.drain(spark, source)
    shutil.copytree(stream, place / "older")
    scorers.put(source, "1.csv", scorers.lines(invoice="1"))
    assert scorers.drain(spark, source).batches == 1
    shutil.rmtree(stream)
    scorers.put(source, "2.csv", scorers.lines(invoice="2"))
    assert scorers.drain(spark, source).rows_in == 1
    shutil.rmtree(stream)
    (place / "older").rename(stream)
    scorers.put(source, "3.csv", scorers.lines(invoice="3"))
    assert scorers.drain(spark, source).rows_in == 1
    assert invoice_numbers(spark, place) == {"0": 1, "1": 1, "2": 1, "3": 1}


def test_of_two_machines_that_score_one_batch_the_first_wins_and_the_other_removes_its_own_files(
    spark: SparkSession, place: Path
) -> None:
    for name in ("a", "b"):
        scorers.put(place / "in", f"{name}.csv", scorers.lines(invoice=name) + "spoilt\n")
    scorers.drain(spark, place / "in", files=1)
    scorers.put(place / "in", "c.csv", scorers.lines(2, invoice="c") + "spoilt\n")
    request = scorers.request(place / "in")
    logs = [CommitLog.load(request.output) for _ in range(2)]
    one, other = (
        Scorer(spark, request, log=log, progress=Progress("score"), run_id="unknown") for log in logs
    )
    for each in (one, other):
        each.start()
    one.score_left()
    before = sorted((place / "output").rglob("*.parquet"))
    with pytest.raises(BatchTakenError, match=r"another scorer wrote batch 2 of .* first"):
        other.score_left()
    assert sorted((place / "output").rglob("*.parquet")) == before
    assert not list((place / "output" / ".attempts").iterdir())
    assert invoice_numbers(spark, place) == {"a": 1, "b": 1, "c": 2}
    assert read_quarantine(spark, str(place / "output")).count() == 3


def test_files_that_are_no_invoice_lines_go_to_quarantine_whole(spark: SparkSession, place: Path) -> None:
    """Defects 59 to 61 and 76: a colon stopped the scorer, odd names were ignored, a link multiplied lines."""
    source = place / "in"
    content = {
        "good [1] {a,b}*?.csv": f"{HEADER}\n{LINE}\n\n{LINE},one more\n",
        "2010-12-01T08:00.csv": scorers.lines(),
        "spaces and % \u00fc#.csv": f"\ufeff{HEADER}\n{LINE}\n",
        "empty.csv": "",
        "header only.csv": HEADER,
        "no header.csv": f"{LINE}\n{LINE}\n",
        "other header.csv": f"{HEADER.replace('Quantity', 'Number')}\n{LINE}\n",
        "cut.csv.gz": b"\x1f\x8b\x08\x00",
        "padded.csv.gz": gzip.compress(scorers.lines(3).encode()) + bytes(512),
        ".hidden.csv": LINE,
        "notes.txt": LINE,
        os.fsdecode(b"caf\xe9.csv"): scorers.lines(),
    }
    for name, text in content.items():
        scorers.put(source, name, text)
    scorers.put(source / "day=1" / "deeper", "nested.csv", scorers.lines())
    (source / "day=1" / "loop").symlink_to(source / "day=1")
    summary = scorers.drain(spark, source)
    assert (summary.files, summary.rows_in, summary.rows_scored, summary.rows_quarantined) == (11, 13, 4, 9)
    found = read_quarantine(spark, str(place / "output")).collect()
    reasons = {row["source_file"].rsplit("/", 1)[1]: row["reason"] for row in found}
    assert reasons.pop("other%20header.csv").startswith(
        "the header has no column Quantity, but found 'Number'"
    )
    assert reasons.pop("no%20header.csv").startswith("the header has no column InvoiceNo")
    assert reasons.pop("cut.csv.gz").startswith("the file cannot be unpacked to its end (")
    assert "pack it anew with gzip" in reasons.pop("padded.csv.gz")
    assert reasons == {
        "good%20%5B1%5D%20%7Ba,b%7D*%3F.csv": invoices.NOT_THE_FIELDS,
        "empty.csv": "the file is empty",
        "caf\\udce9.csv": "the file's name is not UTF-8, and Spark opens no such file: rename it",
    }
    assert sum(row["line"] is None for row in found) == 2
    account = summary.account
    assert account is not None
    assert (account.there, account.read, account.quarantined, account.passed_over) == (13, 5, 6, 2)
    assert sum(each.lines for each in summary.reasons) == 9
    again = scorers.drain(spark, source)
    assert (again.batches, again.account) == (0, replace(account, read=0, quarantined=0, read_before=11))


def test_files_are_scored_whatever_the_case_of_their_suffix_and_once_whatever_names_they_have(
    spark: SparkSession, place: Path
) -> None:
    """Defects 69 and 71: half the files in capitals were passed by, a link doubled the lines of its file."""
    source = place / "in"
    scorers.put(source, "b.CSV", scorers.lines(invoice="b"))
    scorers.put(source / "sub", "c.Csv.GZ", gzip.compress(scorers.lines(invoice="c").encode()))
    (source / "latest.csv").symlink_to("b.CSV")
    (source / "a").symlink_to(source / "sub")
    os.link(source / "b.CSV", source / "z.csv")
    assert scorers.drain(spark, source).rows_scored == 2
    os.link(source / "b.CSV", source / "0.csv")
    scorers.put(source, "d.csv", scorers.lines(invoice="d"))
    (source / "latest.csv").unlink()
    (source / "latest.csv").symlink_to("d.csv")
    assert scorers.drain(spark, source).rows_scored == 1
    assert invoice_numbers(spark, place) == {"b": 1, "c": 1, "d": 1}


def test_each_file_is_read_by_its_own_header_and_other_columns_are_passed_through(
    spark: SparkSession, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scorers.put(place / "in", "a.csv", f"Shop,{HEADER}\nOslo,{LINE}\n,{LINE}\nOslo,{LINE},\n")
    swapped = [",".join(reversed(line.split(","))) for line in (HEADER, LINE)]
    scorers.put(place / "in", "b.csv", "".join(f"{line},x y\n" for line in swapped).replace("Number", "Nr"))
    scorers.put(place / "in", "c.csv", scorers.lines())
    scorers.put(place / "in", "notes.txt", "x")
    assert scorers.drain(spark, place / "in").rows_scored == 4
    told = capsys.readouterr().out
    assert (
        "score: quarantined 1 of 5 lines:\n  1 because the fields are fewer or more than the header's, such as 'Oslo,"
        in told
    )
    assert (
        "(a.csv, line 4)\nscore: 4 files: 3 read, 1 passed over by name: 1 with another suffix (1 .txt)\n"
        in told
    )
    rows = read_scored(spark, str(place / "output")).collect()
    extra = sorted((row["Shop"] or "", row["x y"] or "") for row in rows)
    assert extra == [("", ""), ("", ""), ("", "x y"), ("Oslo", "")]
    assert {(row.Quantity, row.CustomerID, row.prediction) for row in rows} == {
        (6, "17850", rows[0].prediction)
    }


def test_a_file_that_is_gone_before_it_can_be_read_is_scored_once_it_is_back(
    spark: SparkSession, place: Path
) -> None:
    scorers.put(place / "in", "a.csv", scorers.lines(invoice="a"))
    request = scorers.request(place / "in")
    log, progress = CommitLog.load(request.output), Progress("score")
    made = Scorer(spark, request, log=log, progress=progress, run_id="unknown")
    made.start()
    gone = InputFile(to_uri(str(place / "in" / "b.csv")), 5, 1)
    made.process([*made.waiting(), gone])
    assert [file.location for file in read_record(request.output, 0).files] == [
        to_uri(str(place / "in" / "a.csv"))
    ]
    scorers.put(place / "in", "b.csv", scorers.lines(invoice="b"))
    made.score_left()
    assert invoice_numbers(spark, place) == {"a": 1, "b": 1}


def test_a_model_that_refuses_unseen_days_sends_their_lines_to_quarantine(
    spark: SparkSession, place: Path
) -> None:
    registry.set_alias(alias="champion", version="4")
    scorers.put(place / "in", "a.csv", f"{HEADER}\n{LINE}\n{SATURDAY}\n")
    summary = scorers.drain(spark, place / "in")
    assert (summary.rows_scored, summary.rows_quarantined) == (1, 1)
    (row,) = read_quarantine(spark, str(place / "output")).collect()
    assert (row["line"], row["reason"]) == (
        SATURDAY,
        "weekday is none that the model was trained on, and it refuses others",
    )


def test_an_unseen_day_is_scored_and_missing_numbers_stay_missing(spark: SparkSession, place: Path) -> None:
    """Defect 62: the output had 0.0 where nothing was."""
    scorers.put(place / "in", "a.csv", f"{HEADER}\n{SATURDAY}\nC1,D,,,2010-12-01 08:26:00,,,\n")
    summary = scorers.drain(spark, place / "in")
    assert summary.rows_scored == 2
    (row,) = read_scored(spark, str(place / "output")).where("InvoiceNo = 'C1'").collect()
    assert [row[name] for name in (schema.QUANTITY, schema.UNIT_PRICE, schema.CUSTOMER_ID)] == [None] * 3
    assert row[schema.PREDICTION] == 0


def test_lines_that_a_version_leaves_out_stay_without_a_cluster_and_are_counted_apart(
    spark: SparkSession, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.set_alias(alias="champion", version="5")
    registry.set_alias(alias="challenger", version="1")
    cancelled = LINE.replace("536365", "C536365")
    without_price = LINE.replace("2.55", "")
    scorers.put(place / "in", "a.csv", f"{HEADER}\n{LINE}\n{cancelled}\n{without_price}\nspoilt\n")
    summary = scorers.drain(spark, place / "in", shadow=True)
    assert (summary.rows_in, summary.rows_scored, summary.rows_excluded, summary.rows_quarantined) == (
        4,
        1,
        2,
        1,
    )
    assert scorers.points(summary.run_id, "rows_excluded") == {0: 2}
    assert scorers.points(summary.run_id, "shadow/matched_share") == {0: 1}
    assert read_record(str(place / "output"), 0).rows_excluded == 2
    assert "1 scored, 2 excluded, 1 quarantined" in capsys.readouterr().out
    rows = read_scored(spark, str(place / "output")).collect()
    assert {(row.InvoiceNo, row.UnitPrice): row.prediction for row in rows} == {
        ("536365", 2.55): 0,
        ("C536365", 2.55): None,
        ("536365", None): None,
    }


def test_where_drift_is_not_measured_it_says_since_when_and_why(
    spark: SparkSession, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Defect 77: nothing said that it was unmeasured."""
    for name in "ab":
        scorers.put(place / "in", f"{name}.csv", scorers.lines())
    summary = scorers.drain(spark, place / "in", files=1)
    why = "drift is unmeasured since batch 0, because 4 days and 1,000 lines must have come, but 1 and 2 have"
    assert f"score: {why}\n" in capsys.readouterr().out
    assert f"Note: {why}." in mlflow.get_run(summary.run_id).data.tags["mlflow.note.content"]


def test_segments_are_a_row_a_unit_as_of_the_day_after_the_last_and_the_same_when_written_again(
    spark: SparkSession, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.set_alias(alias="champion", version="6")
    bought = [
        ("1", "2011-03-01", 2, "10", "A"),  # before the window of 30 days
        ("2", "2011-04-10", 5, "10.10", "A"),
        ("3", "2011-04-11", 1, "0.2", "A"),
        ("4", "2011-04-11", 1, "1", "B"),
        ("4", "2011-04-11", 1, "1", ""),  # has no customer
        ("5", "2111-01-01", 1, "99", "B"),  # a wrong date
    ]
    text = [f"{no},A,CUP,{n},{day} 10:00:00,{price},{who},UK" for no, day, n, price, who in bought]
    text += [f"6,A,CUP,1,2011-04-{day:02} 10:00:00,0,C,UK" for day in range(1, 12) for _ in range(20)]
    scorers.put(place / "in", "a.csv", "\n".join([HEADER, *text, "spoilt", ""]))
    summary = scorers.drain(spark, place / "in")
    assert str(summary.segments) == (
        f"3 customers as of 2011-04-12 in {place}/output/segments/as_of=2011-04-12: 227 lines = 223 used + 3 left out "
        "+ 1 quarantined; 1 line of later days"
    )
    assert f"score: {summary.segments}" in capsys.readouterr().out
    columns = ("CustomerID", "segment", "model_version", "spend", "invoices")
    first = scorers.rows(place / "output", "segments", *columns)
    assert [tuple(row.values()) for row in first] == [
        ("A", 1, 6, 50.7, 2.0),
        ("B", 0, 6, 1.0, 1.0),
        ("C", 0, 6, 0.0, 1.0),
    ]
    again = scorers.drain(spark, place / "in")
    assert (again.batches, again.segments) == (0, summary.segments)
    assert scorers.rows(place / "output", "segments", *columns) == first
    assert [folder.name for folder in (place / "output" / "segments").iterdir()] == ["as_of=2011-04-12"]


def test_a_version_with_another_unit_does_not_take_over_and_shares_no_output(
    spark: SparkSession, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scorers.put(place / "in", "a.csv", scorers.lines())
    request = scorers.request(place / "in")
    log = CommitLog.load(request.output)
    made = Scorer(spark, request, log=log, progress=Progress("score"), run_id="unknown")
    made.start()
    registry.set_alias(alias="champion", version="6")
    made.poll()
    made.score_left()
    assert (
        "a version takes over from one of the same unit, but version 6 groups lines by CustomerID, and version 1 "
        "scores lines: score with it into another output; version 1 goes on"
    ) in capsys.readouterr().err
    assert made.summary.model_versions == ("1",)
    with pytest.raises(
        InputError, match=r"version 6 groups lines by CustomerID and .*scored is there: name another"
    ):
        scorers.drain(spark, place / "in")


def test_spoilt_files_end_in_balanced_accounts(spark: SparkSession, place: Path) -> None:
    content = min(SAMPLE.glob("*.csv"), key=lambda file: file.stat().st_size).read_bytes()
    files = [scorers.put(place / "in", *mutated(content, number=number)) for number in range(36)]
    summary = scorers.drain(spark, place / "in", files=36)
    expected = sum(scorers.count_lines(file) for file in files)
    assert summary.files == 36
    assert summary.rows_in == expected == summary.rows_scored + summary.rows_quarantined
    quarantined = scorers.rows(place / "output", "quarantine", "line")
    assert len(scorers.rows(place / "output", "scored", "prediction")) == summary.rows_scored > 0
    assert sum(row["line"] is not None for row in quarantined) == summary.rows_quarantined > 0


def test_a_file_that_changed_is_told_once_and_scored_anew_on_demand(
    spark: SparkSession, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        scorers.put(place / "in", f"{name}.csv", scorers.lines(invoice=name))
    scorers.drain(spark, place / "in")
    changed = scorers.put(place / "in", "a.csv", scorers.lines(3, invoice="corrected"))
    scorers.put(place / "in", "c.csv", scorers.lines(invoice="c"))
    second = scorers.drain(spark, place / "in")
    told = [line for line in capsys.readouterr().err.splitlines() if "changed after batch 0" in line]
    assert len(told) == 1
    assert "a.csv" in told[0]
    assert scorers.points(second.run_id, "files_changed") == {0: 0, 1: 1}
    assert invoice_numbers(spark, place) == {"a": 1, "b": 1, "c": 1}
    scorers.drain(spark, place / "in", rescore=str(changed))
    assert invoice_numbers(spark, place) == {"corrected": 3, "b": 1, "c": 1}
    scorers.put(place / "in", "d.csv", scorers.lines(invoice="d"))
    scorers.drain(spark, place / "in")
    assert invoice_numbers(spark, place) == {"corrected": 3, "b": 1, "c": 1, "d": 1}
    with pytest.raises(InputError, match="must have been scored, but no batch holds"):
        scorers.drain(spark, place / "in", rescore=str(scorers.put(place / "in", "new.csv", scorers.lines())))


def test_scored_files_are_archived_those_that_a_kill_left_too(spark: SparkSession, place: Path) -> None:
    scorers.put(place / "in", "left.csv", scorers.lines(invoice="left"))
    scorers.drain(spark, place / "in")
    scorers.put(place / "in" / "deep", "new.csv", scorers.lines(invoice="new"))
    scorers.drain(spark, place / "in", archive="move")
    scorers.drain(spark, place / "in", archive="move")
    kept = {str(file.relative_to(place / "in")) for file in (place / "in").rglob("*.csv")}
    assert kept == {"_archive/left.csv", "_archive/deep/new.csv"}
    assert invoice_numbers(spark, place) == {"left": 1, "new": 1}


def test_a_promotion_is_followed_between_batches_and_a_broken_version_is_not(
    spark: SparkSession, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []

    def says(text: str) -> bool:
        told.extend(capfd.readouterr())
        return any(text in each for each in told)

    def arrive(batch_id: int) -> None:
        scorers.put(place / "in", f"{batch_id}.csv", scorers.lines(100))
        scorers.wait_until(lambda: recorded(place, batch_id))

    def steps() -> None:
        arrive(0)
        registry.set_alias(alias="champion", version="3")
        scorers.wait_until(lambda: says("version 1 goes on"))
        arrive(1)
        registry.set_alias(alias="champion", version="2")
        scorers.wait_until(lambda: says("version 2 scores from the next batch on"))
        arrive(2)

    (place / "in").mkdir()
    with meanwhile(steps):
        summary = scorers.drain(spark, place / "in", once=False)
    assert scorers.scored_by_batch(place / "output") == {(0, 1): 100, (1, 1): 100, (2, 2): 100}
    assert scorers.points(summary.run_id, "model_version") == {0: 1, 1: 1, 2: 2}


def test_a_challenger_is_compared_and_leaves_no_trace_in_the_output(spark: SparkSession, place: Path) -> None:
    registry.set_alias(alias="challenger", version="2")
    scorers.put(place / "in", "a.csv", min(SAMPLE.glob("*.csv")).read_bytes())
    summary = scorers.drain(spark, place / "in", shadow=True)
    assert 0 < scorers.points(summary.run_id, "shadow/matched_share")[0] <= 1
    assert -1 <= scorers.points(summary.run_id, "shadow/adjusted_rand_index")[0] <= 1
    assert set(scorers.scored_by_batch(place / "output")) == {(0, 1)}


def test_what_cannot_be_scored_is_refused_before_spark_starts(place: Path) -> None:
    with pytest.raises(InputError, match="source must be a folder"):
        check_places(scorers.request(place / "nowhere"))
    (place / "in").mkdir()
    with pytest.raises(InputError, match="output must lie outside of source"):
        check_places(scorers.request(place / "in", output=str(place / "in" / "output")))
    with pytest.raises(InputError, match="rescore must name a CSV file in source"):
        check_places(scorers.request(place / "in", rescore=str(place / "in" / "none.csv")))
    check_places(scorers.request(place / "in"))
    with pytest.raises(RegistryError, match="'shadow' names none: promote one first"):
        score.check_alias(scorers.request(place / "in", alias="shadow"))


def test_killed_while_it_writes_it_scores_every_line_once(spark: SparkSession, place: Path) -> None:
    files = sorted(SAMPLE.glob("*.csv"))[:4]
    for file in files:
        scorers.put(place / "in", file.name, file.read_bytes())
    output = place / "output"
    process = scorers.start(place / "in", files=1)
    scorers.wait_until(
        lambda: recorded(place, 0) and any(output.glob(".attempts/*/scored/*.parquet")), process
    )
    scorers.kill(process)
    summary = scorers.drain(spark, place / "in", files=4)
    assert summary.files < 4
    assert scorers.scored_lines(output) == scorers.lines_of(files)
    assert read_scored(spark, str(output)).count() == sum(scorers.lines_of(files).values())
    counted = scorers.points(summary.run_id, "rows_in")
    assert sum(counted.values()) == sum(scorers.lines_of(files).values())


@pytest.mark.soak
def test_what_arrives_is_scored_whether_spark_brings_it_or_not_until_sigterm_ends_it(
    spark: SparkSession, place: Path
) -> None:
    """Defect 42: for files that are older than others Spark was to keep every name in memory."""

    def arrive(batch_id: int, content: str, *, modified: float) -> None:
        draft = scorers.put(place, f"{batch_id}.csv", content)
        os.utime(draft, (modified, modified))
        draft.rename(place / "in" / draft.name)
        scorers.wait_until(lambda: recorded(place, batch_id))

    def steps() -> None:
        arrive(0, scorers.lines(invoice="0"), modified=1_700_000_000)
        arrive(1, scorers.lines(invoice="1"), modified=1_000_000_000)
        arrive(2, "", modified=1_700_000_000)
        arrive(3, scorers.lines(invoice="3"), modified=1_700_000_001)
        scorers.put(
            place / "in", "2.csv", scorers.lines(invoice="2")
        )  # it was empty, so nothing is scored twice
        scorers.wait_until(lambda: recorded(place, 4))

    (place / "in").mkdir()
    with meanwhile(steps):
        summary = scorers.drain(spark, place / "in", once=False)
    assert invoice_numbers(spark, place) == {"0": 1, "1": 1, "2": 1, "3": 1}
    assert mlflow.get_run(summary.run_id).info.status == "FINISHED"


@pytest.mark.soak
def test_a_server_that_is_away_for_a_while_costs_no_line_and_no_point(
    spark: SparkSession, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Defect 64: an outage gave a dozen warnings."""
    server = scorers.Server(place)
    server.start()
    mlflow.set_tracking_uri(server.uri)
    mlflow.set_registry_uri(server.uri)

    def arrive(batch_id: int) -> None:
        scorers.put(place / "in", f"{batch_id}.csv", scorers.lines(10))
        scorers.wait_until(lambda: recorded(place, batch_id))

    def steps() -> None:
        arrive(0)
        server.stop()
        arrive(1)
        arrive(2)
        server.start()

    (place / "in").mkdir()
    with meanwhile(steps):
        summary = scorers.drain(spark, place / "in", once=False)
    assert scorers.scored_by_batch(place / "output") == {(batch_id, 1): 10 for batch_id in range(3)}
    assert scorers.points(summary.run_id, "rows_in") == dict.fromkeys(range(3), 10)
    assert mlflow.get_run(summary.run_id).info.status == "FINISHED"
    server.stop()
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert sum("points wait for the tracking store" in line for line in warnings) == 1
    assert sum("the registry must answer" in line for line in warnings) <= 1


def test_champion_that_is_no_spark_model_is_told_in_one_line_at_the_start_and_while_running(
    spark: SparkSession, place: Path
) -> None:
    """Defect 64: it read "…it gave: 'spark'", again and again."""
    scorers.put(place / "in", "a.csv", scorers.lines())
    foreign = shop.register_foreign(place / "foreign")
    problem = (
        f"a model to score with must have MLflow's flavour spark, but version {foreign} has "
        "python_function: register one with train, or take the alias off this one"
    )
    told: list[str] = []
    champion: Follower[ServedModel] = Follower(
        "champion",
        look_up=lambda alias: registry.version_named(alias=alias),
        load=lambda version: serve(spark, registry, version=version),
        warn=told.append,
        note=told.append,
    )
    champion.require()

    registry.set_alias(alias="champion", version=foreign)
    for _ in range(2):
        champion.pause.until = 0
        champion.poll()

    assert told == [f"{problem}; version 1 goes on"]
    with pytest.raises(RegistryError, match=re.escape(problem)):
        scorers.drain(spark, place / "in")
