from dataclasses import replace
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from retail_clusters.errors import DifferenceFoundError, InputError
from retail_clusters.infra.spark import small_session
from retail_clusters.purchases import charts
from retail_clusters.purchases.job import PurchasesRequest, run
from retail_clusters.purchases.live import TOP_SQL, start_live, stream_lines
from retail_clusters.purchases.query import check_sql
from retail_clusters.purchases.report import report_parity
from retail_clusters.purchases.spend import Parity
from retail_clusters.registry import tracking
from retail_clusters.settings import Columns, Purchases
from tests.purchases.shop import artifacts, metrics, put, read_artifact, rows, totals, truncated, write
from tests.viewfs import as_default

LIVE = PurchasesRequest(data="data", mode="stream", top=3, output="out")


def test_live_agrees_with_the_batch_logs_the_plan_and_answers_the_users_query(
    spark: SparkSession, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    write("a.csv", ("1.0", 9, "2", 2), ("", 9, "1", 1), ("1.0", 9, "x", 1), at=0)
    write("b.csv", ("", 2, "5", 1), ("1.0", 9, "1", 1), ("", 2, "0.001", 1), at=1)
    put("cut.csv.gz", truncated(("9.0", 1, "2", 2)), at=2)
    Path("data/notes.txt").write_text("not,an,invoice\n")

    run(spark, replace(LIVE, sql="SELECT sum(lines) AS lines_in_all FROM customer_purchases"))

    found = {("", "2011-03-02"): Decimal("5.001"), ("", "2011-03-09"): 1, ("1.0", "2011-03-09"): 5}
    assert totals("out") == found
    assert metrics()["parity_differing"] == 0
    assert {str(row["source_file"]).rpartition("/")[2] for row in rows("out", "quarantine")} == {
        "a.csv",
        "cut.csv.gz",
    }
    assert {"physical_plan.txt", "parity.md"} <= artifacts()
    assert "StateStoreSave" in read_artifact("physical_plan.txt")
    shown = capsys.readouterr().out
    assert "0 of 3 customer-days differ from the batch" in shown
    assert "lines_in_all\n            5" in shown


def test_live_works_where_the_default_file_system_is_none_of_this_machine(
    spark: SparkSession, workplace: Path
):
    write("a.csv", ("1.0", 9, "2", 2))

    with as_default(spark, workplace) as place:
        run(spark, replace(LIVE, data=f"{place}/data", output=f"{place}/out"))

    assert totals("out") == {("1.0", "2011-03-09"): 4}
    assert sorted(file.name for file in Path("out").iterdir() if file.suffix != ".crc") == [
        "purchases",
        "purchases.csv",
    ]


def test_live_table_is_queried_by_sql_as_in_the_notebook(spark: SparkSession, workplace: Path):
    write("a.csv", ("1.0", 9, "2", 2), ("", 9, "1", 1))
    session = small_session(spark)

    lines = stream_lines(session, "data", settings=Purchases(), columns=Columns())
    query = start_live(lines, checkpoint=str(workplace / "checkpoint"))
    query.awaitTermination()

    assert lines.isStreaming
    assert query.name == "customer_purchases"
    assert [tuple(row[:1]) for row in session.sql(TOP_SQL).collect()] == [(1.0,), (None,)]
    assert session.sql("SELECT sum(total_cost) FROM customer_purchases").collect()[0][0] == 5


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM customer_purchases ORDER BY total_cost DESC;",
        "WITH a AS (SELECT lines FROM customer_purchases) SELECT sum(lines) FROM a -- all",
    ],
)
def test_a_query_over_the_table_is_taken(spark: SparkSession, sql: str):
    check_sql(spark, sql)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT total FROM customer_purchases", "`total` cannot be resolved"),
        ("SELECT * FROM purchases", "`purchases` cannot be found"),
        ("SELEC 1", "Syntax error"),
        ("DROP TABLE IF EXISTS customer_purchases", "Syntax error"),
        ("SELECT 1; SELECT 2", "Syntax error"),
        ("", "Syntax error"),
    ],
)
def test_what_is_no_query_over_the_table_is_refused_in_one_line(
    spark: SparkSession, sql: str, said: str, capfd: pytest.CaptureFixture[str]
):
    with pytest.raises(InputError, match=said) as refused:
        check_sql(spark, sql)
    assert "\n" not in str(refused.value)
    assert capfd.readouterr().err == ""


def test_a_difference_is_logged_and_raised(workplace: Path):
    different = pytest.raises(DifferenceFoundError, match="1 of 7 customer-days differ")
    with different as raised, tracking.run("purchases"):
        report_parity(Parity(customer_days=7, differing=1, examples=[]), summary="of two files")
    assert raised.value.exit_code == 4
    assert metrics()["parity_differing"] == 1
    assert {"parity.md", "differences.csv"} <= artifacts()


def test_screen_redraws_in_place_on_a_terminal_and_logs_plain_lines_elsewhere():
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    terminal, log = Terminal(), StringIO()
    for out in (terminal, log):
        screen = charts.Screen(out)
        screen.draw("batch 1", "a\nb")
        screen.draw("batch 2", "c\nd")
        screen.clear()

    assert terminal.getvalue() == "batch 1\na\nb\n\x1b[3F\x1b[Jbatch 2\nc\nd\n\x1b[3F\x1b[J"
    assert log.getvalue() == "batch 1\nbatch 2\n"
