"""Every command reads a folder of odd files to the same account, whatever the machine is set to."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from retail_clusters.data import listing, prepare
from retail_clusters.errors import InputError
from retail_clusters.infra.spark import spark_session
from retail_clusters.input_settings import Input
from retail_clusters.purchases import job
from retail_clusters.purchases.request import PurchasesRequest
from tests import odd_files, processes, scorers
from tests.conftest import PROJECT
from tests.infra.test_fixed_settings import HOSTILE


@pytest.fixture
def folder(workplace: Path) -> Path:
    return workplace / "odd"


@pytest.mark.parametrize(
    ("names", "large"),
    [(odd_files.FEW_NAMES, 200), pytest.param(odd_files.NAMES, 5_000, marks=pytest.mark.soak)],
    ids=["few names", "many names"],
)
def test_what_is_there_is_read_quarantined_or_passed_over_in_every_command(
    spark: SparkSession, folder: Path, names: Sequence[str], large: int
):
    made = odd_files.write(folder, broken=False, names=names, large=large)
    there = sum(len(files) for _, _, files in os.walk(folder))
    assert there == made.readable + made.passed_over == len(names) + 26

    table = prepare.make(spark, prepare.source(str(folder), Input()), run_id="r").table
    account = listing.account(listing.find(str(folder)))
    assert (account.there, account.read, account.passed_over) == (there, made.readable, made.passed_over)
    assert (table.total_lines, table.quarantined) == (made.lines, made.bad)

    spent = job.run(spark, PurchasesRequest(data=str(folder), mode="batch", output="spend"))
    assert spent.metrics["lines"] == made.lines
    assert spent.account == account

    scorers.register_models(spark, (3, "keep"))
    scorers.registry.set_alias(alias="champion", version="1")
    made = odd_files.write(folder.parent / "broken", broken=True, names=names, large=large)
    with pytest.raises(InputError, match=r"broken/.*: "):
        prepare.source(str(folder.parent / "broken"), Input())
    summary = scorers.drain(spark, folder.parent / "broken", files=60)
    assert summary.account is not None
    assert summary.account.there == there + made.broken
    assert (summary.account.read, summary.account.quarantined) == (made.readable, made.broken)
    assert summary.rows_scored == made.lines - made.bad
    assert summary.rows_in == summary.rows_scored + summary.rows_quarantined


@pytest.mark.parametrize("settings", [{}, HOSTILE], ids=["plain", "hostile"])
def test_a_truncated_file_is_refused_under_every_configuration(spark: SparkSession, folder: Path, settings):
    """Defect 70: with ignoreCorruptFiles its lines were gone, and none was quarantined."""
    made = odd_files.write(folder, broken=False)
    packed = (folder / "packed.csv.gz").read_bytes()
    (folder / "packed.csv.gz").write_bytes(packed[:-9])
    before = spark.conf.getAll
    for key, value in settings.items():
        spark.conf.set(key, value)
    try:
        with (
            spark_session("hostile") as session,
            pytest.raises(InputError, match=r"packed\.csv\.gz: the file cannot be unpacked to its end"),
        ):
            prepare.make(session, prepare.source(str(folder), Input()), run_id="r")
    finally:
        for key in settings:
            spark.conf.set(key, before[key]) if key in before else spark.conf.unset(key)
    assert made.readable


@pytest.mark.soak
def test_the_same_folder_has_the_same_digest_under_another_locale_zone_mask_and_spark_defaults(
    spark: SparkSession, folder: Path, tmp_path: Path
):
    made = odd_files.write(folder, broken=False)
    table = prepare.make(spark, prepare.source(str(folder), Input()), run_id="r").table
    (conf := tmp_path / "conf").mkdir()
    settings = "".join(f"{key} {value}\n" for key, value in HOSTILE.items())
    (conf / "spark-defaults.conf").write_text(settings)

    before = os.umask(0o077)
    try:
        done = processes.run(
            "prepare",
            "--json",
            "--data",
            folder,
            "--experiment",
            PROJECT / "experiments" / "default.yaml",
            LC_ALL="C",
            TZ="Asia/Tokyo",
            PYTHONCOERCECLOCALE="0",
            SPARK_CONF_DIR=str(conf),
            RETAIL_CLUSTERS_PREPARED=str(tmp_path / "prepared"),
        )
    finally:
        os.umask(before)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["table"]["data_digest"] == table.data_digest
    assert f"{made.readable} read, {made.passed_over} passed over by name" in done.stderr
