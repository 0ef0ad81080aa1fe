"""The book of batches: what makes a batch done, and which checkpoints do not belong to it."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from retail_clusters.errors import InputError
from retail_clusters.serving.known_files import InputFile
from retail_clusters.serving.output import Output
from retail_clusters.serving.records import RECENT, CommitLog, Record, read_record

COUNTS = {
    "clusters": [2, 1, 0],
    "price": [1, 2],
    "quantity": [3],
    "weekday": [0, 0, 0, 3, 0, 0, 0],
    "days": [7],
}


def file(name: str) -> InputFile:
    return InputFile(f"file:///in/{name}", 5, 1)


def record(
    number: int, *, stream_batch: int | None = None, files: Sequence[str] = (), **changes: object
) -> Record:
    facts = {
        "batch_id": number,
        "query_id": "query",
        "stream_batch": stream_batch,
        "timestamp": 1,
        "model_version": "1",
        "files": tuple(file(name) for name in files),
        "rows_in": 5,
        "rows_scored": 4,
        "rows_quarantined": 1,
        "metrics": {"rows_in": 5.0},
    }
    return Record(**facts | changes)  # type: ignore[arg-type]


def book(place: Path, *records: Record) -> CommitLog:
    (place / "commits").mkdir(exist_ok=True)
    made = CommitLog.load(Output(str(place)))
    for each in records:
        made.append(each)
    return CommitLog.load(Output(str(place)))


def test_a_record_outlives_the_process(tmp_path: Path) -> None:
    kept = record(0, stream_batch=0, files=["a.csv"], replaces=((3, "file:/in/a.csv"),), counts=COUNTS)
    again = book(tmp_path, kept)
    assert read_record(Output(str(tmp_path)), 0) == kept
    assert again.recent == {0: kept.metrics}
    assert again.known.find("file:///in/a.csv") == (file("a.csv"), 0)


def test_a_batch_is_done_once_it_is_recorded_with_its_files(tmp_path: Path) -> None:
    done = book(tmp_path, record(0, stream_batch=0, files=["a.csv", "b.csv"]))
    assert done.holds(0, query_id="query", files=[file("a.csv"), file("b.csv")])
    assert done.holds(0, query_id="query", files=[file("b.csv")])  # the other one has been archived since
    assert not done.holds(1, query_id="query", files=[file("c.csv")])


def test_a_file_of_an_earlier_batch_that_the_stream_brings_again_is_no_other_file(tmp_path: Path) -> None:
    done = book(
        tmp_path, record(0, stream_batch=0, files=["a.csv"]), record(1, stream_batch=1, files=["b.csv"])
    )
    assert done.holds(1, query_id="query", files=[file("a.csv"), file("b.csv")])
    with pytest.raises(InputError, match=r"batch 0 had file:///in/a.csv, not file:///in/b.csv"):
        done.holds(0, query_id="query", files=[file("a.csv"), file("b.csv")])


def test_other_files_or_another_query_under_a_recorded_number_are_refused(tmp_path: Path) -> None:
    done = book(tmp_path, record(0, stream_batch=0, files=["a.csv"]))
    with pytest.raises(InputError, match=r"batch 0 had file:///in/a.csv, not file:///in/new.csv"):
        done.holds(0, query_id="query", files=[file("new.csv")])
    with pytest.raises(InputError, match="must belong together"):
        done.holds(0, query_id="another", files=[file("a.csv")])


def test_batches_that_are_missing_before_the_one_under_way_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ends with batch 0, and the checkpoint goes on with 2"):
        book(tmp_path, record(0, stream_batch=0)).holds(2, query_id="query", files=[])


@pytest.mark.parametrize("last_batch", [1, 2])
def test_a_checkpoint_that_has_committed_what_is_recorded_or_all_but_the_last_is_taken(
    tmp_path: Path, last_batch: int
) -> None:
    recorded = book(tmp_path, *(record(number, stream_batch=number) for number in range(3)))
    recorded.check_stream("query", last_batch=last_batch)


@pytest.mark.parametrize(
    ("query_id", "last_batch"), [(None, None), ("another", 2), ("query", 0), ("query", None), ("query", 3)]
)
def test_a_checkpoint_that_is_gone_another_older_or_newer_is_refused(
    tmp_path: Path, query_id: str | None, last_batch: int | None
) -> None:
    recorded = book(tmp_path, *(record(number, stream_batch=number) for number in range(3)))
    with pytest.raises(InputError, match="must belong together"):
        recorded.check_stream(query_id, last_batch=last_batch)


def test_a_fresh_output_takes_a_fresh_checkpoint_only(tmp_path: Path) -> None:
    fresh = book(tmp_path)
    fresh.check_stream(None, last_batch=None)
    fresh.check_stream("killed in its first batch", last_batch=None)
    with pytest.raises(InputError, match="must belong together"):
        fresh.check_stream("query", last_batch=0)


def test_batches_that_no_stream_knows_take_numbers_between(tmp_path: Path) -> None:
    recorded = book(tmp_path, record(0, stream_batch=0), record(1), record(2), record(3, stream_batch=1))
    assert [recorded.number_of(each) for each in range(4)] == [0, 3, 4, 5]
    recorded.check_stream("query", last_batch=1)
    assert recorded.holds(1, query_id="query", files=[])
    assert not recorded.holds(2, query_id="query", files=[])


def test_lines_above_the_last_record_are_refused(tmp_path: Path) -> None:
    (tmp_path / "scored" / "batch_id=7").mkdir(parents=True)
    with pytest.raises(InputError, match="has lines of batch 7 and records up to -1"):
        book(tmp_path)


def test_a_missing_record_is_named(tmp_path: Path) -> None:
    book(tmp_path, *(record(number, stream_batch=number) for number in range(3)))
    (tmp_path / "commits" / "1.json").unlink()
    with pytest.raises(InputError, match=r"lacks 1\.json: bring it back"):
        book(tmp_path)


def test_memory_holds_the_recent_figures_only(tmp_path: Path) -> None:
    made = CommitLog(Output(str(tmp_path)))
    for number in range(1_005):
        made._learn(record(number, stream_batch=number))
    assert len(made.recent) == 1_000
    assert min(made.recent) == 5


def test_batches_of_one_day_are_one_part_of_what_drift_is_measured_from(tmp_path: Path) -> None:
    """Defect 12: with small batches the window never held its lines."""
    small = [record(number, stream_batch=number, counts=COUNTS) for number in range(RECENT + 5)]
    made = CommitLog.load(Output(str(tmp_path)))
    for each in small:
        made._learn(each)
    (day,) = made.scored_days.newest_first("1")
    assert day.lines == 3 * (RECENT + 5)


def test_only_what_the_same_version_scored_is_what_drift_is_measured_from(tmp_path: Path) -> None:
    other_day = COUNTS | {"days": [8]}
    done = book(
        tmp_path,
        record(0, stream_batch=0, counts=COUNTS),
        record(1, stream_batch=1, counts=COUNTS, model_version="2"),
        record(2, stream_batch=2, counts=other_day),
    )
    assert [counts.days for counts in done.scored_days.newest_first("1")] == [(8,), (7,)]
    assert [counts.lines for counts in done.scored_days.newest_first("2")] == [3]
