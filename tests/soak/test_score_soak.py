"""The long version: the real files killed 20 times over, and a thousand spoilt ones."""

import os
import random
import shutil
import signal
from collections import Counter
from pathlib import Path

import mlflow
import pytest
from pyspark.sql import SparkSession

from tests import scorers
from tests.conftest import SAMPLE
from tests.mutations import mutated
from tests.shop import registry

pytestmark = pytest.mark.soak

LINES = 541_909
KILLS = 20


@pytest.fixture
def place(spark: SparkSession, workplace: Path) -> Path:
    """A working folder with two versions in its registry; the first is champion."""
    scorers.register_models(spark, SAMPLE, (8, "keep"), (5, "keep"))
    registry.set_alias(alias="champion", version="1")
    return workplace


def state_of(place: Path) -> tuple[int, int, int]:
    """Say how far a scorer is: batches begun, files it is writing, batches done."""
    patterns = ("checkpoint/stream/offsets/*", "output/.writing/*/*/*", "checkpoint/batches/*.json")
    return (
        len(list(place.glob(patterns[0]))),
        len(list(place.glob(patterns[1]))),
        len(list(place.glob(patterns[2]))),
    )


@pytest.mark.real
def test_twenty_kills_while_the_real_files_drain_cost_and_double_no_line(
    place: Path, real_data: Path
) -> None:
    shutil.copytree(real_data, place / "in")
    chance = random.Random(20)
    for number in range(KILLS):
        process = scorers.start(place / "in", files=5)
        before = state_of(place)
        changes = chance.randint(1, 12)
        seen = set()

        def changed_enough(before=before, changes=changes, seen=seen) -> bool:  # type: ignore[no-untyped-def]
            seen.add(state_of(place))
            return len(seen - {before}) >= changes

        scorers.wait_until(changed_enough, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if number == KILLS // 2:
            registry.set_alias(alias="champion", version="2")
    process = scorers.start(place / "in", files=20)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    expected = scorers.lines_of((place / "in").glob("*.csv"))
    assert sum(expected.values()) == LINES
    assert scorers.scored_lines(place / "output") == expected
    assert not sum(row["line"] is not None for row in scorers.rows(place / "output", "quarantine", "line"))
    batches = Counter(batch_id for batch_id, _ in scorers.scored_by_batch(place / "output"))
    assert set(batches.values()) == {1}
    (run,) = mlflow.search_runs(
        search_all_experiments=True, output_format="list", filter_string="run_name = 'score'"
    )
    counted = scorers.points(run.info.run_id, "rows_in")
    assert set(counted) == set(batches)
    assert sum(counted.values()) == LINES


def test_a_thousand_spoilt_files_end_in_balanced_accounts(spark: SparkSession, place: Path) -> None:
    content = min(SAMPLE.glob("*.csv"), key=lambda file: file.stat().st_size).read_bytes()
    files = [scorers.put(place / "in", *mutated(content, number=number)) for number in range(1_000)]
    process = scorers.start(place / "in", files=100)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    scored = len(scorers.rows(place / "output", "scored", "prediction"))
    kept = scorers.rows(place / "output", "quarantine", "line")
    quarantined = sum(row["line"] is not None for row in kept)
    assert scored + quarantined == sum(scorers.count_lines(file) for file in files)
    assert scored > 0
    assert quarantined > 0
