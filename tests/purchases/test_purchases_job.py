import csv
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from io import StringIO
from pathlib import Path

import mlflow
import pytest
from pyspark.sql import SparkSession

from retail_clusters import schema
from retail_clusters.data import csv_files, line_stream
from retail_clusters.errors import DifferenceFoundError, InputError
from retail_clusters.infra import tracking
from retail_clusters.purchases import charts
from retail_clusters.purchases.job import check, run
from retail_clusters.purchases.live import QUERY_NAME, TOP_SQL, start_live
from retail_clusters.purchases.report import Request, report_parity
from retail_clusters.purchases.spend import Parity
from retail_clusters.settings import Purchases

BATCH = Request(
    data="data",
    mode="batch",
    top=3,
    output=Path("output"),
    sink="memory",
    checkpoint=None,
    once=True,
    settings=Purchases(),
)
LIVE = replace(BATCH, mode="stream")
APPEND = replace(LIVE, sink="parquet")

#: customer ("" for none), day of March 2011, price, quantity
Sale = tuple[str, int, str, int]

NOTEBOOK_BATCH = [
    ("16813.0", "2011-12-01", "148.54"),
    ("13102.0", "2011-12-01", "308.06"),
    ("15311.0", "2011-11-18", "266.91"),
    ("14688.0", "2011-10-18", "205.17"),
    ("16950.0", "2010-12-07", "172.00"),
]
NOTEBOOK_STREAM = [
    ("", "2011-03-29", "33521.40"),
    ("", "2010-12-21", "31347.48"),
    ("18102.0", "2010-12-07", "25920.37"),
    ("", "2010-12-10", "25399.56"),
    ("", "2010-12-17", "25371.77"),
    ("", "2010-12-06", "23395.10"),
]
LARGEST = [
    ("17450.0", "2011-09-20", "71601.44"),
    ("", "2011-11-14", "55316.08"),
    ("", "2011-11-07", "42939.17"),
    ("", "2011-03-29", "33521.40"),
    ("", "2011-12-08", "31975.59"),
]


def write(name: str, *sales: Sale, at: int, folder: Path = Path("data")) -> None:
    """Write a file of sales, modified `at` seconds: streams read by modification time."""
    folder.mkdir(exist_ok=True)
    rows = [
        ",".join(schema.COLUMNS),
        *(
            f'5,A,"MUG, ""RED""",{n},2011-03-{day:02} 12:00:00,{price},{who},UK'
            for who, day, price, n in sales
        ),
    ]
    (folder / name).write_text("\n".join(rows) + "\n")
    os.utime(folder / name, (1_700_000_000 + at,) * 2)


def totals(output: Path = Path("output")) -> dict[tuple[str, str], Decimal]:
    """Read OUTPUT/purchases.csv: (customer, day) to total, to the cent."""
    rows = csv.DictReader(StringIO((output / "purchases.csv").read_text()))
    return {(row["CustomerID"], row["day"]): Decimal(row["total_cost"]) for row in rows}


def written(
    spark: SparkSession, output: Path = Path("output")
) -> list[tuple[float | None, date, Decimal, int]]:
    """Read what a stream has appended to OUTPUT/purchases."""
    rows = spark.read.parquet(str((output / "purchases").absolute())).collect()
    return sorted(
        ((row.CustomerID, row.window.start.date(), row.total_cost, row.lines) for row in rows),
        key=lambda row: (row[1], row[0] or 0.0),
    )


def metrics() -> dict[str, float]:
    """Read the metrics of the only run, or the newest."""
    (newest,) = mlflow.search_runs(search_all_experiments=True, output_format="list", max_results=1)
    return dict(newest.data.metrics)


def artifacts() -> set[str]:
    (newest,) = mlflow.search_runs(search_all_experiments=True, output_format="list", max_results=1)
    return {file.path for file in mlflow.MlflowClient().list_artifacts(newest.info.run_id)}


def assert_shows(found: dict[tuple[str, str], Decimal], figures: Sequence[tuple[str, str, str]]) -> None:
    cents = {key: str(total.quantize(Decimal("0.01"))) for key, total in found.items()}
    assert [(who, day, cents[who, day]) for who, day, _ in figures] == list(figures)


@pytest.mark.parametrize(
    ("request_", "law"),
    [
        (replace(BATCH, top=0), "top must be at least 1, but got 0"),
        (replace(BATCH, sink="parquet"), "sink=parquet goes with mode=stream"),
        (replace(LIVE, checkpoint=Path("c")), "checkpoint goes with sink=parquet"),
        (replace(LIVE, once=False), "once=false goes with sink=parquet"),
        (replace(BATCH, data="nowhere"), "found no such path: nowhere"),
        (replace(APPEND, data="nowhere", once=False), "found no such path: nowhere"),
    ],
)
def test_check_refuses_before_spark_starts(workplace: Path, request_: Request, law: str):
    with pytest.raises(InputError, match=law):
        check(request_)


def test_check_refuses_another_header(workplace: Path):
    Path("data").mkdir()
    Path("data/a.csv").write_text("a,b\n1,2\n")

    with pytest.raises(InputError, match="the header"):
        check(LIVE)


def test_check_lets_an_endless_stream_wait_in_an_empty_folder(workplace: Path):
    Path("data").mkdir()

    check(replace(APPEND, once=False))


def test_batch_writes_prints_and_logs_the_result(
    spark: SparkSession, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    write("a.csv", ("1.0", 1, "2.505", 2), ("", 1, "1.25", 4), ("1.0", 2, "3", -1), at=0)
    write("b.csv", ("1.0", 1, "1", 1), ("1.0", 1, "one", 1), at=1)

    run(spark, BATCH)

    assert totals() == {
        ("1.0", "2011-03-01"): Decimal("6.01"),
        ("", "2011-03-01"): 5,
        ("1.0", "2011-03-02"): -3,
    }
    assert written(spark)[1] == (1.0, date(2011, 3, 1), Decimal("6.010000"), 2)
    assert {
        "lines": 5.0,
        "lines_quarantined": 1.0,
        "customer_days": 3.0,
        "days": 2.0,
    }.items() <= metrics().items()
    assert {"top.csv", "top_customers.png", "spend_per_day.png"} <= artifacts()
    shown = capsys.readouterr().out.splitlines()
    assert shown[2].split() == ["1.0", "2011-03-01", "6.01", "2", "0"]
    assert shown[-1].startswith("purchases: 3 customer-days of 5 lines in 2 files, 1 quarantined")


def test_batch_replaces_an_earlier_result_and_leaves_nothing_else(spark: SparkSession, workplace: Path):
    write("a.csv", ("1.0", 1, "2", 2), at=0)
    run(spark, BATCH)
    write("a.csv", ("2.0", 1, "2", 3), at=0)
    run(spark, BATCH)

    assert totals() == {("2.0", "2011-03-01"): 6}
    assert sorted(path.name for path in Path("output").iterdir()) == ["purchases", "purchases.csv"]
    with pytest.raises(InputError, match="holds the purchases of a batch"):
        run(spark, APPEND)


def test_live_agrees_with_the_batch_and_logs_the_plan(
    spark: SparkSession, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    write("a.csv", ("1.0", 9, "2", 2), ("", 9, "1", 1), ("1.0", 9, "x", 1), at=0)
    write("b.csv", ("", 2, "5", 1), at=1)
    write("c.csv", ("1.0", 9, "1", 1), ("", 2, "0.001", 1), at=2)
    Path("data/notes.txt").write_text("not,an,invoice\n")

    run(spark, LIVE)

    found = {("", "2011-03-02"): Decimal("5.001"), ("", "2011-03-09"): 1, ("1.0", "2011-03-09"): 5}
    assert totals() == found
    assert metrics()["parity_differing"] == 0
    assert metrics()["lines_quarantined"] == 1
    assert {"physical_plan.txt", "parity.md"} <= artifacts()
    assert "StateStoreSave" in mlflow.artifacts.load_text(
        f"runs:/{mlflow.search_runs(search_all_experiments=True).run_id[0]}/physical_plan.txt"
    )
    assert (
        "0 of 3 customer-days differ from the batch; 6 lines in 3 files, 1 quarantined"
        in capsys.readouterr().out
    )


def test_live_table_is_queried_by_sql_as_in_the_notebook(spark: SparkSession, workplace: Path):
    write("a.csv", ("1.0", 9, "2", 2), ("", 9, "1", 1), at=0)
    session = line_stream.small_session(spark)

    query = start_live(session, "data", settings=Purchases(), checkpoint=workplace / "checkpoint")
    query.awaitTermination()

    assert query.name == QUERY_NAME == "customer_purchases"
    assert [tuple(row[:1]) for row in session.sql(TOP_SQL).collect()] == [(1.0,), (None,)]
    assert session.sql("SELECT sum(total_cost) FROM customer_purchases").collect()[0][0] == 5


def test_a_difference_is_logged_and_raised(workplace: Path):
    different = pytest.raises(DifferenceFoundError, match="1 of 7 customer-days differ")
    with different as raised, tracking.run("purchases"):
        report_parity(Parity(customer_days=7, differing=1, examples=[]), summary="of two files")
    assert raised.value.exit_code == 4
    assert metrics()["parity_differing"] == 1
    assert {"parity.md", "differences.csv"} <= artifacts()


def test_append_writes_closed_days_goes_on_where_it_stopped_and_counts_late_lines(
    spark: SparkSession, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    write("a.csv", ("1.0", 1, "2", 2), ("", 1, "1", 1), ("", 2, "1", 1), at=0)
    write("b.csv", ("1.0", 6, "3", 1), ("", 6, "?", 1), at=1)
    run(spark, APPEND)
    first = [(None, date(2011, 3, 1), Decimal(1), 1), (1.0, date(2011, 3, 1), Decimal(4), 1)]
    first += [(None, date(2011, 3, 2), Decimal(1), 1)]
    assert written(spark) == first
    assert (
        "1 (1 lines) kept back until their day closes, 0 lines late, 1 quarantined" in capsys.readouterr().out
    )

    # The watermark stands at the 4th, noon: lines of the 2nd and before are late, one of the 4th is not.
    # The file's own age, months older than the newest, makes no difference.
    write("c.csv", ("", 2, "7", 1), ("", 2, "7", 1), ("1.0", 1, "7", 1), ("", 4, "9", 1), at=-10_000_000)
    run(spark, APPEND)
    out = capsys.readouterr().out
    assert "3 lines late, of days closed before 2011-03-04 12:00" in out
    assert "0 of 5 customer-days differ from the batch" in out
    assert {"lines": 9.0, "lines_late": 3.0, "lines_kept_back": 2.0}.items() <= metrics().items()
    assert spark.read.parquet(str(Path("output/late").absolute())).count() == 3
    assert spark.read.parquet(str(Path("output/quarantine").absolute())).count() == 1

    write("d.csv", ("2.0", 20, "1", 1), at=3)
    run(spark, APPEND)
    run(spark, APPEND)
    closed = [(None, date(2011, 3, 4), Decimal(9), 1), (1.0, date(2011, 3, 6), Decimal(3), 1)]
    assert written(spark) == [*first, *closed]
    assert {"lines": 10.0, "lines_late": 3.0, "parity_differing": 0.0}.items() <= metrics().items()


def test_append_counts_lines_where_spark_counts_customer_days(spark: SparkSession, workplace: Path):
    write("a.csv", ("1.0", 9, "2", 2), at=0)
    write("b.csv", ("1.0", 9, "1", 1), at=1)
    write("c.csv", *[("1.0", 1, "1", 1)] * 5, ("2.0", 1, "1", 1), at=2)

    run(spark, APPEND)

    assert metrics()["lines_late"] == 6
    assert metrics()["parity_differing"] == 0


def test_an_output_and_a_checkpoint_of_two_streams_or_of_a_batch_are_refused(
    spark: SparkSession, workplace: Path
):
    write("a.csv", ("1.0", 1, "2", 2), at=0)
    run(spark, APPEND)
    with pytest.raises(InputError, match="must be of one stream"):
        run(spark, replace(APPEND, checkpoint=Path("elsewhere")))
    with pytest.raises(InputError, match="must be of one stream"):
        run(spark, replace(APPEND, output=Path("new"), checkpoint=Path("output/checkpoint")))
    with pytest.raises(InputError, match="must not be that of a stream"):
        run(spark, BATCH)


def test_append_killed_half_way_goes_on_and_loses_nothing(spark: SparkSession, workplace: Path):
    for day in range(1, 8):
        write(f"{day:02}.csv", ("1.0", day, "1.1", day), ("", day, "0.3", 1), at=day)
    kill_after(workplace, batches=2)
    assert 2 <= (line_stream.last_batch(Path("output/checkpoint")) or 0) < 7

    run(spark, replace(APPEND, settings=Purchases(max_files_per_trigger=10)))

    assert [row[1].day for row in written(spark)] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert {"lines": 14.0, "lines_late": 0.0, "parity_differing": 0.0}.items() <= metrics().items()


def kill_after(workplace: Path, *, batches: int) -> None:
    """Run the stream in a process group of its own, and kill -9 the group in the middle."""
    script = (
        "from pathlib import Path; from retail_clusters.purchases.job import purchases; "
        "from retail_clusters.settings import Purchases; "
        "purchases(data='data', mode='stream', top=3, output=Path('output'), sink='parquet', "
        "checkpoint=None, once=True, settings=Purchases())"
    )
    environment = os.environ | {"SPARK_MASTER": "local[2]"}
    process = subprocess.Popen([sys.executable, "-c", script], start_new_session=True, env=environment)
    last = workplace / "output" / "checkpoint" / "commits" / str(batches)
    try:
        while not last.exists():
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


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


@pytest.mark.real
def test_batch_and_stream_show_every_total_of_the_notebook_to_the_cent(
    spark: SparkSession, workplace: Path, real_data: Path
):
    request = replace(BATCH, data=str(real_data), output=Path("batch"))
    run(spark, request)
    many = Purchases(max_files_per_trigger=103)
    run(spark, replace(request, mode="stream", output=Path("live"), settings=many))

    for output in (Path("batch"), Path("live")):
        found = totals(output)
        assert len(found) == 19_573
        assert_shows(found, NOTEBOOK_BATCH)
        assert_shows(found, NOTEBOOK_STREAM)
        by_size = sorted(found, key=lambda key: -found[key])[:5]
        assert by_size == [(who, day) for who, day, _ in LARGEST]
        assert_shows(found, LARGEST)
    assert totals(Path("batch")) == totals(Path("live"))
    assert {
        "parity_differing": 0.0,
        "parity_customer_days": 19_573.0,
        "lines": 541_909.0,
    }.items() <= metrics().items()


@pytest.mark.real
def test_append_accounts_for_every_line_of_the_real_data(
    spark: SparkSession, workplace: Path, real_data: Path
):
    Path("data").mkdir()
    for at, file in enumerate(csv_files.find_files(str(real_data))):
        copy = shutil.copyfile(file, Path("data") / file.name)
        os.utime(copy, (1_700_000_000 + at,) * 2)

    run(spark, replace(APPEND, settings=Purchases(max_files_per_trigger=103)))

    found = metrics()
    assert {"lines": 541_909.0, "lines_late": 0.0, "parity_differing": 0.0}.items() <= found.items()
    assert (
        found["customer_days"] + found["customer_days_kept_back"] == found["parity_customer_days"] == 19_573
    )
