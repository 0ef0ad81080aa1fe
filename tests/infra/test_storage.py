"""Files and folders, on this machine's disks and behind a scheme of Spark alike."""

import gzip
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from retail_clusters.errors import InputError, RetailClustersError
from retail_clusters.infra import locations, storage
from retail_clusters.infra.locations import join
from tests.viewfs import as_default, in_session

ODD = ["a b", "c%20d", "e[1]", "f*", "i#j?", "é", "back\\slash", "{x}", "x=1"]


@pytest.fixture(params=["local", "viewfs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty folder, on this machine's disks and behind a scheme of Spark."""
    if request.param == "local":
        return str(tmp_path)
    return in_session(request.getfixturevalue("spark"), tmp_path)


def write(place: str, *names: str) -> None:
    """Write files that hold their own names, in folders that are made for them."""
    for name in names:
        storage.make_folder(locations.parent(join(place, name)))
        storage.write_text(join(place, name), name)


def names_in(folder: str) -> list[str]:
    return [locations.name(file.location) for file in storage.list_files(folder)]


@pytest.mark.parametrize("name", ODD)
def test_a_name_is_literal_and_is_what_spark_reads_and_names(spark: SparkSession, place: str, name: str):
    file = join(place, name)
    write(place, name)
    assert storage.read_text(file) == name
    assert [found.location for found in storage.list_files(place)] == storage.expand(file) == [file]
    (read,) = spark.read.text(locations.literal(file)).selectExpr("value", "_metadata.file_path").collect()
    assert read.value == name
    assert locations.quoted(file) == read.file_path
    storage.remove(file)
    assert not storage.exists(file)


def test_a_written_file_replaces_the_earlier_one_and_leaves_nothing_else(place: str):
    file = join(place, "record.json")
    for text in ("first", "séc\nond"):
        storage.write_text(file, text)
        assert storage.find_text(file) == text
    assert storage.find_text(join(place, "none")) is None
    assert [found.length for found in storage.list_files(place)] == [8]


def test_a_block_that_fails_leaves_the_earlier_file(place: str, tmp_path: Path):
    write(place, "x")
    with pytest.raises(TypeError), storage.open_write(join(place, "x")) as stream:
        stream.writelines([b"half", "no bytes"])  # type: ignore[list-item]
    assert storage.read_text(join(place, "x")) == "x"
    assert [file.name for file in tmp_path.iterdir() if file.suffix != ".crc"] == ["x"]


def test_a_file_is_read_whole_in_pieces_and_unpacked(place: str):
    file = join(place, "x.gz")
    content = bytes(range(256)) * 9000
    storage.write_bytes(file, gzip.compress(content))
    with storage.open_read(file) as packed, gzip.open(packed) as stream:
        assert stream.read() == content
    storage.write_bytes(file, content)
    assert storage.read_bytes(file) == content
    with storage.open_read(file) as stream:
        assert stream.seek(-3, os.SEEK_END) == len(content) - 3
        assert stream.read() == content[-3:]
        assert stream.seek(250) == 250
        assert stream.read(8) == content[250:258]


def test_a_listing_is_sorted_and_has_no_hidden_names(place: str):
    write(place, "b/2.csv", "b/1.csv.gz", "a.csv", "_hidden.csv", ".hidden.csv", "_h/x.csv", "note.txt")
    found = storage.list_files(place, recursive=True, suffixes=(".csv", ".csv.gz"))
    assert [file.location for file in found] == [join(place, n) for n in ("a.csv", "b/1.csv.gz", "b/2.csv")]
    assert [file.length for file in found] == [5, 10, 7]
    assert storage.status(join(place, "a.csv")) == found[0]
    assert names_in(place) == ["a.csv", "note.txt"]
    assert storage.list_folders(place) == [join(place, n) for n in ("_h", "b")]
    assert storage.list_files(join(place, "_h"), suffixes=(".txt",)) == []
    assert storage.total_length(join(place, "[ab]*")) == 5 + 10 + 7


def test_a_pattern_is_expanded_where_asked_and_a_name_wins(place: str):
    write(place, "e[1].csv", "e1.csv", "e2.csv")
    assert storage.expand(join(place, "e[1].csv")) == [join(place, "e[1].csv")]
    assert storage.expand(join(place, "e?.csv")) == [join(place, "e1.csv"), join(place, "e2.csv")]
    assert storage.expand(join(place, "none*")) == []


def test_a_file_is_created_once(place: str):
    file = join(place, "x")
    assert storage.create_exclusive(file, "mine")
    assert not storage.create_exclusive(file, "yours")
    assert storage.read_text(file) == "mine"


def create(file: str, who: int) -> bool:
    return storage.create_exclusive(file, str(who) * 100_000)


def test_of_processes_that_create_a_file_at_once_one_does_and_it_is_whole(tmp_path: Path):
    file = str(tmp_path / "x")
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        created = pool.starmap(create, [(file, who) for who in range(8)])
    assert created.count(True) == 1
    assert storage.read_text(file) == str(created.index(True)) * 100_000


def test_a_rename_needs_a_free_place(place: str):
    write(place, "a/x", "b/x")
    with pytest.raises(InputError, match="a location must be"):
        storage.rename(join(place, "a"), join(place, "b"))
    storage.rename(join(place, "a"), join(place, "c"))
    assert storage.read_text(join(place, "c/x")) == "a/x"
    assert not storage.exists(join(place, "a"))


def test_a_missing_folder_is_refused_in_one_line_and_may_be_removed(place: str):
    missing = join(place, "none")
    with pytest.raises(InputError, match="none gave") as refused:
        storage.list_files(missing)
    assert len(str(refused.value).splitlines()) == 1
    storage.remove(missing)


def test_what_is_below_a_file_is_refused(place: str):
    write(place, "x")
    with pytest.raises(InputError, match="a location must be"):
        storage.make_folder(join(place, "x", "y"))
    with pytest.raises(InputError, match="a location must be"):
        storage.write_text(join(place, "x", "y"), "")
    assert not storage.exists(join(place, "x", "y"))


def test_a_staged_folder_replaces_the_earlier_one_or_leaves_it(place: str):
    table = join(place, "table")
    for text in ("first", "second"):
        with storage.staged_folder(table) as staged:
            storage.write_text(join(staged, text), text)
        assert names_in(table) == [text]
    with pytest.raises(ZeroDivisionError), storage.staged_folder(table) as staged:
        _ = 1 / 0
    assert names_in(table) == ["second"]
    assert storage.list_folders(place) == [table]


def test_a_new_folder_may_be_empty_but_not_hold_anything(place: str):
    output = join(place, "new")
    storage.make_folder(output)
    with storage.new_folder(output) as folder:
        write(folder, "x")
    assert names_in(output) == ["x"]
    with pytest.raises(InputError, match="must be new or empty"), storage.new_folder(output):
        pass
    with pytest.raises(InputError, match="must be new or empty"), storage.new_folder(join(output, "x")):
        pass


@pytest.fixture
def default_viewfs(spark: SparkSession, tmp_path: Path) -> Iterator[None]:
    with as_default(spark, tmp_path):
        yield


def test_relative_paths_are_local_whatever_the_default_file_system(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, default_viewfs: None
):
    monkeypatch.chdir(tmp_path)
    storage.write_text("x.txt", "here\n")
    assert (tmp_path / "x.txt").read_text() == "here\n"
    assert spark.read.text(locations.literal("x.txt")).first()[0] == "here"  # type: ignore[index]


@pytest.mark.parametrize("location", ["nothing://me:secret@b/x", "s3a://b/x", "viewfs://unknown/x", " "])
def test_a_store_that_spark_does_not_know_is_refused_in_one_line(spark: SparkSession, location: str):
    with pytest.raises(InputError) as refused:
        storage.check(location)
    assert len(str(refused.value).splitlines()) == 1
    assert "secret" not in str(refused.value)


def test_a_link_to_a_folder_above_multiplies_nothing(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.csv").touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "lost").symlink_to("nowhere")
    (tmp_path / "ring").symlink_to("ring")
    found = storage.list_files(str(tmp_path), recursive=True)
    assert [file.location for file in found] == [f"{tmp_path}/a/x.csv"]


def test_a_removed_link_leaves_what_it_leads_to(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    storage.remove(str(tmp_path / "link"))
    assert [*tmp_path.iterdir()] == [tmp_path / "real"]


def test_a_name_that_is_not_utf8_is_listed_and_read(tmp_path: Path):
    os.close(os.open(os.fsencode(tmp_path) + b"/bad\xff.csv", os.O_CREAT))
    [file] = storage.list_files(str(tmp_path))
    assert not locations.is_utf8(file.location)
    assert storage.read_bytes(file.location) == b""


@pytest.mark.parametrize(
    "writing",
    [
        "storage.open_write(place) as stream: stream.write(b'half') and stream.flush()",
        "storage.staged_folder(place) as folder: storage.write_text(folder + '/x', 'half')",
    ],
)
def test_a_killed_writer_leaves_what_was_there_and_a_draft_that_goes(tmp_path: Path, writing: str):
    place = tmp_path / "x"
    place.write_text("old")
    script = (
        "import os, sys; from retail_clusters.infra import storage; place = sys.argv[1]\n"
        f"with {writing}; os.kill(os.getpid(), {int(signal.SIGKILL)})"
    )
    assert subprocess.run([sys.executable, "-c", script, place], check=False).returncode == -signal.SIGKILL
    assert place.read_text() == "old"
    assert names_in(str(tmp_path)) == ["x"]
    assert len([*tmp_path.iterdir()]) == 2
    storage.remove_drafts(str(tmp_path))
    assert [*tmp_path.iterdir()] == [place]


def test_local_files_need_no_spark(tmp_path: Path):
    script = (
        "import sys; from retail_clusters.infra import locks, storage; storage.write_text(sys.argv[1], 'x'); "
        "sys.exit('pyspark' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script, tmp_path / "x"], check=False).returncode == 0


def test_without_a_session_a_location_with_a_scheme_is_told_in_one_line():
    script = (
        "from retail_clusters.infra import storage\n"
        "try: storage.exists('viewfs://shop/x')\nexcept Exception as told: print(type(told).__name__, told)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("StorageError a location with a scheme is reached through Spark")


def test_a_folder_is_no_file(place: str):
    with pytest.raises(RetailClustersError) as told:
        storage.read_text(place)
    assert len(str(told.value).splitlines()) == 1
