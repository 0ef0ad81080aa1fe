import json
import time
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from pyspark.sql import Row, SparkSession

from retail_clusters.cli.common import to_json
from retail_clusters.data import csv_files, listing
from retail_clusters.errors import DifferenceFoundError, InputError
from retail_clusters.infra.locations import to_uri
from retail_clusters.infra.spark import small_session
from retail_clusters.input_settings import Input
from retail_clusters.purchases import job
from retail_clusters.purchases.job import run
from retail_clusters.purchases.request import PurchasesRequest
from retail_clusters.purchases.spend import Parity
from retail_clusters.registry import tracking
from retail_clusters.settings import Purchases
from tests.purchases.shop import (
    MISNAMED,
    artifacts,
    newest_run,
    quarantined,
    text,
    totals,
    write,
    write_truncated,
    written,
)
from tests.viewfs import as_default

BATCH = PurchasesRequest(data="data", top=3, output="out")
STREAM = replace(BATCH, mode="stream")
AT_ONCE = replace(STREAM, settings=Purchases(max_files_per_trigger=103))

#: Totals that the notebook shows in its batch and its stream, and the largest over all days.
NOTEBOOK = {
    ("16813", "2011-12-01"): "148.54",
    ("13102", "2011-12-01"): "308.06",
    ("15311", "2011-11-18"): "266.91",
    ("14688", "2011-10-18"): "205.17",
    ("16950", "2010-12-07"): "172.00",
    ("", "2010-12-21"): "31347.48",
    ("18102", "2010-12-07"): "25920.37",
    ("", "2010-12-10"): "25399.56",
    ("", "2010-12-17"): "25371.77",
    ("", "2010-12-06"): "23395.10",
}
LARGEST = {
    ("17450", "2011-09-20"): "71601.44",
    ("", "2011-11-14"): "55316.08",
    ("", "2011-11-07"): "42939.17",
    ("", "2011-03-29"): "33521.40",
    ("", "2011-12-08"): "31975.59",
}


def test_a_batch_writes_prints_and_logs_the_result_and_keeps_what_it_does_not_count(
    spark: SparkSession, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    write("a.csv", ("1.0", 1, "2.505", 2), ("", 1, "1.25", 4), ("1.0", 2, "3", -1))
    write("b.csv", ("1.0", 1, "1", 1), ("1.0", 1, "one", 1))

    summary = run(spark, BATCH)

    assert totals("out") == {
        ("1", "2011-03-01"): Decimal("6.01"),
        ("", "2011-03-01"): 5,
        ("1", "2011-03-02"): -3,
    }
    assert written("out")[1] == ("1", date(2011, 3, 1), Decimal("6.010000"), 2)
    assert [row[:2] for row in quarantined("out")] == [("b.csv", "UnitPrice is not a number")]
    found = newest_run().data.metrics
    assert {
        "files": 2.0,
        "lines": 5,
        "lines_quarantined": 1,
        "customer_days": 3.0,
        "days": 2.0,
        "total_cost": 8.01,
    }.items() <= found.items()
    assert "top.csv" in artifacts()
    shown = capsys.readouterr().out.splitlines()
    assert shown[1].split() == ["1", "2011-03-01", "6.01", "2", "0"]
    assert shown[4].startswith("purchases: 3 customer-days of 5 lines in 2 files, 1 quarantined")
    assert shown[5] == "purchases: quarantined 1 of 5 lines:"
    assert shown[6].startswith("  1 because UnitPrice is not a number, such as '5,A,")
    assert shown[6].endswith("(b.csv, line 3)")
    told = json.loads(to_json(summary))
    assert (told["output"], told["metrics"]["files"]) == ("out", 2)
    first = {"CustomerID": "1", "day": "2011-03-01", "total_cost": "6.010000", "lines": 2, "cancellations": 0}
    assert told["top"][0] == first


def test_days_are_days_in_utc_whatever_the_time_zone_of_the_machine(
    spark: SparkSession, workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    write("a.csv", ("1.0", 5, "2", 2))
    Path("data/a.csv").write_text(Path("data/a.csv").read_text().replace("12:00", "00:30"))
    with monkeypatch.context() as west:
        west.setenv("TZ", "America/New_York")
        time.tzset()
        summary = run(spark, BATCH)
    time.tzset()
    assert summary.top[0]["day"] == date(2011, 3, 5)
    assert totals("out") == {("1", "2011-03-05"): 4}


def test_a_batch_replaces_an_earlier_result_and_leaves_nothing_else(spark: SparkSession, workplace: Path):
    write("a.csv", ("1.0", 1, "2", 2), ("1.0", 1, "?", 2))
    run(spark, BATCH)
    assert len(quarantined("out")) == 1
    write("a.csv", ("2.0", 1, "2", 3))
    run(spark, BATCH)

    assert totals("out") == {("2", "2011-03-01"): 6}
    left = sorted(path.name for path in Path("out").iterdir())
    assert left == ["purchases", "purchases.csv"]


def test_too_many_bad_lines_are_refused_before_an_earlier_table_is_replaced(
    spark: SparkSession, workplace: Path
):
    write("a.csv", ("1.0", 1, "2", 2))
    run(spark, BATCH)
    write("bad.csv", ("1.0", 1, "?", 2), ("1.0", 1, "2,5", 2))
    for request in (BATCH, AT_ONCE):
        with pytest.raises(InputError, match=r"2 of 3 are, 1 because .*bad.csv, line 2\): .*input.decimal"):
            run(spark, request)
    assert totals("out") == {("1", "2011-03-01"): 4}
    metrics = run(spark, replace(BATCH, how=Input(max_quarantined=1))).metrics
    assert (metrics["lines"], metrics["lines_quarantined"], metrics["customer_days"]) == (3, 2, 1)


def test_files_that_give_nothing_to_sum_up_are_refused(spark: SparkSession, workplace: Path):
    write("misnamed.csv", ("1.0", 1, "2", 2), header=MISNAMED)
    with pytest.raises(InputError, match="no column UnitPrice"):
        run(spark, BATCH)
    Path("data/misnamed.csv").unlink()
    write_truncated("cut.csv.gz", *[("1.0", 1, "2", 2)] * 3)
    with pytest.raises(InputError, match=r"cut\.csv\.gz: the file cannot be unpacked to its end"):
        run(spark, STREAM)


def test_a_stream_equals_the_batch(spark: SparkSession, workplace: Path, capsys: pytest.CaptureFixture[str]):
    write("a.csv", ("1.0", 9, "2", 2), ("", 9, "1", 1), ("1.0", 9, "x", 1))
    write("b [1] ü%20#{c}.csv", ("", 2, "5", 1), ("1.0", 9, "1", 1), ("", 2, "0.001", 1))
    Path("data/notes.txt").write_text("not,an,invoice\n")

    run(spark, STREAM)

    found = {("", "2011-03-02"): Decimal("5.001"), ("", "2011-03-09"): 1, ("1", "2011-03-09"): 5}
    assert totals("out") == found
    metrics = newest_run().data.metrics
    assert (metrics["parity_customer_days"], metrics["parity_differing"]) == (3, 0)
    assert {name for name, *_ in quarantined("out")} == {"a.csv"}
    shown = capsys.readouterr().out
    assert "0 of 3 customer-days differ from the batch" in shown
    left = sorted(path.name for path in Path("out").iterdir())
    assert left == ["purchases", "purchases.csv", "quarantine"]


def test_a_stream_works_where_the_default_file_system_is_none_of_this_machine(
    spark: SparkSession, workplace: Path
):
    write("a.csv", ("1.0", 9, "2", 2))
    with as_default(spark, workplace) as place:
        run(spark, replace(STREAM, data=f"{place}/data", output=f"{place}/out"))

    assert totals("out") == {("1", "2011-03-09"): 4}


def test_a_stream_takes_each_listed_file_once_and_no_other(spark: SparkSession, workplace: Path):
    write("a.csv", ("1.0", 9, "2", 2))
    Path("data/loop").symlink_to(Path("data").absolute())
    before = listing.require(to_uri("data")).files
    write("b.csv", ("2.0", 9, "2", 2))
    session = small_session(spark)
    layouts = csv_files.check_headers([file.location for file in before])

    Path("out").mkdir()
    job.drain(session, AT_ONCE, layouts=layouts)

    assert [row.CustomerID for row in session.table("customer_purchases").collect()] == ["1"]


def test_files_with_different_headers_are_summed_up_as_a_batch_and_refused_as_a_stream(
    spark: SparkSession, workplace: Path
):
    write("a.csv", ("1.0", 9, "2", 2))
    Path("data/b.csv").write_text("Shop," + text(("1.0", 9, "3", 1)).replace("\n5,", "\nx,5,"))
    run(spark, BATCH)
    assert totals("out") == {("1", "2011-03-09"): 7}
    with pytest.raises(InputError, match="mode=stream needs one header in all files"):
        run(spark, STREAM)


def test_the_table_shows_totals_to_the_cent_and_a_missing_customer_as_null():
    rows = [Row(None, date(2011, 3, 29), Decimal("33521.395"), 1_200, 3)]

    shown = [line.split() for line in job.table(job.cells(rows)).splitlines()]

    assert shown == [
        ["CustomerID", "day", "total_cost", "lines", "cancellations"],
        ["null", "2011-03-29", "33,521.40", "1,200", "3"],
    ]
    assert job.table(job.cells([])) == "(no rows)"


def test_a_difference_is_logged_and_raised(workplace: Path):
    different = pytest.raises(DifferenceFoundError, match="1 of 7 customer-days differ")
    with different as raised, tracking.run("purchases"):
        job.report_parity(Parity(differing=1, examples=[]), customer_days=7)
    assert raised.value.exit_code == 4
    assert newest_run().data.metrics["parity_differing"] == 1
    assert "differences.csv" in artifacts()


@pytest.mark.soak
@pytest.mark.real
@pytest.mark.parametrize("request_", [BATCH, AT_ONCE])
def test_every_total_of_the_notebook_is_found_to_the_cent(
    spark: SparkSession, workplace: Path, real_data: Path, request_: PurchasesRequest
):
    metrics = run(spark, replace(request_, data=str(real_data))).metrics

    found = totals("out")
    assert (metrics["lines"], len(found)) == (541_909, 19_573)
    shown = NOTEBOOK | LARGEST
    assert {key: str(found[key].quantize(Decimal("0.01"))) for key in shown} == shown
    assert sorted(found, key=lambda key: -found[key])[:5] == list(LARGEST)
