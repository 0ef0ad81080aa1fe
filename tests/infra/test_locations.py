import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_clusters.infra import locations

NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=12
).filter(lambda name: name not in {".", ".."})
FOLDERS = st.sampled_from(
    ["/", "/a", "a", ".", "a b", "x:", "file:///a", "file:/", "s3a://b", "s3a://b/c", "hdfs:/d"]
)


@given(FOLDERS, NAMES)
def test_a_joined_name_comes_back_with_its_folder(folder: str, name: str):
    joined = locations.join(folder, name)
    assert locations.name(joined) == name
    assert locations.to_uri(locations.parent(joined)).rstrip("/") == locations.to_uri(folder).rstrip("/")


@given(FOLDERS, NAMES)
def test_a_joined_name_stays_in_its_folder_and_on_its_store(folder: str, name: str):
    joined = locations.join(folder, name)
    assert locations.is_local(joined) == locations.is_local(folder)
    assert locations.is_within(joined, folder)
    assert not locations.is_within(folder, joined)


@given(NAMES)
def test_a_path_comes_back_from_its_uri(name: str):
    assert locations.local_path(locations.to_uri(f"/folder/{name}")) == f"/folder/{name}"


@given(st.text(max_size=20))
def test_what_is_shown_is_one_line(text: str):
    assert len(locations.for_display(text).splitlines()) <= 1


def test_a_relative_path_starts_at_the_working_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert locations.to_uri("data/a b.csv") == f"file://{tmp_path}/data/a b.csv"


def test_two_points_after_a_link_lead_where_the_system_leads(tmp_path: Path):
    (tmp_path / "far" / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "below")
    assert locations.to_uri(f"{tmp_path}/link/../x") == f"file://{tmp_path}/far/x"


@pytest.mark.parametrize(
    ("location", "scheme"),
    [
        ("a", "file"),
        ("a:b", "file"),
        ("2011-01-01T08:00.csv", "file"),
        ("S3A://b/c", "s3a"),
        ("./s3a:/b", "file"),
    ],
)
def test_a_scheme_is_followed_by_a_slash(location: str, scheme: str):
    assert locations.scheme(location) == scheme


def test_within_follows_links_and_takes_whole_names(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert locations.is_within(f"{tmp_path}/link/x", f"file:{tmp_path}/real")
    assert not locations.is_within(f"{tmp_path}/really", f"{tmp_path}/real")
    assert not locations.is_within("s3a://b/x", "s3a://other")


def test_a_literal_escapes_what_a_reader_would_expand():
    assert locations.literal("s3a://b/e[1]*.csv") == "s3a://b/e\\[1\\]\\*.csv"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ftp://user:secret@host/x", "ftp://user:***@host/x"),
        ("no s3a://key:secret@bucket/x: denied\nbecause", "no s3a://key:***@bucket/x: denied because"),
        ("abfss://box@account/x", "abfss://box@account/x"),
        (os.fsdecode(b"bad\xff"), "bad\\udcff"),
    ],
)
def test_what_is_shown_has_no_password_and_is_text(text: str, shown: str):
    assert locations.for_display(text) == shown


def test_a_name_that_is_not_utf8_is_found():
    assert locations.is_utf8("é")
    assert not locations.is_utf8(os.fsdecode(b"bad\xff"))
