"""The long version: kills at random moments, a thousand spoilt files, twenty thousand small batches.

`SOAK_KILLS` and `SOAK_BATCHES` shorten it.
"""

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import mlflow
import pytest
from pyspark.sql import SparkSession

from retail_clusters.serving.reader import read_scored
from tests import scorers
from tests.conftest import SAMPLE
from tests.mutations import mutated
from tests.scorers import registry

pytestmark = pytest.mark.soak

KILLS = int(os.environ.get("SOAK_KILLS", "20"))
BATCHES = int(os.environ.get("SOAK_BATCHES", "20000"))
COMPACT = """
import sys
from retail_clusters.infra.spark import spark_session
from retail_clusters.serving import compact
with spark_session("compact") as spark:
    print("ready", flush=True)
    compact.run(spark, sys.argv[1])
"""


@pytest.fixture
def place(spark: SparkSession, workplace: Path) -> Path:
    """A working folder with two versions in its registry; the first is champion."""
    scorers.register_models(spark, (8, "keep"), (5, "keep"))
    registry.set_alias(alias="champion", version="1")
    return workplace


def start_compact(output: Path) -> "subprocess.Popen[str]":
    """Start a compaction, and wait until its session is there."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMPACT, str(output)],
        env=os.environ | {"SPARK_MASTER": "local[2]"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill_after(process: "subprocess.Popen[str]", seconds: float) -> None:
    """Kill a process at a random moment; one that has ended by then is left."""
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        scorers.kill(process)


def state_of(place: Path) -> tuple[int, int, int, int]:
    """Say how far a scorer is: batches begun, files it is writing, batches done, files archived."""
    patterns = (
        "checkpoint/stream/offsets/*",
        "output/*/.writing*/*",
        "output/commits/*.json",
        "in/_archive/*",
    )
    first, second, third, fourth = (len(list(place.glob(pattern))) for pattern in patterns)
    return first, second, third, fourth


def kill_at_random(place: Path, chance: random.Random, **changes: object) -> None:
    """Start a scorer, and kill it after a random number of changes on the disk."""
    process = scorers.start(place / "in", **changes)
    seen = {state_of(place)}
    goal = chance.randint(2, 12)

    def changed_enough() -> bool:
        seen.add(state_of(place))
        return len(seen) > goal or process.poll() is not None

    scorers.wait_until(changed_enough, seconds=600)
    scorers.kill(process)


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
    chance = random.Random(20)
    for number in range(KILLS):
        kill_at_random(place, chance, files=5)
        if number == KILLS // 2:
            registry.set_alias(alias="champion", version="2")
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
    chance = random.Random(21)
    for number in range(KILLS):
        for part in range(3):
            scorers.put(place / "in", f"{number}-{part}.csv", scorers.lines(invoice=f"{number}-{part}"))
        kill_at_random(place, chance, files=1, archive="move")
    scorers.drain(spark, place / "in", archive="move")
    expected = {f"{number}-{part}" for number in range(KILLS) for part in range(3)}
    assert invoices(spark, place) == dict.fromkeys(expected, 1)
    assert {file.stem for file in (place / "in" / "_archive").iterdir()} == expected
    assert not list((place / "in").glob("*.csv"))


def test_kills_while_a_file_is_scored_anew_leave_its_lines_once(spark: SparkSession, place: Path) -> None:
    for name in ("a", "b"):
        scorers.put(place / "in", f"{name}.csv", scorers.lines(invoice=name))
    scorers.drain(spark, place / "in")
    chance = random.Random(22)
    for number in range(KILLS):
        changed = scorers.put(place / "in", "a.csv", scorers.lines(number + 1, invoice="a"))
        before = invoices(spark, place)
        kill_at_random(place, chance, rescore=str(changed))
        found = invoices(spark, place)
        assert found in ({"a": before["a"], "b": 1}, {"a": number + 1, "b": 1})
        scorers.drain(spark, place / "in", rescore=str(changed))
        assert invoices(spark, place) == {"a": number + 1, "b": 1}


def test_kills_while_batches_are_compacted_leave_each_line_once(spark: SparkSession, place: Path) -> None:
    chance = random.Random(23)
    expected: dict[str, int] = {}
    for number in range(KILLS):
        for part in range(5):
            scorers.put(place / "in", f"{number}-{part}.csv", scorers.lines(invoice=f"{number}-{part}"))
            expected[f"{number}-{part}"] = 1
        scorers.drain(spark, place / "in", files=1)
        kill_after(start_compact(place / "output"), chance.uniform(0, 6))
        assert invoices(spark, place) == expected
    process = start_compact(place / "output")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert invoices(spark, place) == expected
    assert not list((place / "output" / "scored").glob("batch_id=*"))


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


def test_many_small_batches_take_no_longer_and_no_more_memory_than_the_first(place: Path) -> None:
    for number in range(BATCHES):
        scorers.put(place / "in", f"{number:06}.csv", scorers.lines(3))
    process = scorers.start(place / "in", files=1)
    commits = place / "output" / "commits"
    marks = []
    for goal in range(0, BATCHES, max(1, BATCHES // 20)):
        scorers.wait_until((commits / f"{goal}.json").exists, process, seconds=86_400)
        marks.append((time.monotonic(), memory_of(process.pid)))
    output, _ = process.communicate()
    assert process.returncode == 0, output
    pauses = [after[0] - before[0] for before, after in pairwise(marks[1:])]
    print(json.dumps({"seconds": pauses, "python and JVM, MB": [memory for _, memory in marks]}))
    assert statistics.median(pauses[-5:]) < 1.5 * statistics.median(pauses[:5])
    assert marks[-1][1] < 1.5 * max(memory for _, memory in marks[: len(marks) // 4])
    shutil.rmtree(place / "in")
    (run,) = mlflow.search_runs(
        search_all_experiments=True, output_format="list", filter_string="run_name = 'score'"
    )
    assert len(scorers.points(run.info.run_id, "rows_in")) == BATCHES


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
