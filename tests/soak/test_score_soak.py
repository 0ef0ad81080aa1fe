"""The long version: kills at random moments, a thousand spoilt files, twenty thousand small batches.

`SOAK_KILLS` and `SOAK_BATCHES` shorten it.
"""

import json
import os
import shutil
import statistics
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

import mlflow
import pytest
from pyspark.sql import SparkSession

from retail_clusters.serving.commits import CommitLog
from retail_clusters.serving.reader import read_scored
from tests import scorers
from tests.conftest import SAMPLE
from tests.kills import Killer, rescoring, scoring, scoring_state
from tests.mutations import mutated
from tests.scorers import registry

pytestmark = pytest.mark.soak

KILLS = int(os.environ.get("SOAK_KILLS", "20"))
BATCHES = int(os.environ.get("SOAK_BATCHES", "20000"))
ELSEWHERE = """
import os, socket
from contextlib import nullcontext
score.lock = lambda *_, **__: nullcontext()
socket.gethostname = lambda: f"machine-{os.getpid()}"
"""


@pytest.fixture
def place(spark: SparkSession, workplace: Path) -> Path:
    """A working folder with two versions in its registry; the first is champion."""
    scorers.register_models(spark, (8, "keep"), (5, "keep"))
    registry.set_alias(alias="champion", version="1")
    return workplace


def kill_scorer(killer: Killer, place: Path, *, may_lose: bool = False, **changes: object) -> None:
    """Start a scorer, and kill it at a random moment, before which it `may_lose` a batch to another one."""
    doing = scoring(place)
    killer.kill(
        scorers.start(place / "in", **changes), lambda: scoring_state(place), doing, may_fail=may_lose
    )


def invoices(spark: SparkSession, place: Path) -> Counter[str]:
    found = read_scored(spark, str(place / "output")).select("InvoiceNo").collect()
    return Counter(str(row[0]) for row in found)


@pytest.mark.real
def test_kills_while_the_real_files_drain_cost_and_double_no_line(
    spark: SparkSession, place: Path, real_data: Path
) -> None:
    files = sorted(real_data.glob("*.csv"))[: max(10, BATCHES // 60)]
    for file in files:
        scorers.put(place / "in", file.name, file.read_bytes())
    killer = Killer(20, at_most=30)
    for number in range(KILLS):
        kill_scorer(killer, place, files=5)
        if number == KILLS // 2:
            registry.set_alias(alias="champion", version="2")
    print(dict(killer.hits))
    summary = scorers.drain(spark, place / "in", files=20)
    expected = scorers.lines_of(files)
    assert scorers.scored_lines(place / "output") == expected
    assert read_scored(spark, str(place / "output")).count() == sum(expected.values())
    batches = Counter(batch_id for batch_id, _ in scorers.scored_by_batch(place / "output"))
    assert set(batches.values()) == {1}
    counted = scorers.points(summary.run_id, "rows_in")
    assert set(counted) == set(batches)
    assert sum(counted.values()) == sum(expected.values())


def test_kills_while_files_are_archived_cost_and_double_no_line(spark: SparkSession, place: Path) -> None:
    killer = Killer(21)
    for number in range(KILLS):
        for part in range(40):
            scorers.put(place / "in", f"{number}-{part}.csv", scorers.lines(invoice=f"{number}-{part}"))
        kill_scorer(killer, place, files=20, archive="move")
    print(dict(killer.hits))
    scorers.drain(spark, place / "in", archive="move")
    expected = {f"{number}-{part}" for number in range(KILLS) for part in range(40)}
    assert invoices(spark, place) == dict.fromkeys(expected, 1)
    assert {file.stem for file in (place / "in" / "_archive").iterdir()} == expected
    assert not list((place / "in").glob("*.csv"))


def test_kills_while_a_file_is_scored_anew_leave_its_lines_once(spark: SparkSession, place: Path) -> None:
    for name in ("a", "b"):
        scorers.put(place / "in", f"{name}.csv", scorers.lines(invoice=name))
    scorers.drain(spark, place / "in")
    killer = Killer(22)
    for number in range(KILLS):
        changed = scorers.put(place / "in", "a.csv", scorers.lines(number + 1, invoice="a"))
        before = invoices(spark, place)
        batch_id = CommitLog.load(str(place / "output")).last + 1
        killer.kill(
            scorers.start(place / "in", rescore=str(changed)),
            lambda: scoring_state(place),
            partial(rescoring, place, batch_id=batch_id),
        )
        found = invoices(spark, place)
        assert found in ({"a": before["a"], "b": 1}, {"a": number + 1, "b": 1})
        scorers.drain(spark, place / "in", rescore=str(changed))
        assert invoices(spark, place) == {"a": number + 1, "b": 1}
    print(dict(killer.hits))


def test_two_machines_that_score_one_output_and_are_killed_cost_and_double_no_line(
    spark: SparkSession, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock file is this machine's: without it, two processes are what two machines are."""
    monkeypatch.setattr(scorers, "SCRIPT", scorers.SCRIPT.replace("arguments =", f"{ELSEWHERE}arguments ="))
    killer, expected = Killer(24), set()
    for number in range(KILLS):
        for part in range(12):
            scorers.put(place / "in", f"{number}-{part}.csv", scorers.lines(invoice=f"{number}-{part}"))
            expected.add(f"{number}-{part}")
        other = scorers.start(place / "in", files=1)
        kill_scorer(killer, place, files=1, may_lose=True)
        said, _ = other.communicate()
        assert (
            other.returncode == 0 or "BatchTakenError" in said or "must go on from its checkpoint" in said
        ), said
        assert set(invoices(spark, place).values()) <= {1}
    print(dict(killer.hits))
    monkeypatch.undo()
    scorers.drain(spark, place / "in")
    assert invoices(spark, place) == dict.fromkeys(expected, 1)


def test_a_thousand_spoilt_files_end_in_balanced_accounts(spark: SparkSession, place: Path) -> None:
    content = min(SAMPLE.glob("*.csv"), key=lambda file: file.stat().st_size).read_bytes()
    files = [scorers.put(place / "in", *mutated(content, number=number)) for number in range(1_000)]
    summary = scorers.drain(spark, place / "in", files=100)
    kept = scorers.rows(place / "output", "quarantine", "line")
    quarantined = sum(row["line"] is not None for row in kept)
    scored = len(scorers.rows(place / "output", "scored", "prediction"))
    assert scored + quarantined == summary.rows_in == sum(scorers.count_lines(file) for file in files)
    assert scored > 0
    assert quarantined > 0


def test_many_small_batches_take_no_longer_no_more_memory_and_no_more_files_than_the_first(
    spark: SparkSession, place: Path
) -> None:
    for number in range(BATCHES):
        scorers.put(place / "in", f"{number:06}.csv", scorers.lines(3, invoice=f"{number}"))
    said = place / "said.txt"
    process = scorers.start(place / "in", files=1, stdout=said.open("w"))
    commits = place / "output" / "commits"
    marks = []
    for goal in range(0, BATCHES, max(1, BATCHES // 20)):
        scorers.wait_until((commits / f"{goal}.json").exists, process, seconds=86_400)
        marks.append((time.monotonic(), memory_of(process.pid), old_files_in(place / "checkpoint")))
        print(goal, marks[-1], flush=True)
    assert process.wait() == 0, said.read_text()[-2000:]
    pauses = [after[0] - before[0] for before, after in pairwise(marks[1:])]
    print(json.dumps({"seconds": pauses, "files of the output": files_in(place / "output") / BATCHES}))
    assert statistics.median(pauses[-5:]) < 1.5 * statistics.median(pauses[:5])
    assert marks[-1][1] < 1.5 * max(memory for _, memory, _ in marks[: len(marks) // 4])
    assert max(files for _, _, files in marks) < 10
    shutil.rmtree(place / "in")
    (run,) = mlflow.search_runs(
        search_all_experiments=True, output_format="list", filter_string="run_name = 'score'"
    )
    assert len(scorers.points(run.info.run_id, "rows_in")) == BATCHES
    assert files_in(place / "output" / "scored") == BATCHES
    assert invoices(spark, place) == {f"{number}": 3 for number in range(BATCHES)}


def files_in(folder: Path) -> int:
    """Count the files of a folder and of those in it."""
    return sum(len(files) for _, _, files in os.walk(folder))


def old_files_in(folder: Path, *, minutes: int = 5) -> int:
    """Count the files of a folder that were last written some time ago."""
    before = time.time() - 60 * minutes
    old = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            old += file.is_file() and file.stat().st_mtime < before
    return old


def memory_of(group: int) -> int:
    """Add up the resident memory of a process group, in MB."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            total += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return total >> 20
