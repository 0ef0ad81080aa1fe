import os
from pathlib import Path

import pytest

from retail_clusters.data import listing
from retail_clusters.errors import InputError, RetailClustersError


def put(folder: Path, *names: str, content: str = "x") -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content} {name}")


def names(data: Path | str) -> list[str]:
    return [Path(file).name for file in listing.require(str(data)).locations]


def test_files_are_found_by_their_suffix_in_capitals_or_not_in_all_folders(tmp_path):
    put(tmp_path, "b.csv", "A.CSV", "c.Csv.Gz", "year=2011/d.csv.BZ2", "e.csv.gz")
    put(
        tmp_path,
        "notes.txt",
        "csv",
        "x.csv.zip",
        "y.csvx",
        "._z.csv",
        "_made.csv",
        ".trash/f.csv",
        "_tmp/g/h.csv",
    )
    found = listing.find(str(tmp_path))
    assert [Path(file).name for file in found.locations] == [
        "A.CSV",
        "b.csv",
        "c.Csv.Gz",
        "e.csv.gz",
        "d.csv.BZ2",
    ]
    assert (found.hidden, dict(found.others)) == (4, {".txt": 1, "no suffix": 1, ".csv.zip": 1, ".csvx": 1})


def test_the_account_adds_up_to_what_is_there_and_says_what_was_passed_over(tmp_path):
    put(tmp_path, "a.csv", "b.csv", "c.txt", "d.xlsx", "e.xlsx", ".f.csv")
    (tmp_path / "latest.csv").symlink_to(tmp_path / "a.csv")
    account = listing.account(listing.find(str(tmp_path)), quarantined=1)
    there = sum(path.is_file() for path in tmp_path.rglob("*"))
    assert (account.there, account.read, account.quarantined, account.passed_over) == (there, 1, 1, 5)
    assert str(account) == (
        "7 files: 1 read, 1 quarantined, 5 passed over by name: 1 hidden, "
        "3 with another suffix (1 .txt, 2 .xlsx), 1 a second name of a file"
    )
    assert str(listing.account(listing.find(str(tmp_path / "a.csv")))) == "1 file: 1 read"


@pytest.mark.parametrize(
    "link",
    [
        lambda folder: (folder / "latest.csv").symlink_to("2011.csv"),
        lambda folder: (folder / "0.csv").symlink_to(folder / "2011.csv"),
        lambda folder: os.link(folder / "2011.csv", folder / "3000.csv"),
        lambda folder: (folder / "loop").symlink_to(folder),
        lambda folder: (folder / "a").symlink_to(folder / "sub"),
        lambda folder: (folder / "sub" / "chain.csv").symlink_to(folder / "a.csv"),
        lambda folder: (folder / "Latest.CSV").symlink_to(folder / "sub" / "2012.csv"),
    ],
    ids=[
        "link beside",
        "link before",
        "hard link",
        "folder above",
        "folder beside",
        "chain",
        "link to a subfolder",
    ],
)
def test_a_file_is_read_once_under_its_own_name_whatever_names_it_has(tmp_path, link):
    put(tmp_path, "in/2011.csv", "in/sub/2012.csv")
    (tmp_path / "in" / "a.csv").symlink_to("2011.csv")
    link(tmp_path / "in")
    found = listing.find(str(tmp_path / "in"))
    own = [str(tmp_path / "in" / name) for name in ("2011.csv", "sub/2012.csv")]
    assert found.locations == own
    assert set(found.second_names.values()) <= set(own)


def test_a_link_out_of_the_folder_or_to_what_is_hidden_there_is_a_file_of_its_own(tmp_path):
    put(tmp_path, "elsewhere/x.csv", "in/_archive/y.csv", "in/z.txt")
    for link, target in (("a.csv", "elsewhere/x.csv"), ("b.csv", "in/_archive/y.csv"), ("c.csv", "in/z.txt")):
        (tmp_path / "in" / link).symlink_to(tmp_path / target)
    (tmp_path / "in" / "gone.csv").symlink_to(tmp_path / "nowhere")
    assert names(tmp_path / "in") == ["a.csv", "b.csv", "c.csv"]


def test_a_folder_that_is_itself_a_link_has_its_files_under_its_own_name(tmp_path):
    put(tmp_path, "real/a.csv")
    (tmp_path / "data").symlink_to(tmp_path / "real")
    assert listing.find(str(tmp_path / "data")).locations == [str(tmp_path / "data" / "a.csv")]


def test_files_of_a_pattern_and_a_single_file_of_any_name_are_found(tmp_path):
    put(tmp_path, "x1.csv", "x2.csv", "x3.txt", "y/z.csv", "sales.txt")
    assert names(f"{tmp_path}/x*") == ["x1.csv", "x2.csv"]
    assert names(f"{tmp_path}/?") == ["z.csv"]
    assert names(tmp_path / "sales.txt") == ["sales.txt"]
    assert names((tmp_path / "y").as_uri()) == ["z.csv"]


@pytest.mark.parametrize(
    ("made", "data", "told"),
    [
        ([], "nowhere", "found no such path"),
        ([], "", "found none in"),
        (
            ["a.txt"],
            "",
            r"found none in .* \(1 file: 0 read, 1 passed over by name: 1 with another suffix \(1 .txt\)\)",
        ),
        (["_a.csv"], "_a.csv", r"found none in .*1 hidden"),
    ],
)
def test_a_place_without_lines_is_refused_with_what_is_there(tmp_path, made, data, told):
    put(tmp_path, *made)
    with pytest.raises(InputError, match=told):
        listing.require(str(tmp_path / data) if data else str(tmp_path))


def test_a_file_that_spark_has_not_read_is_named(tmp_path):
    put(tmp_path, "a.csv", "b.csv", "c.csv")
    files = listing.find(str(tmp_path)).locations
    read = {listing.source_name(file) for file in files}
    listing.check_read(files, read)
    with pytest.raises(
        RetailClustersError, match=r"each of the 3 files must be read, .* of 1, such as .*b\.csv"
    ):
        listing.check_read(files, read - {listing.source_name(files[1])})


def test_fingerprint_changes_when_a_file_is_written_again(tmp_path):
    put(tmp_path, "a.csv", content="x")
    before = listing.fingerprint(listing.find(str(tmp_path)).files)
    assert listing.fingerprint(listing.find(str(tmp_path)).files) == before
    put(tmp_path, "a.csv", content="xy")
    assert listing.fingerprint(listing.find(str(tmp_path)).files) != before
