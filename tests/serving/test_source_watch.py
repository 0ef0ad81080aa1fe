import os
from pathlib import Path

from retail_clusters.infra import storage
from retail_clusters.infra.locations import to_uri
from retail_clusters.serving.known_files import InputFile, KnownFiles
from retail_clusters.serving.output import Output
from retail_clusters.serving.source_watch import ChangedFiles, look
from tests import scorers


def test_files_that_no_stream_brings_are_found(tmp_path: Path) -> None:
    scorers.put(tmp_path, "a.csv", "x")
    scorers.put(tmp_path / "deep", "empty.csv", "")
    (tmp_path / os.fsdecode(b"caf\xe9.csv")).write_text("x")
    seen = look(str(tmp_path), KnownFiles())
    assert [file.location.rsplit("/", 1)[1] for file in seen.unstreamed] == ["caf\udce9.csv", "empty.csv"]
    assert [file.location.rsplit("/", 1)[1] for file in seen.waiting] == ["a.csv"]
    assert seen.changed == seen.done == ()


def test_a_file_of_another_size_or_time_has_changed_since(tmp_path: Path) -> None:
    scored = [scorers.put(tmp_path, name, "x") for name in ("longer.csv", "same.csv", "touched.csv")]
    known = known_as(4, look_all(tmp_path))
    when = scored[0].stat().st_mtime_ns
    scorers.put(tmp_path, "longer.csv", "xx")
    os.utime(tmp_path / "touched.csv", (1, 1))
    os.utime(tmp_path / "longer.csv", ns=(0, when))
    seen = look(str(tmp_path), known)
    assert [file.location.rsplit("/", 1)[1] for file in seen.changed] == ["longer.csv", "touched.csv"]
    assert [file.location.rsplit("/", 1)[1] for file in seen.done] == ["same.csv"]


def test_a_changed_file_is_told_once_and_listed_until_it_is_scored_anew(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "output"))
    (tmp_path / "output").mkdir()
    scorers.put(tmp_path / "in", "a.csv", "x")
    (was,) = look_all(tmp_path / "in")
    scorers.put(tmp_path / "in", "a.csv", "corrected")
    (now,) = look_all(tmp_path / "in")
    known = known_as(3, [was])
    (told,) = ChangedFiles(output).update([now], known)
    assert (told.batch_id, told.scored, told.found) == (3, was, now)
    again = ChangedFiles(output)
    assert again.update([now], known) == []
    assert len(again) == 1
    assert again.update([], known) == []
    assert len(ChangedFiles(output)) == 0


def known_as(batch_id: int, files: list[InputFile]) -> KnownFiles:
    known = KnownFiles()
    known.learn(files, batch_id)
    return known


def look_all(folder: Path) -> list[InputFile]:
    return [
        InputFile(to_uri(file.location), file.length, file.modified_ms)
        for file in storage.list_files(str(folder), recursive=True)
    ]
