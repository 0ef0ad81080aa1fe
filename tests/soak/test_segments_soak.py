"""The stream's segments are those of the batch job: days that arrive, kills at random moments, a swap of the version.

`SOAK_KILLS` sets how many kills.
"""

import os
import random
import subprocess
from contextlib import suppress
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from tests import scorers
from tests.conftest import SAMPLE
from tests.scorers import registry

KILLS = int(os.environ.get("SOAK_KILLS", "10"))


@pytest.fixture
def place(spark: SparkSession, workplace: Path) -> Path:
    """A working folder with two versions of customers in its registry; the first is champion."""
    scorers.register_customers(spark)
    scorers.register_customers(spark, k=3)
    registry.set_alias(alias="champion", version="1")
    return workplace


@pytest.mark.soak
def test_segments_of_a_stream_that_is_killed_are_those_of_a_batch_job(
    spark: SparkSession, place: Path
) -> None:
    check(spark, place, files=4 * KILLS, kills=KILLS)


def test_segments_of_a_stream_that_is_killed_once_are_those_of_a_batch_job(
    spark: SparkSession, place: Path
) -> None:
    check(spark, place, files=5, kills=1)


def check(spark: SparkSession, place: Path, *, files: int, kills: int) -> None:
    """Let a stream take a file a day, with kills between and within batches; do the same at once, date by date."""
    names, output = sorted(SAMPLE.glob("*.csv"))[:files], place / "output"
    chance = random.Random(7)
    killed = {*chance.sample(range(1, files), kills)}
    process = scorers.start(place / "in", once=False)
    for at, file in enumerate(names):
        scorers.put(place / "in", file.name, file.read_bytes())
        if at == files // 2:
            registry.set_alias(alias="champion", version="2")
        if at in killed:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=chance.uniform(0, 4))
            scorers.kill(process)
            process = scorers.start(place / "in", once=False)
        scorers.wait_until(lambda due=at + 1: scored(output) == due, process)  # type: ignore[misc]
    scorers.wait_until(lambda: settled(output), process)
    scorers.kill(process)
    dates, again = ends(output), place / "again"
    assert len(dates) > files // 2
    for end in dates:
        found = pd.read_parquet(output / "segments" / f"as_of={end}")
        registry.set_alias(alias="champion", version=str(found["model_version"].iloc[0]))
        scorers.drain(
            spark, place / "in", output=str(again), checkpoint=str(place / "c"), as_of=date.fromisoformat(end)
        )
        for kind in ("segments", "moves"):
            if (output / kind / f"as_of={end}").is_dir():
                one, other = (pd.read_parquet(each / kind / f"as_of={end}") for each in (output, again))
                pd.testing.assert_frame_equal(one, other, check_exact=True)


def ends(output: Path) -> list[str]:
    """List the dates of the segments of an output."""
    return sorted(each.name.removeprefix("as_of=") for each in (output / "segments").glob("as_of=*"))


def settled(output: Path) -> bool:
    """Tell whether the latest segments of an output have their moves."""
    return (output / "moves" / f"as_of={ends(output)[-1]}").is_dir()


def scored(output: Path) -> int:
    """Count the files that the records of an output hold."""
    return sum(len(record["files"]) for record in scorers.batches(output))
