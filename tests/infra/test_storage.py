import gzip
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from retail_clusters.errors import InputError, StorageError
from retail_clusters.infra import locations, staging, storage
from retail_clusters.infra.locations import join
from tests.viewfs import as_default, in_session

ODD = ["a b", "c%20d", "e[1]", "f*", "i#j?", "é", "back\\slash", "{x}", "x=1"]


@pytest.fixture(params=["local", "viewfs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty folder, on this machine's disks and behind a scheme of Spark."""
    if request.param == "local":
        return str(tmp_path)
    return in_session(request.getfixturevalue("spark"), tmp_path)


@pytest.mark.parametrize("name", ODD)
def test_a_name_is_literal(place: str, name: str):
    file = join(place, name)
    storage.write_text(file, "1")
    assert storage.read_text(file) == "1"
    assert [found.location for found in storage.list_files(place)] == [file]
    assert storage.expand(file) == [file]
    storage.remove(file)
    assert not storage.exists(file)


@pytest.mark.parametrize("name", ODD)
def test_spark_reads_and_names_a_file_by_its_location(spark: SparkSession, place: str, name: str):
    file = join(place, name)
    storage.write_text(file, "1\n")
    read = spark.read.text(locations.literal(file)).selectExpr("value", "_metadata.file_path").collect()
    assert [row.value for row in read] == ["1"]
    assert locations.quoted(file) == read[0].file_path
    assert locations.to_uri(locations.from_quoted(read[0].file_path)) == locations.to_uri(file)


def test_a_written_file_replaces_the_earlier_one_and_leaves_nothing_else(place: str):
    file = join(place, "record.json")
    for text in ("first", "séc\nond"):
        storage.write_text(file, text)
        assert storage.find_text(file) == text
    assert storage.find_text(join(place, "none")) is None
    assert [found.length for found in storage.list_files(place)] == [8]
    storage.remove_drafts(place)
    assert storage.exists(file)


def test_a_block_that_fails_leaves_the_earlier_file(place: str):
    file = join(place, "x")
    storage.write_text(file, "old")
    with pytest.raises(TypeError), storage.open_write(file) as stream:
        stream.writelines([b"half", "no bytes"])  # type: ignore[list-item]
    assert storage.read_text(file) == "old"
    assert len(storage.list_files(place)) == 1


def test_a_listing_is_sorted_and_has_no_hidden_names(place: str):
    for name in ("b/2.csv", "b/1.csv.gz", "a.csv", "_hidden.csv", ".hidden.csv", "_h/x.csv", "note.txt"):
        file = join(place, name)
        storage.make_folder(locations.parent(file))
        storage.write_text(file, name)
    found = storage.list_files(place, recursive=True, suffixes=(".csv", ".csv.gz"))
    assert [file.location for file in found] == [join(place, n) for n in ("a.csv", "b/1.csv.gz", "b/2.csv")]
    assert [file.length for file in found] == [5, 10, 7]
    assert storage.status(join(place, "a.csv")) == found[0]
    assert [file.location for file in storage.list_files(place)] == [
        join(place, n) for n in ("a.csv", "note.txt")
    ]
    assert storage.list_folders(place) == [join(place, n) for n in ("_h", "b")]


def test_an_empty_folder_lists_nothing(place: str):
    assert storage.list_files(place) == []
    assert storage.list_folders(place) == []


def test_a_pattern_is_expanded_where_asked_and_a_name_wins(place: str):
    for name in ("e[1].csv", "e1.csv", "e2.csv"):
        storage.write_text(join(place, name), name)
    assert storage.expand(join(place, "e[1].csv")) == [join(place, "e[1].csv")]
    assert storage.expand(join(place, "e?.csv")) == [join(place, "e1.csv"), join(place, "e2.csv")]
    assert storage.expand(join(place, "none*")) == []


def test_bytes_are_read_from_an_offset_and_streams_unpack(place: str):
    file = join(place, "x.gz")
    content = bytes(range(256)) * 9000
    storage.write_bytes(file, gzip.compress(content))
    with storage.open_read(file) as packed, gzip.open(packed) as stream:
        assert stream.read() == content
    storage.write_bytes(file, content)
    assert storage.read_bytes(file, offset=250, limit=8) == content[250:258]
    assert storage.read_bytes(file) == content


def test_a_file_is_created_once(place: str):
    file = join(place, "x")
    assert storage.create_exclusive(file, "mine")
    assert not storage.create_exclusive(file, "yours")
    assert storage.read_text(file) == "mine"


def test_a_rename_needs_a_free_place(place: str):
    for name in ("a", "b"):
        storage.make_folder(join(place, name))
        storage.write_text(join(place, name, "x"), name)
    with pytest.raises(InputError, match="a location must be"):
        storage.rename(join(place, "a"), join(place, "b"))
    storage.rename(join(place, "a"), join(place, "c"))
    assert storage.read_text(join(place, "c", "x")) == "a"
    assert not storage.exists(join(place, "a"))


def test_a_touched_file_is_there_and_keeps_its_content(place: str):
    file = join(place, "x")
    storage.touch(file)
    storage.write_text(file, "1")
    before = storage.status(file)
    storage.touch(file)
    after = storage.status(file)
    assert before
    assert after
    assert after.modified_ms >= before.modified_ms
    assert storage.read_text(file) == "1"


def test_a_missing_folder_is_refused_in_one_line(place: str):
    missing = join(place, "none")
    with pytest.raises(InputError, match="none gave") as refused:
        storage.list_files(missing)
    assert len(str(refused.value).splitlines()) == 1
    storage.remove(missing)


def test_a_folder_below_a_file_is_refused(place: str):
    storage.write_text(join(place, "x"), "")
    with pytest.raises(InputError, match="a location must be"):
        storage.make_folder(join(place, "x", "y"))


def test_a_staged_folder_replaces_the_earlier_one(place: str):
    table = join(place, "table")
    for text in ("first", "second"):
        with staging.staged_folder(table) as staged:
            storage.write_text(join(staged, text), text)
        assert [file.location for file in storage.list_files(table)] == [join(table, text)]
    with pytest.raises(ZeroDivisionError), staging.staged_folder(table) as staged:
        _ = 1 / 0
    assert storage.list_folders(place) == [table]


def test_a_folder_that_a_killed_publication_moved_aside_comes_back(place: str):
    table = join(place, "table")
    storage.make_folder(table)
    storage.rename(table, join(place, ".table.replaced"))
    staging.recover_folder(table)
    assert storage.list_folders(place) == [table]
    storage.make_folder(join(place, ".table.replaced"))
    staging.recover_folder(table)
    assert storage.list_folders(place) == [table]


def test_relative_paths_are_local_whatever_the_default_file_system(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, default_viewfs: None
):
    monkeypatch.chdir(tmp_path)
    storage.write_text("x.txt", "here\n")
    assert (tmp_path / "x.txt").read_text() == "here\n"
    assert spark.read.text(locations.literal("x.txt")).first()[0] == "here"  # type: ignore[index]


@pytest.fixture
def default_viewfs(spark: SparkSession, tmp_path: Path) -> Iterator[None]:
    with as_default(spark, tmp_path):
        yield


@pytest.mark.parametrize(
    "location", ["nothing://b/x", "s3a://b/x", "viewfs://unknown/x", "file://far/x", " "]
)
def test_a_store_that_spark_does_not_know_is_refused_in_one_line(spark: SparkSession, location: str):
    with pytest.raises((InputError, StorageError)) as refused:
        storage.check(location)
    assert len(str(refused.value).splitlines()) == 1


def test_a_refusal_shows_no_password(spark: SparkSession):
    with pytest.raises(InputError) as refused:
        storage.check("nothing://me:secret@b/x")
    assert "secret" not in str(refused.value)


def test_a_link_to_a_folder_above_multiplies_nothing(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.csv").touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "lost").symlink_to("nowhere")
    (tmp_path / "ring").symlink_to("ring")
    found = storage.list_files(str(tmp_path), recursive=True)
    assert [file.location for file in found] == [f"{tmp_path}/a/x.csv"]


def test_a_name_that_is_not_utf8_is_listed_and_read(tmp_path: Path):
    os.close(os.open(os.fsencode(tmp_path) + b"/bad\xff.csv", os.O_CREAT))
    [file] = storage.list_files(str(tmp_path))
    assert not locations.is_utf8(file.location)
    assert storage.read_bytes(file.location) == b""


KILLED = textwrap.dedent("""
    import os, signal, sys
    from retail_clusters.infra import storage
    from retail_clusters.infra._local_files import LocalFiles
    LocalFiles.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    storage.write_text(sys.argv[1], "new")
""")


def test_a_writer_killed_before_its_rename_leaves_the_old_content(tmp_path: Path):
    file = tmp_path / "x"
    file.write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False)
    assert done.returncode == -9
    assert file.read_text() == "old"
    assert [found.location for found in storage.list_files(str(tmp_path))] == [str(file)]
    storage.remove_drafts(str(tmp_path))
    assert list(tmp_path.iterdir()) == [file]


def test_local_files_need_no_spark(tmp_path: Path):
    script = (
        "import sys; from retail_clusters.infra import storage; storage.write_text(sys.argv[1], 'x'); "
        "sys.exit('pyspark' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script, tmp_path / "x"], check=False).returncode == 0


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the disks are asked for, in order: a sync of a file or folder by its name, and each rename."""
    found: list[str] = []
    sync, replace, rename = os.fsync, Path.replace, Path.rename

    def synced(descriptor: int) -> None:
        found.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        sync(descriptor)

    def moved(move: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def do(draft: Path, place: Path) -> Path:
            found.append(f"rename {draft.name} {place.name}")
            return move(draft, place)

        return do

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", moved(replace))
    monkeypatch.setattr(Path, "rename", moved(rename))
    return found


def test_a_file_is_on_the_disk_before_it_has_its_name_and_then_its_name_is(tmp_path: Path, steps: list[str]):
    """Defect 29: after a power loss a record could outlive what it is about."""
    (tmp_path / "to").mkdir()
    storage.write_text(str(tmp_path / "to" / "record.json"), "1")

    (content, rename, name) = steps
    draft = content.removeprefix("sync ")
    assert (rename, name) == (f"rename {draft} record.json", "sync to")


def test_a_folder_and_all_in_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, steps: list[str]):
    (tmp_path / "to").mkdir()
    with staging.staged_folder(str(tmp_path / "to" / "batch_id=1")) as staged:
        Path(staged, "part.parquet").write_text("lines")

    draft = locations.name(staged)
    assert steps == ["sync part.parquet", f"sync {draft}", f"rename {draft} batch_id=1", "sync to"]


def test_a_file_that_is_created_once_is_on_the_disk_before_anyone_sees_it(tmp_path: Path, steps: list[str]):
    assert storage.create_exclusive(str(tmp_path / "lock"), "mine")
    assert [step.partition(" ")[0] for step in steps] == ["sync", "sync"]
    assert steps[0].startswith("sync .writing-")
    assert steps[1] == f"sync {tmp_path.name}"
