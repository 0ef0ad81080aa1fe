"""The source: each file once, and gone from it only as it was scored."""

import os
from pathlib import Path

from retail_clusters.data import listing
from retail_clusters.serving.source import InputFile, clean_source, files_of
from tests import scorers


def list_source(folder: str) -> list[InputFile]:
    return files_of(listing.find(f"file://{folder}"))


def names(folder: Path) -> list[str]:
    return [file.location.removeprefix(f"file://{folder}/") for file in list_source(str(folder))]


def test_files_are_listed_oldest_first_and_once_whatever_links_lead_to_them(tmp_path: Path) -> None:
    for name, modified in (("b.csv", 1), ("a.csv", 2), ("deep/empty.csv", 0)):
        made = scorers.put((tmp_path / name).parent, Path(name).name, "x" * modified)
        os.utime(made, (modified, modified))
    (tmp_path / "deep" / "above").symlink_to(tmp_path)
    for name in ("notes.txt", ".a.csv", "_a.csv"):
        scorers.put(tmp_path, name, "x")
    assert names(tmp_path) == ["deep/empty.csv", "b.csv", "a.csv"]


def test_files_are_moved_within_their_source_and_a_second_of_the_name_stands_beside(tmp_path: Path) -> None:
    for content in ("first", "second"):
        scorers.put(tmp_path / "deep", "a.csv", content)
        clean_source(list_source(str(tmp_path)), source=str(tmp_path), how="move", batch_id=7)
    kept = tmp_path / "_archive" / "deep"
    assert {file.name: file.read_text() for file in kept.iterdir()} == {"a.csv": "first", "a.csv.7": "second"}
    assert not list_source(str(tmp_path))


def test_files_are_deleted_or_left_and_one_that_changed_stays(tmp_path: Path) -> None:
    scorers.put(tmp_path, "a.csv", "scored")
    scored = list_source(str(tmp_path))
    clean_source(scored, source=str(tmp_path), how="off", batch_id=0)
    scorers.put(tmp_path, "a.csv", "delivered anew")
    clean_source(scored, source=str(tmp_path), how="delete", batch_id=0)
    assert names(tmp_path) == ["a.csv"]
    clean_source(list_source(str(tmp_path)), source=str(tmp_path), how="delete", batch_id=0)
    clean_source(scored, source=str(tmp_path), how="delete", batch_id=0)
    assert not list(tmp_path.iterdir())
