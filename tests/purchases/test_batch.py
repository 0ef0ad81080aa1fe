import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from pyspark.errors import ArithmeticException
from pyspark.sql import SparkSession

from retail_clusters.cli.results import to_json
from retail_clusters.errors import InputError
from retail_clusters.purchases import sink
from retail_clusters.purchases.job import PurchasesRequest, run
from tests.purchases.shop import (
    artifacts,
    assert_shows_the_notebook,
    metrics,
    put,
    rows,
    totals,
    truncated,
    write,
    written,
)

BATCH = PurchasesRequest(data="data", top=3, output="out")


def test_batch_writes_prints_and_logs_the_result_and_keeps_what_it_does_not_count(
    spark: SparkSession, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    write("a.csv", ("1.0", 1, "2.505", 2), ("", 1, "1.25", 4), ("1.0", 2, "3", -1))
    write("b.csv", ("1.0", 1, "1", 1), ("1.0", 1, "one", 1))
    put("cut.csv.gz", truncated(("9.0", 1, "2", 2)))

    summary = run(spark, replace(BATCH, sql="SELECT count(*) AS found FROM customer_purchases;"))

    assert totals("out") == {
        ("1.0", "2011-03-01"): Decimal("6.01"),
        ("", "2011-03-01"): 5,
        ("1.0", "2011-03-02"): -3,
    }
    assert written("out")[1] == (1.0, date(2011, 3, 1), Decimal("6.010000"), 2)
    reasons = sorted(str(row["reason"]) for row in rows("out", "quarantine"))
    assert reasons[0] == "UnitPrice is not a number"
    assert all("unpacked" in reason for reason in reasons[1:])
    found = metrics()
    assert found["lines_quarantined"] == len([row for row in rows("out", "quarantine") if row["line"]])
    assert {"files": 3.0, "customer_days": 3.0, "days": 2.0}.items() <= found.items()
    assert {"top.csv", "top_customers.png", "spend_per_day.png"} <= artifacts()
    shown = capsys.readouterr().out.splitlines()
    assert shown[2].split() == ["1.0", "2011-03-01", "6.01", "2", "0"]
    assert [line.strip() for line in shown[5:7]] == ["found", "3"]
    assert shown[-1].startswith("purchases: 3 customer-days of ")
    told = json.loads(to_json(summary))
    assert (told["output"], told["metrics"]["files"], told["answer"]) == ("out", 3, [{"found": 3}])
    first = {"CustomerID": 1.0, "day": "2011-03-01", "total_cost": 6.01, "lines": 2, "cancellations": 0}
    assert told["top"][0] == first


def test_batch_replaces_an_earlier_result_and_leaves_nothing_else(spark: SparkSession, workplace: Path):
    write("a.csv", ("1.0", 1, "2", 2), ("1.0", 1, "?", 2))
    run(spark, BATCH)
    write("a.csv", ("2.0", 1, "2", 3))
    run(spark, BATCH)

    assert totals("out") == {("2.0", "2011-03-01"): 6}
    left = sorted(path.name for path in Path("out").iterdir() if not path.name.endswith("lock"))
    assert left == ["purchases", "purchases.csv"]
    with pytest.raises(InputError, match="holds the purchases of a batch"):
        run(spark, replace(BATCH, mode="stream", sink="parquet"))


def test_a_table_that_fails_leaves_the_earlier_one(spark: SparkSession, tmp_path: Path):
    """Defect 30: the earlier table was removed before the new one was in place."""
    place = str(tmp_path / "table")
    sink.write_parquet_table(spark.createDataFrame([(1,)], "number int"), place)
    with pytest.raises(ArithmeticException):
        sink.write_parquet_table(spark.createDataFrame([(0,)], "number int").selectExpr("1 / number"), place)

    assert [row.number for row in spark.read.parquet(place).collect()] == [1]
    assert [folder.name for folder in tmp_path.iterdir()] == ["table"]


@pytest.mark.real
def test_batch_shows_every_total_of_the_notebook_to_the_cent(
    spark: SparkSession, workplace: Path, real_data: Path
):
    run(spark, replace(BATCH, data=str(real_data)))
    assert_shows_the_notebook(totals("out"))
    assert metrics()["lines"] == 541_909
