"""Segments over time: which dates are due, who moved and why; a snapshot follows from lines and version alone."""

import shutil
from datetime import date
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from retail_clusters.errors import InputError
from retail_clusters.question import Unit
from retail_clusters.registry.names import ClusterNames, read_names
from retail_clusters.serving.segments_table import write_table
from retail_clusters.serving.snapshot import affected, due_dates, regular_dates
from tests import scorers
from tests.scorers import HEADER, registry

CUSTOMERS = Unit(by=("CustomerID",), days=30)
DAYS = st.dictionaries(st.dates(date(2011, 1, 1), date(2011, 3, 1)).map(str), st.integers(50, 60), min_size=1)


@pytest.fixture(scope="module")
def store(spark: SparkSession, empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions of customers by spend and invoices: 1 has two clusters, at 1 and 50; 2 a third one between."""
    folder = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{shutil.copy(empty_store, folder / 'mlflow.db')}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("tests", (folder / "artifacts").as_uri()))
    scorers.register_customers(spark)
    scorers.register_customers(spark, k=3)
    names = ClusterNames({0: "small", 1: "large"}).tags
    registry.tag(version="1", tags=names)
    registry.set_alias(alias="champion", version="1")
    return folder / "mlflow.db"


@pytest.fixture
def place(store: Path, workplace: Path) -> Path:
    shutil.copy(store, workplace / "mlflow.db")
    mlflow.set_experiment("tests")
    return workplace


def put(place: Path, name: str, *bought: tuple[str, str, int]) -> None:
    """Let a file arrive with what customers spent on a day, each on as many invoices as pounds."""
    text = [
        f"{who}{day}{at},A,CUP,1,{day} 10:00:00,1,{who},UK"
        for who, day, spend in bought
        for at in range(spend)
    ]
    scorers.put(place / "in", name, "\n".join([HEADER, *text, ""]))


def written(place: Path, kind: str, as_of: str) -> pd.DataFrame:
    """Return the segments, or the moves, as of a date, by customer."""
    return pd.read_parquet(place / "output" / kind / f"as_of={as_of}").set_index("CustomerID")


def test_who_moved_since_when_and_by_which_feature(spark: SparkSession, place: Path) -> None:
    put(place, "1.csv", ("A", "2011-03-01", 2), ("B", "2011-03-01", 60), ("C", "2011-03-01", 1))
    scorers.drain(spark, place / "in")
    put(place, "2.csv", ("A", "2011-03-10", 3), ("B", "2011-03-10", 2))
    scorers.drain(spark, place / "in")
    put(place, "3.csv", ("A", "2011-04-05", 80), ("D", "2011-04-05", 1))
    summary = scorers.drain(spark, place / "in")
    moves = written(place, "moves", "2011-04-06")
    assert moves.loc["A", ["kind", "from", "from_name", "to", "to_name"]].tolist() == [
        "moved",
        0,
        "small",
        1,
        "large",
    ]
    assert moves.loc["A", ["since", "because"]].tolist() == [date(2011, 3, 2), "lines"]
    assert moves.loc["A", ["feature", "before", "after"]].tolist() == ["spend", "5.0", "83.0"]
    assert moves.loc["B", ["kind", "from", "to"]].tolist() == ["moved", 1, 0]
    assert moves.loc["C", ["kind", "from"]].tolist() == ["lapsed", 0]
    assert moves.loc["D", ["kind", "to"]].tolist() == ["new", 0]
    assert sorted(moves.index) == ["A", "B", "C", "D"]
    steps = scorers.points(summary.run_id, "moved_share")
    assert steps == {20110311: 0.0, 20110406: 1.0}
    assert scorers.points(summary.run_id, "segments/1")[20110406] == 1
    files = {file.path for file in mlflow.MlflowClient().list_artifacts(summary.run_id, "charts")}
    assert files == {"charts/moves.png", "charts/segments.png"}
    note = mlflow.get_run(summary.run_id).data.tags["mlflow.note.content"]
    assert "| 2011-04-06 |" in note.replace("  ", "")


def test_a_customer_in_the_middle_has_a_small_margin_and_the_distance_is_that_to_the_centre(
    spark: SparkSession, place: Path
) -> None:
    put(place, "1.csv", ("A", "2011-03-01", 1), ("B", "2011-03-01", 25), ("C", "2011-03-01", 50))
    scorers.drain(spark, place / "in")
    found = written(place, "segments", "2011-03-02")
    assert found["name"].tolist() == ["small", "small", "large"]
    assert found["distance"].tolist() == [0, pytest.approx(24 * 2**0.5), 0]
    assert found["margin"].tolist() == [1, pytest.approx(1 / 49), 1]


@pytest.mark.soak
def test_snapshots_out_of_order_or_anew_leave_no_stale_moves(spark: SparkSession, place: Path) -> None:
    put(place, "1.csv", ("A", "2011-03-01", 20), ("A", "2011-03-10", 60), ("A", "2011-05-01", 20))
    scorers.drain(spark, place / "in")
    scorers.drain(spark, place / "in", as_of=date(2011, 3, 5))
    assert written(place, "moves", "2011-05-02").empty  # in the first snapshot and the last: small
    scorers.drain(spark, place / "in", as_of=date(2011, 3, 12))
    assert written(place, "moves", "2011-03-12").loc["A", ["from", "to"]].tolist() == [0, 1]
    assert written(place, "moves", "2011-05-02").loc["A", ["from", "to"]].tolist() == [1, 0]
    assert written(place, "moves", "2011-05-02").loc["A", "since"] == date(2011, 3, 12)


def test_a_late_line_is_told_with_the_snapshots_that_lack_it(
    spark: SparkSession, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(place, "1.csv", ("A", "2011-03-01", 2), ("A", "2011-03-10", 2))
    scorers.drain(spark, place / "in")
    put(place, "2.csv", ("A", "2011-03-02", 60))
    scorers.drain(spark, place / "in", as_of=date(2011, 5, 1))
    said = capsys.readouterr().err
    assert "lines of 2011-03-02 came after the segments as of 2011-03-11 were written" in said
    assert "score --as-of 2011-03-11" in said
    scorers.drain(spark, place / "in", as_of=date(2011, 3, 11))
    assert written(place, "segments", "2011-03-11").loc["A", "segment"] == 1


@pytest.mark.soak
def test_what_moved_because_the_model_changed_is_told_apart(spark: SparkSession, place: Path) -> None:
    put(
        place,
        "1.csv",
        *(("A", "2011-03-01", 24), ("B", "2011-03-01", 2), ("C", "2011-03-01", 24)),
        ("D", "2011-03-01", 1),
    )
    scorers.drain(spark, place / "in")
    registry.set_alias(alias="champion", version="2")
    put(place, "2.csv", ("B", "2011-03-02", 60), ("C", "2011-03-02", 40))
    scorers.drain(spark, place / "in")
    moves = written(place, "moves", "2011-03-03")
    assert moves["because"].to_dict() == {"A": "model", "B": "lines", "C": "lines"}
    assert moves.loc["A", ["from", "from_name", "to", "to_name"]].tolist() == [0, "small", 1, "cluster 1"]
    assert pd.isna(moves.loc["A", "feature"])


def test_moves_without_a_unit_or_of_a_version_that_is_gone_do_not_stop_the_scorer(
    spark: SparkSession, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(place, "1.csv", ("A", "2011-03-01", 2))
    for end in (date(2012, 1, 1), date(2012, 2, 1)):
        scorers.drain(spark, place / "in", as_of=end)
    assert written(place, "moves", "2012-02-01").empty
    scorers.drain(spark, place / "in", as_of=date(2011, 3, 2))
    registry.set_alias(alias="champion", version="2")
    mlflow.MlflowClient().delete_model_version(registry.name, "1")
    scorers.drain(spark, place / "in", as_of=date(2011, 3, 3))
    assert "no moves from 2011-03-02 to 2011-03-03 for now" in capsys.readouterr().err
    assert written(place, "segments", "2011-03-03")["model_version"].tolist() == [2]


@pytest.mark.soak
def test_the_past_is_filled_in_and_a_date_asked_for_is_the_same(spark: SparkSession, place: Path) -> None:
    put(place, "1.csv", *(("A", f"2011-03-{day:02}", 2) for day in range(1, 30)), ("A", "2011-04-20", 2))
    scorers.drain(spark, place / "in", every=10)
    dates = sorted(folder.name for folder in (place / "output" / "segments").iterdir())
    assert dates == ["as_of=2011-03-31", "as_of=2011-04-10", "as_of=2011-04-20", "as_of=2011-04-21"]
    before = written(place, "segments", "2011-04-10")
    scorers.drain(spark, place / "in", as_of=date(2011, 4, 10))
    pd.testing.assert_frame_equal(written(place, "segments", "2011-04-10"), before)


def test_a_table_has_since_and_previous_and_keys_as_they_came(spark: SparkSession, place: Path) -> None:
    put(place, "1.csv", ("007", "2011-03-01", 2), ("B", "2011-03-01", 1))
    scorers.drain(spark, place / "in")
    put(place, "2.csv", ("007", "2011-03-02", 60))
    scorers.drain(spark, place / "in")
    out, moved = place / "out" / "now.csv", place / "moved.parquet"
    output = str(place / "output")
    write_table(spark, output, as_of=None, only_moves=False, output=str(out))
    table = pd.read_csv(out, dtype={"CustomerID": str}).set_index("CustomerID")
    assert table.loc["007", ["segment", "name", "since", "previous_name"]].tolist() == [
        1,
        "large",
        "2011-03-03",
        "small",
    ]
    assert table.loc["B", "since"] == "2011-03-02"
    assert pd.isna(table.loc["B", "previous"])
    write_table(spark, output, as_of=None, only_moves=True, output=str(moved))
    assert pd.read_parquet(moved)["CustomerID"].tolist() == ["007"]
    with pytest.raises(
        InputError, match="has segments of, but got 2010-01-01, and it has those as of 2011-03-02"
    ):
        write_table(spark, output, as_of=date(2010, 1, 1), only_moves=False, output=str(out))


def test_dates_of_segments_are_refused_without_a_unit_and_before_the_first_line(
    spark: SparkSession, place: Path
) -> None:
    put(place, "1.csv", ("A", "2011-03-01", 2))
    with pytest.raises(InputError, match="as_of must be after the first day with lines, 2011-03-01, but got"):
        scorers.drain(spark, place / "in", as_of=date(2011, 3, 1))
    scorers.register_models(spark, (3, "keep"))
    registry.set_alias(alias="champion", version="3")
    with pytest.raises(InputError, match="as_of and every are dates of segments, but version 3 scores lines"):
        scorers.drain(spark, place / "in", as_of=date(2011, 3, 2), output=str(place / "other"))


@given(days=DAYS, every=st.none() | st.integers(1, 20))
def test_complete_days_are_due_once_and_the_last_day_never_is(
    days: dict[str, int], every: int | None
) -> None:
    due = due_dates(days, unit=Unit(by=("InvoiceNo",)), written=[], every=every)
    assert len(due) <= 1
    assert all(str(end) <= max(days) for end in due)
    later = due_dates(days, unit=Unit(by=("InvoiceNo",)), written=[date(2011, 1, 1)], every=every)
    assert all(str(end) <= max(days) for end in later)
    assert not due or due[0] == later[-1] or due[0] == date(2011, 1, 1)
    assert not later or due_dates(days, unit=Unit(by=("InvoiceNo",)), written=later, every=every) == []


def test_a_wrong_date_in_the_future_completes_no_day() -> None:
    days = {"2011-01-01": 50, "2011-01-02": 50, "2111-01-01": 1}
    assert due_dates(days, unit=CUSTOMERS, written=[], every=None) == [date(2011, 1, 2)]


def test_regular_dates_have_whole_windows_and_do_not_depend_on_the_last_day() -> None:
    days = {"2011-01-01": 50, "2011-03-05": 50}
    assert regular_dates(days, unit=CUSTOMERS, every=20) == [date(2011, 1, 31), date(2011, 2, 20)]
    more = regular_dates(days | {"2011-03-12": 50}, unit=CUSTOMERS, every=20)
    assert more == [date(2011, 1, 31), date(2011, 2, 20), date(2011, 3, 12)]


def test_a_day_changes_the_snapshots_whose_window_has_it() -> None:
    dates = [date(2011, 1, 10), date(2011, 1, 20), date(2011, 2, 20)]
    assert affected(dates, {"2011-01-10": 1}, unit=CUSTOMERS) == [date(2011, 1, 20)]
    assert affected(dates, {"2011-01-10": 1}, unit=Unit(by=("InvoiceNo",))) == dates[1:]


def test_names_that_people_gave_go_along_with_the_numbers() -> None:
    described = ClusterNames({0: "low spend", 1: "high spend"})
    first = described.with_given({1: "Big spenders"})
    second = described.following(first)
    assert (second.name(0), second.name(1), second.origin(1)) == (
        "low spend",
        "Big spenders",
        "kept from the champion before",
    )
    third = ClusterNames({1: "high spend", 2: "recent"}).following(second)
    assert (third.name(1), third.name(2)) == ("Big spenders", "recent")
    renamed = third.with_given({1: "Best customers"})
    assert second.following(renamed, back=True).name(1) == "Best customers"
    own = described.with_given({1: "Mine"})
    assert own.following(first).name(1) == "Mine"
    assert ClusterNames.of(first.tags) == first


def test_a_version_of_before_has_no_names(place: Path) -> None:
    assert read_names(registry, "2").name(3) == "cluster 3"
