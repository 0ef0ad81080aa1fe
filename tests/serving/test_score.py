"""The scorer on real Spark, registry and tracking store: exactly once, hot swap, quarantine, accounts."""

import json
import os
import random
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest
from pyspark.sql import SparkSession
from pyspark.testing import assertDataFrameEqual

from retail_clusters import schema
from retail_clusters.data import csv_files, invoices
from retail_clusters.errors import InputError, RegistryError
from retail_clusters.serving import scoring
from retail_clusters.serving.score import check_score_arguments
from tests import scorers
from tests.conftest import SAMPLE
from tests.mutations import mutated
from tests.scorers import HEADER, LINE, Server
from tests.shop import registry

SATURDAY = LINE.replace("2010-12-01", "2010-12-04")


@pytest.fixture(scope="module")
def store(spark: SparkSession, empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry of four versions: champion 1, another 2, a broken 3, and 4, which refuses unseen days."""
    folder = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{shutil.copy(empty_store, folder / 'mlflow.db')}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("tests", (folder / "artifacts").as_uri()))
    scorers.register_models(spark, SAMPLE, (8, "keep"), (5, "keep"), (2, "keep"), (4, "error"))
    registry.set_alias(alias="champion", version="1")
    shutil.rmtree(mlflow.artifacts.download_artifacts("models:/retail-clusters/3"))
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
    return (place / "checkpoint" / "batches" / f"{batch_id}.json").exists()


def recorded_lines(place: Path) -> float:
    records = (place / "checkpoint" / "batches").glob("*.json")
    return sum(float(json.loads(record.read_text())["metrics"]["rows_in"]) for record in records)


def test_the_stream_gives_what_a_batch_gives_and_every_line_once(spark: SparkSession, place: Path) -> None:
    files = sorted(SAMPLE.glob("*.csv"))[:12]
    for file in files:
        scorers.put(place / "in", file.name, file.read_bytes())
    summary = scorers.drain(spark, place / "in", files=5)
    assert (summary.batches, summary.files, summary.model_versions) == (3, 12, ("1",))
    assert summary.rows_in == summary.rows_scored == sum(scorers.lines_of(files).values())
    model = registry.open_version(version="1").model
    batch = scoring.score(
        invoices.good(invoices.parse(csv_files.read_lines(spark, files))), model=model, version="1"
    )
    assertDataFrameEqual(spark.read.parquet(str(place / "output" / "scored")).select(batch.columns), batch)
    for name in (
        "rows_in",
        "rows_scored",
        "rows_quarantined",
        "rows_per_second",
        "model_version",
        "drift_psi",
    ):
        assert set(scorers.points(summary.run_id, name)) == {0, 1, 2}
    assert sum(scorers.points(summary.run_id, "rows_in").values()) == summary.rows_in
    run = mlflow.get_run(summary.run_id)
    assert (run.info.run_name, run.info.status) == ("score", "FINISHED")
    assert [item.path for item in mlflow.MlflowClient().list_artifacts(summary.run_id)] == ["drift.png"]


def test_started_again_it_goes_on_in_the_same_run_with_new_files_only(
    spark: SparkSession, place: Path
) -> None:
    scorers.put(place / "in", "a.csv", f"{HEADER}\n{LINE}\n")
    first = scorers.drain(spark, place / "in")
    old = scorers.put(place / "in", "late but old.csv", f"{HEADER}\n{LINE}\n{LINE}\n")
    os.utime(old, (1_000_000_000, 1_000_000_000))
    with mlflow.start_run(run_name="main") as parent:
        second = scorers.drain(spark, place / "in")
    third = scorers.drain(spark, place / "in")
    assert first.run_id == second.run_id == third.run_id
    assert (second.rows_in, third.batches) == (2, 0)
    assert scorers.points(first.run_id, "rows_in") == {0: 1, 1: 2}
    (child,) = mlflow.search_runs(
        output_format="list", filter_string=f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    )
    assert child.data.tags["resumes"] == first.run_id
    with pytest.raises(InputError, match="must belong together"):
        scorers.drain(spark, place / "in", output=place / "elsewhere")


def test_files_that_are_no_invoice_lines_go_to_quarantine_whole(spark: SparkSession, place: Path) -> None:
    source = place / "in"
    content = {
        "good [1] {a,b}*?.csv": f"{HEADER}\n{LINE}\n\n{LINE},one more\n",
        "spaces and % \u00fc#.csv": f"\ufeff{HEADER}\n{LINE}\n",
        "empty.csv": "",
        "header only.csv": HEADER,
        "no header.csv": f"{LINE}\n{LINE}\n",
        "other header.csv": f"{HEADER.replace('Quantity', 'Number')}\n{LINE}\n",
        "binary.csv": bytes(range(128, 256)) + b"\n\n" + b"\xff\xfe",
        "cut.csv.gz": b"\x1f\x8b\x08\x00",
        ".hidden.csv": LINE,
        "notes.txt": LINE,
    }
    for name, text in content.items():
        scorers.put(source, name, text)
    scorers.put(source / "day=1" / "deeper", "nested.csv", f"{HEADER}\n{LINE}\n")
    summary = scorers.drain(spark, source)
    assert (summary.files, summary.rows_in, summary.rows_scored, summary.rows_quarantined) == (9, 10, 3, 7)
    found = scorers.rows(place / "output", "quarantine", "line", "reason", "source_file")
    reasons = {(str(row["source_file"]).rsplit("/", 1)[1], row["reason"]) for row in found}
    assert reasons == {
        ("good%20%5B1%5D%20%7Ba,b%7D*%3F.csv", invoices.EXTRA_FIELD),
        ("empty.csv", "the file is empty"),
        ("no%20header.csv", next(str(r["reason"]) for r in found if "no%20header" in str(r["source_file"]))),
        ("other%20header.csv", "the header differs: no column Quantity; found 'Number'"),
        ("binary.csv", "the file cannot be read as CSV text"),
        ("cut.csv.gz", "the file cannot be unpacked"),
    }
    assert sum(row["line"] is None for row in found) == 2


def test_a_model_that_refuses_unseen_days_sends_their_lines_to_quarantine(
    spark: SparkSession, place: Path
) -> None:
    registry.set_alias(alias="champion", version="4")
    scorers.put(place / "in", "a.csv", f"{HEADER}\n{LINE}\n{SATURDAY}\n")
    summary = scorers.drain(spark, place / "in")
    assert (summary.rows_scored, summary.rows_quarantined) == (1, 1)
    (row,) = scorers.rows(place / "output", "quarantine", "line", "reason")
    assert (row["line"], row["reason"]) == (SATURDAY, scoring.UNSEEN_DAY)


def test_an_unseen_day_is_scored_and_counted_and_missing_numbers_are_zero(
    spark: SparkSession, place: Path
) -> None:
    scorers.put(place / "in", "a.csv", f"{HEADER}\n{SATURDAY}\nC1,D,,,2010-12-01 08:26:00,,,\n")
    summary = scorers.drain(spark, place / "in")
    assert summary.rows_scored == 2
    assert scorers.points(summary.run_id, "rows_unseen_day") == {0: 1}
    (row,) = [row for row in scorers.rows(place / "output", "scored") if row[schema.INVOICE_NO] == "C1"]
    assert (row[schema.QUANTITY], row[schema.UNIT_PRICE], row[schema.CUSTOMER_ID]) == (0, 0.0, 0.0)


def test_spoilt_files_end_in_balanced_accounts(spark: SparkSession, place: Path) -> None:
    content = min(SAMPLE.glob("*.csv"), key=lambda file: file.stat().st_size).read_bytes()
    files = [scorers.put(place / "in", *mutated(content, number=number)) for number in range(60)]
    summary = scorers.drain(spark, place / "in", files=30)
    expected = sum(scorers.count_lines(file) for file in files)
    assert summary.files == 60
    assert summary.rows_in == expected == summary.rows_scored + summary.rows_quarantined
    quarantined = scorers.rows(place / "output", "quarantine", "line")
    assert len(scorers.rows(place / "output", "scored", "prediction")) == summary.rows_scored > 0
    assert sum(row["line"] is not None for row in quarantined) == summary.rows_quarantined > 0


def test_a_promotion_is_followed_between_batches_and_a_broken_version_is_not(
    spark: SparkSession, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def steps() -> None:
        for batch_id, version in enumerate(["1", "2", "3", "4"]):
            registry.set_alias(alias="champion", version=version)
            scorers.put(place / "in", f"{batch_id}.csv", f"{HEADER}\n" + f"{LINE}\n" * 100)
            scorers.wait_until(lambda reached=batch_id: recorded(place, reached))  # type: ignore[misc]

    (place / "in").mkdir()
    with meanwhile(steps):
        summary = scorers.drain(spark, place / "in", once=False)
    assert scorers.scored_by_batch(place / "output") == {(0, 1): 100, (1, 2): 100, (2, 2): 100, (3, 4): 100}
    assert scorers.points(summary.run_id, "model_version") == {0: 1, 1: 2, 2: 2, 3: 4}
    assert "version 2 goes on" in capsys.readouterr().err


def test_a_challenger_is_compared_and_leaves_no_trace_in_the_output(spark: SparkSession, place: Path) -> None:
    registry.set_alias(alias="challenger", version="2")
    for file in sorted(SAMPLE.glob("*.csv"))[:2]:
        scorers.put(place / "in", file.name, file.read_bytes())
    summary = scorers.drain(spark, place / "in", shadow=True)
    assert 0 < scorers.points(summary.run_id, "shadow_matched_share")[0] <= 1
    assert -1 <= scorers.points(summary.run_id, "shadow_adjusted_rand_index")[0] <= 1
    assert set(scorers.scored_by_batch(place / "output")) == {(0, 1)}


def test_what_cannot_be_scored_is_refused_before_spark_starts(place: Path) -> None:
    folders = {"output": place / "output", "checkpoint": place / "checkpoint"}
    with pytest.raises(InputError, match="source must be a folder"):
        check_score_arguments(source=place / "nowhere", model="retail-clusters", alias="champion", **folders)
    (place / "in").mkdir()
    with pytest.raises(RegistryError, match="'shadow' names none: promote one first"):
        check_score_arguments(source=place / "in", model="retail-clusters", alias="shadow", **folders)
    with pytest.raises(InputError, match="output must lie outside of source"):
        check_score_arguments(source=place, model="retail-clusters", alias="champion", **folders)
    check_score_arguments(source=place / "in", model="retail-clusters", alias="champion", **folders)


def test_killed_at_random_moments_it_scores_every_line_once_and_ctrl_c_ends_it(place: Path) -> None:
    files = sorted(SAMPLE.glob("*.csv"))[:9]
    lines = sum(scorers.lines_of(files).values())
    for file in files:
        scorers.put(place / "in", file.name, file.read_bytes())
    chance = random.Random(7)
    for _ in range(3):
        process = scorers.start(place / "in", files=1)
        known = len(list((place / "checkpoint").glob("batches/*.json")))
        goal, writes = known + chance.randint(0, 1), chance.random() < 0.5
        scorers.wait_until(
            lambda goal=goal, writes=writes: (
                len(list((place / "checkpoint").glob("batches/*.json"))) >= goal
                and (not writes or any((place / "output").glob(".writing/*/*")))
            ),
            process,
        )
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    process = scorers.start(place / "in", files=2, once=False)
    scorers.wait_until(lambda: recorded_lines(place) >= lines, process)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert scorers.scored_lines(place / "output") == scorers.lines_of(files)
    assert all(version == 1 for _, version in scorers.scored_by_batch(place / "output"))


@pytest.fixture
def server(place: Path) -> Iterator[Server]:
    """A real MLflow server on the store, which the test talks to."""
    running = Server(place)
    running.start()
    mlflow.set_tracking_uri(running.uri)
    mlflow.set_registry_uri(running.uri)
    yield running
    running.stop()


def test_a_server_that_is_away_for_a_while_costs_no_line_and_no_point(
    spark: SparkSession,
    place: Path,
    server: Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def arrive(batch_id: int) -> None:
        scorers.put(place / "in", f"{batch_id}.csv", f"{HEADER}\n" + f"{LINE}\n" * 10)
        scorers.wait_until(lambda: recorded(place, batch_id))

    def steps() -> None:
        arrive(0)
        server.stop()
        arrive(1)
        arrive(2)
        server.start()
        arrive(3)

    (place / "in").mkdir()
    with meanwhile(steps):
        summary = scorers.drain(spark, place / "in", once=False)
    assert scorers.scored_by_batch(place / "output") == {(batch_id, 1): 10 for batch_id in range(4)}
    assert scorers.points(summary.run_id, "rows_in") == dict.fromkeys(range(4), 10)
    assert mlflow.get_run(summary.run_id).info.status == "FINISHED"
    assert "points of 1 batch(es) wait for the tracking store" in capsys.readouterr().err
