from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retail_clusters.serving import output as scored_output
from retail_clusters.serving.output import Draft


def fill(draft: Draft, text: str) -> None:
    folder = Path(draft.scored_folder)
    folder.mkdir()
    pq.write_table(pa.table({"InvoiceNo": [text]}), folder / "part.parquet")
    rows = [
        {"line": text, "reason": "r", "source_file": "f"},
        {"line": None, "reason": "r", "source_file": "g"},
    ]
    assert draft.write_unreadable_files(rows) == 1


def content(output: Path) -> dict[str, object]:
    return {
        str(file.relative_to(output)): pq.read_table(file, partitioning=None)[0].to_pylist()
        for file in sorted(output.rglob("*.parquet"))
    }


def test_a_replayed_batch_replaces_what_it_wrote_before(tmp_path: Path) -> None:
    scored_output.prepare_output(tmp_path)
    for text in ("first", "second"):
        with scored_output.draft(tmp_path, 7) as draft:
            fill(draft, text)
    assert content(tmp_path) == {
        "quarantine/batch_id=7/files.parquet": ["second", None],
        "scored/batch_id=7/part.parquet": ["second"],
    }
    assert not list((tmp_path / ".writing").iterdir())


def test_lines_are_counted_in_the_files_and_rows_without_a_line_are_not(tmp_path: Path) -> None:
    scored_output.prepare_output(tmp_path)
    with scored_output.draft(tmp_path, 0) as draft:
        fill(draft, "text")
        assert (draft.count_scored(), draft.count_quarantined()) == (1, 1)
        assert [table.to_pylist() for table in draft.read_scored(["InvoiceNo"])] == [[{"InvoiceNo": "text"}]]


def test_a_batch_that_fails_leaves_nothing(tmp_path: Path) -> None:
    scored_output.prepare_output(tmp_path)
    with pytest.raises(pytest.fail.Exception), scored_output.draft(tmp_path, 0) as draft:
        fill(draft, "text") or pytest.fail("as a batch does")
    assert content(tmp_path) == {}


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    leftover = tmp_path / ".writing" / "batch_id=3-x" / "scored"
    leftover.mkdir(parents=True)
    scored_output.prepare_output(tmp_path)
    assert not list((tmp_path / ".writing").iterdir())
