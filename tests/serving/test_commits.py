"""The commit log: what makes a batch done, for every reader and every scorer."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from retail_clusters.errors import InputError
from retail_clusters.serving.commits import RECENT, BatchTakenError, CommitLog, Record, read_record
from retail_clusters.serving.source import InputFile


def file(name: str, *, length: int = 5) -> InputFile:
    return InputFile(f"file:///in/{name}", length, 1)


WRITTEN = {"scored": ["a.parquet"], "quarantine": list[str]()}


def record(
    number: int,
    *,
    files: Sequence[InputFile] = (),
    day: int = 7,
    version: str = "1",
    written: dict[str, list[str]] = WRITTEN,
) -> Record:
    return Record(
        batch_id=number,
        timestamp=1,
        model_version=version,
        files=tuple(files),
        rows_in=5,
        rows_scored=4,
        rows_quarantined=1,
        metrics={"rows_in": 5.0},
        counts={"bins": {"price": [1, 2]}, "days": {str(day): 3}},
        replaces=((3, "file:/in/a.csv"),),
        written=written,
    )


@pytest.fixture
def output(tmp_path: Path) -> str:
    (tmp_path / "commits").mkdir()
    return str(tmp_path)


def log(output: str, *records: Record) -> CommitLog:
    made = CommitLog.load(output)
    for each in records:
        made.append(each)
    return CommitLog.load(output)


def test_an_output_of_an_earlier_release_is_refused_with_the_way_on(output: str) -> None:
    log(output, record(0))
    kept = Path(output, "commits", "0.json")
    kept.write_text(
        json.dumps({key: value for key, value in json.loads(kept.read_text()).items() if key != "written"})
    )
    with pytest.raises(InputError, match="name a new output"):
        CommitLog.load(output)


def test_a_record_and_what_it_knows_of_its_files_outlive_the_process(output: str) -> None:
    kept = record(0, files=[file("a.csv"), file("empty.csv", length=0)])
    again = log(output, kept)
    assert json.loads(json.dumps(asdict(read_record(output, 0)))) == json.loads(json.dumps(asdict(kept)))
    assert again.last == 0
    assert again.known["file:///in/a.csv"] == (5, 1, 0)
    assert again.has_scored(file("a.csv"))
    assert again.has_scored(file("a.csv", length=6))
    assert again.has_scored(file("empty.csv", length=0))
    assert not again.has_scored(file("empty.csv"))
    assert not again.has_scored(file("b.csv"))


def test_of_two_logs_the_first_to_create_a_record_wins_and_the_other_is_told(output: str) -> None:
    one, other = CommitLog.load(output), CommitLog.load(output)
    one.append(record(0, files=[file("a.csv")]))
    with pytest.raises(BatchTakenError, match=r"another scorer wrote batch 0 of .* first"):
        other.append(record(0, files=[file("b.csv")]))
    assert (other.last, CommitLog.load(output).known) == (-1, {"file:///in/a.csv": (5, 1, 0)})


def test_a_store_that_refuses_the_retry_of_its_own_success_has_taken_the_record(output: str) -> None:
    mine = CommitLog.load(output)
    (Path(output) / "commits" / "0.json").write_text(json.dumps(asdict(record(0))))
    mine.append(record(0))
    assert mine.last == 0


def test_batches_of_one_day_are_one_part_of_drift(
    output: str,
) -> None:
    """Defect 12: with small batches the window of drift never held its lines."""
    made = CommitLog(output)
    for number in range(RECENT + 5):
        made.append(record(number))
    (day,) = made.newest_counts("1")
    assert day.lines == 3 * (RECENT + 5)


def test_drift_is_measured_on_what_the_same_version_scored_the_newest_first(output: str) -> None:
    made = log(output, record(0), record(1, version="2"), record(2, day=8))
    assert [list(counts.days) for counts in made.newest_counts("1")] == [[8], [7]]
    assert [counts.lines for counts in made.newest_counts("2")] == [3]
