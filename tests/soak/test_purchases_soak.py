"""The long version: the real year as a stream of parts, killed again and again, out of order too."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from retail_clusters.data import csv_files, line_stream
from retail_clusters.purchases.job import run
from retail_clusters.purchases.report import Request
from retail_clusters.purchases.sink import read_records
from retail_clusters.settings import Purchases

pytestmark = pytest.mark.soak

FILES_A_BATCH = 5
SCRIPT = f"""
import sys
from pathlib import Path
from retail_clusters.purchases.job import purchases
from retail_clusters.settings import Purchases
settings = Purchases(max_files_per_trigger={FILES_A_BATCH})
purchases(data="data", mode="stream", top=3, output=Path("output"), sink="parquet", checkpoint=None,
          once=len(sys.argv) == 1, settings=settings)
"""


def copy_year(real_data: Path, *, order: list[Path]) -> None:
    """Copy the files, modified in the given order, which is the order a stream reads them in."""
    Path("data").mkdir()
    for at, file in enumerate(order):
        copy = shutil.copyfile(file, Path("data") / file.name)
        os.utime(copy, (1_700_000_000 + at,) * 2)


def wait_for_batch(batch: int, process: subprocess.Popen[str]) -> None:
    last = Path("output/checkpoint/commits").absolute() / str(batch)
    while not last.exists():
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.02)


def kill_once_committed(batch: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], start_new_session=True, text=True)
    try:
        wait_for_batch(batch, process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def finish(spark: SparkSession) -> dict[str, int]:
    """Drain the rest in here, which raises if one customer-day of the account is wrong; give the sums."""
    settings = Purchases(max_files_per_trigger=FILES_A_BATCH)
    run(spark, Request("data", "stream", 3, Path("output"), "parquet", None, True, settings))
    checkpoint = Path("output/checkpoint")
    records = read_records(Path("output"), last=line_stream.last_batch(checkpoint))
    names = ("files", "lines", "late", "quarantined")
    return {name: sum(getattr(record, name) for record in records) for name in names}


@pytest.mark.real
def test_a_year_in_order_killed_four_times_equals_the_batch(
    spark: SparkSession, workplace: Path, real_data: Path
):
    copy_year(real_data, order=csv_files.find_files(str(real_data)))
    for batch in (3, 14, 30, 47):
        kill_once_committed(batch)

    assert finish(spark) == {"files": 305, "lines": 541_909, "late": 0, "quarantined": 0}


@pytest.mark.real
def test_a_year_out_of_order_killed_twice_accounts_for_every_late_line(
    spark: SparkSession, workplace: Path, real_data: Path
):
    order = csv_files.find_files(str(real_data))
    random.Random(5).shuffle(order)
    copy_year(real_data, order=order)
    for batch in (7, 25):
        kill_once_committed(batch)

    sums = finish(spark)

    assert sums["late"] > 100_000
    assert (sums["files"], sums["lines"]) == (305, 541_909)


def test_an_endless_stream_takes_files_as_they_come_and_ends_well_on_ctrl_c(
    spark: SparkSession, workplace: Path
):
    sample = csv_files.find_files(str(Path(__file__).parents[2] / "data" / "sample" / "by-day"))
    Path("data").mkdir()
    endless = [sys.executable, "-c", SCRIPT, "endless"]
    process = subprocess.Popen(endless, start_new_session=True, stdout=subprocess.PIPE, text=True)
    try:
        for at, file in enumerate(sample[:3]):
            shutil.copyfile(file, f"arriving-{file.name}")
            Path(f"arriving-{file.name}").replace(Path("data") / file.name)
            wait_for_batch(at, process)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)

    assert process.returncode == 0, said
    assert "stopping; the same command goes on from here" in said
    assert finish(spark)["files"] == 3
