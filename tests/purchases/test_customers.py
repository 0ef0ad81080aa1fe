from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from retail_clusters.errors import InputError
from retail_clusters.purchases.customers import describe_customers, run_customers

SHAPE = (
    "InvoiceNo string, Quantity int, InvoiceDate timestamp, UnitPrice double, CustomerID string, "
    "prediction int, batch_id int"
)
SALES = [
    ("1", 2, datetime(2011, 3, 1, 9), 2.5, "7", 0, 0),
    ("1", 1, datetime(2011, 3, 1, 9), 0.1, "7", 2, 0),
    ("2", 1, datetime(2011, 3, 5, 9), 0.2, "7", 2, 0),
    ("C3", -1, datetime(2011, 3, 7, 9), 2.5, "7", 2, 0),
    ("4", 1, datetime(2011, 3, 9, 23), 99.0, None, 1, 1),
    ("5", None, datetime(2011, 3, 9, 1), 5.0, "8", 1, 1),
    ("C6", -1, datetime(2011, 3, 9, 1), 1e12, "9", 1, 2),
]


@pytest.fixture
def scored(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(SALES, SHAPE)


def test_customers_have_recency_frequency_spend_cancelled_spend_and_a_share_of_each_cluster(
    scored: DataFrame,
):
    found = [tuple(row) for row in describe_customers(scored, clusters=3).collect()]

    assert found == [
        ("7", 4, 2, Decimal("2.8"), Decimal("-2.5"), 4, 0.25, 0.0, 0.75),
        ("8", 0, 1, 0, 0, 1, 0.0, 1.0, 0.0),
        ("9", None, 0, 0, 0, 1, 0.0, 1.0, 0.0),
    ]


def test_the_job_writes_a_table_with_a_share_of_each_cluster(
    workplace: Path, scored: DataFrame, capsys: pytest.CaptureFixture[str]
):
    run_customers(scored, source="scored", output="out", top=1)

    table = pd.read_csv("out/customers.csv")
    assert list(table.CustomerID) == [7, 8, 9]
    assert list(table.columns[-3:]) == [f"share_of_cluster_{number}" for number in range(3)]
    assert "3 customers; written to out/customers.csv" in capsys.readouterr().out


def test_no_scored_lines_are_refused(workplace: Path, scored: DataFrame):
    with pytest.raises(InputError, match="found no scored lines in nowhere"):
        run_customers(scored.limit(0), source="nowhere", output="out", top=1)
