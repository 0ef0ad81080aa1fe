from pathlib import Path

from retail_clusters.serving.archive import clean_source
from tests import scorers
from tests.serving.test_source_watch import look_all


def test_files_are_moved_within_their_source_and_a_second_of_the_name_stands_beside(tmp_path: Path) -> None:
    for content in ("first", "second"):
        scorers.put(tmp_path / "deep", "a.csv", content)
        clean_source(look_all(tmp_path), source=str(tmp_path), how="move", batch_id=7)
    kept = tmp_path / "_archive" / "deep"
    assert {file.name: file.read_text() for file in kept.iterdir()} == {"a.csv": "first", "a.csv.7": "second"}
    assert not look_all(tmp_path)


def test_a_file_that_changed_since_it_was_scored_stays(tmp_path: Path) -> None:
    scorers.put(tmp_path, "a.csv", "scored")
    scored = look_all(tmp_path)
    scorers.put(tmp_path, "a.csv", "delivered anew")
    clean_source(scored, source=str(tmp_path), how="delete", batch_id=0)
    assert (tmp_path / "a.csv").read_text() == "delivered anew"


def test_files_are_deleted_or_left(tmp_path: Path) -> None:
    scorers.put(tmp_path, "a.csv", "x")
    clean_source(look_all(tmp_path), source=str(tmp_path), how="off", batch_id=0)
    assert (tmp_path / "a.csv").exists()
    clean_source(look_all(tmp_path), source=str(tmp_path), how="delete", batch_id=0)
    clean_source([], source=str(tmp_path), how="delete", batch_id=0)
    assert not list(tmp_path.iterdir())
