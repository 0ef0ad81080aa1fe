"""The long version: the real year as a stream of parts, killed again and again, out of order too."""

import os
import random
import shutil
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import BinaryIO

import pytest
from pyspark.sql import SparkSession

from retail_clusters.data import csv_files
from retail_clusters.infra import storage
from retail_clusters.purchases.account import Account
from retail_clusters.purchases.job import PurchasesRequest, run
from retail_clusters.settings import Purchases
from tests.purchases.shop import assert_shows_the_notebook, metrics, totals, write

pytestmark = pytest.mark.soak

FILES_A_BATCH = 5
REQUEST = PurchasesRequest(
    data="data",
    mode="stream",
    sink="parquet",
    top=3,
    output="output",
    settings=Purchases(max_files_per_trigger=FILES_A_BATCH),
)
SCRIPT = """
import sys
from dataclasses import replace
from retail_clusters.infra.spark import spark_session
from retail_clusters.purchases.job import run
from tests.soak.test_purchases_soak import REQUEST
with spark_session("purchases") as spark:
    run(spark, replace(REQUEST, once=len(sys.argv) == 1))
"""
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}


def copy_year(order: list[str]) -> None:
    """Copy the files, modified in the given order, which is the order a stream reads them in."""
    Path("data").mkdir()
    for at, file in enumerate(order):
        copy = shutil.copyfile(file, Path("data") / Path(file).name)
        os.utime(copy, (1_700_000_000 + at,) * 2)


def wait_for_batch(batch: int, process: subprocess.Popen[str]) -> None:
    last = Path("output/checkpoint/commits").absolute() / str(batch)
    while not last.exists():
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.02)


def kill_once_committed(batch: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], start_new_session=True, text=True, env=ENVIRONMENT
    )
    try:
        wait_for_batch(batch, process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def finish(spark: SparkSession) -> dict[str, int]:
    """Drain the rest in here, and prove all: raises if one customer-day is wrong. Return the sums."""
    run(spark, replace(REQUEST, prove="all"))
    state = Account("output").read_state()
    assert state is not None
    return asdict(state.counts)


@pytest.mark.real
def test_a_year_in_order_killed_four_times_equals_the_batch(
    spark: SparkSession, workplace: Path, real_data: Path
):
    copy_year(csv_files.find_files(str(real_data)))
    for batch in (3, 14, 30, 47):
        kill_once_committed(batch)

    sums = finish(spark)

    assert (sums["files"], sums["lines"]) == (305, 541_909)
    assert (sums["lines_late"], sums["lines_quarantined"]) == (0, 0)


@pytest.mark.real
def test_a_year_that_comes_in_two_parts_out_of_order_accounts_for_every_late_line(
    spark: SparkSession, workplace: Path, real_data: Path
):
    order = csv_files.find_files(str(real_data))
    random.Random(5).shuffle(order)
    copy_year(order[:150])
    kill_once_committed(7)
    assert finish(spark)["lines_late"] == 0
    for file in order[150:]:
        shutil.copyfile(file, Path("data") / Path(file).name)
    kill_once_committed(40)

    sums = finish(spark)

    assert sums["lines_late"] > 100_000
    assert (sums["files"], sums["lines"]) == (305, 541_909)


def test_an_endless_stream_takes_files_as_they_come_and_ends_well_on_ctrl_c(
    spark: SparkSession, workplace: Path
):
    sample = csv_files.find_files(str(Path(__file__).parents[2] / "data" / "sample" / "by-day"))
    Path("data").mkdir()
    endless = [sys.executable, "-c", SCRIPT, "endless"]
    process = subprocess.Popen(
        endless, start_new_session=True, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    try:
        for at, file in enumerate(sample[:3]):
            name = Path(file).name
            shutil.copyfile(file, f"arriving-{name}")
            Path(f"arriving-{name}").replace(Path("data") / name)
            wait_for_batch(at, process)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)

    assert process.returncode == 0, said
    assert "stopped; the same command goes on from here" in said
    assert finish(spark)["files"] == 3


def test_a_day_among_many_takes_the_work_of_a_day_among_few(
    spark: SparkSession, workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    """Defect 43: the daily job read all its history again."""
    scheduler = spark.sparkContext._jsc.sc().dagScheduler()
    opened: list[str] = []
    read = storage.open_read

    def spy(location: str) -> AbstractContextManager[BinaryIO]:
        opened.append(location)
        return read(location)

    monkeypatch.setattr(storage, "open_read", spy)

    def work() -> tuple[int, int]:
        jobs, before = int(scheduler.numTotalJobs()), len(opened)
        run(spark, REQUEST)
        files = [file for file in opened[before:] if "/checkpoint/" not in file]
        return int(scheduler.numTotalJobs()) - jobs, len(files)

    for day in range(1, 6):
        write(f"{day}.csv", ("1.0", day, "2", 2))
    run(spark, REQUEST)
    write("6.csv", ("1.0", 6, "2", 2))
    among_few = work()
    for day in range(7, 28):
        write(f"{day}.csv", ("1.0", day, "2", 2))
        run(spark, REQUEST)
    write("28.csv", ("1.0", 28, "2", 2))

    assert work() == among_few


@pytest.mark.real
def test_the_account_of_the_real_data_is_whole(spark: SparkSession, workplace: Path, real_data: Path):
    copy_year(csv_files.find_files(str(real_data)))
    run(spark, replace(REQUEST, settings=Purchases(max_files_per_trigger=103)))

    found = metrics()
    assert {"lines": 541_909.0, "lines_late": 0.0, "parity_differing": 0.0}.items() <= found.items()
    assert (
        found["customer_days"] + found["customer_days_kept_back"] == found["parity_customer_days"] == 19_573
    )


@pytest.mark.real
def test_the_live_table_shows_every_total_of_the_notebook_to_the_cent(
    spark: SparkSession, workplace: Path, real_data: Path
):
    many = Purchases(max_files_per_trigger=103)
    run(spark, PurchasesRequest(data=str(real_data), mode="stream", output="live", top=3, settings=many))

    assert_shows_the_notebook(totals("live"))
    agreed = {"parity_differing": 0.0, "parity_customer_days": 19_573.0, "lines": 541_909.0}
    assert agreed.items() <= metrics().items()
