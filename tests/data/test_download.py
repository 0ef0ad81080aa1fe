import gzip
import io
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from retail_clusters.data.download import download, folder_sha256, forget, unpack
from retail_clusters.errors import InputError, TransferError
from retail_clusters.infra.folders import whole_folder

CONTENT = bytes(range(256)) * 400
CSV_MEMBERS = r"[^/]+/by-day/([\w-]+\.csv)"


@dataclass
class Site:
    """What the server holds, how it behaves, and what it was asked."""

    content: bytes = CONTENT
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"1"'})
    knows_ranges: bool = True
    cut_at: int | None = None
    chunked: bool = False
    status: int = 200
    content_range: str | None = None
    asked: list[dict[str, str | None]] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wants, guard = request.headers["Range"], request.headers["If-Range"]
        self.asked.append({"Range": wants, "If-Range": guard})
        start = int(wants.removeprefix("bytes=").rstrip("-")) if wants else 0
        current = self.knows_ranges and guard in self.headers.values()
        if self.status != 200:
            self.send(request, self.status, b"")
        elif not (wants and current):
            self.send(request, 200, self.content)
        elif start >= len(self.content):
            self.send(request, 416, b"", f"bytes */{len(self.content)}")
        else:
            whole = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
            self.send(request, 206, self.content[start:], self.content_range or whole)

    def send(
        self, request: BaseHTTPRequestHandler, status: int, body: bytes, part: str | None = None
    ) -> None:
        request.send_response(status)
        length = {"Transfer-Encoding": "chunked"} if self.chunked else {"Content-Length": str(len(body))}
        for name, value in {**self.headers, **length, **({"Content-Range": part} if part else {})}.items():
            request.send_header(name, value)
        request.end_headers()
        if self.chunked:
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        request.wfile.write(body[: self.cut_at])


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def url(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/archive.tar.gz"
        server.shutdown()
        thread.join()


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "archive.part"


@pytest.fixture
def cut_short(site: Site, url: str, part: Path) -> Iterator[Site]:
    """A site whose first transfer broke off after 1,000 bytes, and which now behaves."""
    site.cut_at = 1_000
    with pytest.raises(TransferError, match=f"broke off after 1000 of {len(CONTENT)} bytes; run"):
        download(url, part=part)
    site.cut_at = None
    return site


def test_download_brings_the_whole_file(site: Site, url: str, part: Path):
    download(url, part=part)

    assert part.read_bytes() == CONTENT
    assert site.asked == [{"Range": None, "If-Range": None}]


def test_download_keeps_the_part_and_asks_for_the_rest_only(cut_short: Site, url: str, part: Path):
    assert part.read_bytes() == CONTENT[:1_000]

    download(url, part=part)

    assert part.read_bytes() == CONTENT
    assert cut_short.asked[1] == {"Range": "bytes=1000-", "If-Range": '"1"'}


def test_download_can_break_off_and_go_on_more_than_once(cut_short: Site, url: str, part: Path):
    cut_short.cut_at = 500
    with pytest.raises(TransferError, match="broke off after 1500 of"):
        download(url, part=part)
    cut_short.cut_at = None
    download(url, part=part)

    assert part.read_bytes() == CONTENT
    assert [asked["Range"] for asked in cut_short.asked] == [None, "bytes=1000-", "bytes=1500-"]


def test_download_starts_again_when_the_file_has_changed(cut_short: Site, url: str, part: Path):
    cut_short.content, cut_short.headers = CONTENT[::-1], {"ETag": '"2"'}
    download(url, part=part)

    assert part.read_bytes() == CONTENT[::-1]


def test_download_starts_again_when_the_address_is_another(cut_short: Site, url: str, part: Path):
    download(f"{url}?other", part=part)

    assert part.read_bytes() == CONTENT
    assert cut_short.asked[1]["Range"] is None


def test_download_starts_again_at_a_server_without_ranges(cut_short: Site, url: str, part: Path):
    cut_short.knows_ranges = False
    download(url, part=part)

    assert part.read_bytes() == CONTENT
    assert cut_short.asked[1]["Range"] == "bytes=1000-"


@pytest.mark.parametrize(
    ("headers", "guard"),
    [
        ({}, None),
        ({"ETag": 'W/"1"'}, None),
        (
            {"ETag": 'W/"1"', "Last-Modified": "Wed, 01 Dec 2010 08:26:00 GMT"},
            "Wed, 01 Dec 2010 08:26:00 GMT",
        ),
    ],
)
def test_download_resumes_only_what_it_can_tell_to_be_the_same_file(
    site: Site, url: str, part: Path, headers: dict[str, str], guard: str | None
):
    site.headers, site.cut_at = headers, 1_000
    with pytest.raises(TransferError):
        download(url, part=part)
    site.cut_at = None
    download(url, part=part)

    assert part.read_bytes() == CONTENT
    assert site.asked[1] == {"Range": guard and "bytes=1000-", "If-Range": guard}


def test_download_finds_that_nothing_is_left_to_send(site: Site, url: str, part: Path):
    download(url, part=part)
    download(url, part=part)

    assert part.read_bytes() == CONTENT
    assert site.asked[1]["Range"] == f"bytes={len(CONTENT)}-"


def test_download_starts_again_when_it_holds_more_than_the_server(site: Site, url: str, part: Path):
    download(url, part=part)
    site.content = CONTENT[:500]
    download(url, part=part)

    assert part.read_bytes() == CONTENT[:500]


def test_download_throws_away_a_part_that_the_server_goes_on_from_elsewhere(
    cut_short: Site, url: str, part: Path
):
    cut_short.content_range = "bytes 7-99/100"
    with pytest.raises(
        TransferError, match="must go on at byte 1000, but it came with bytes 7-99/100: thrown"
    ):
        download(url, part=part)
    assert list(part.parent.iterdir()) == []


def test_download_notices_a_cut_in_a_body_of_unknown_length(site: Site, url: str, part: Path):
    site.chunked, site.cut_at = True, 1_000
    with pytest.raises(TransferError, match="broke off: IncompleteRead"):
        download(url, part=part)


@pytest.mark.parametrize(("status", "reason"), [(404, "404 Not Found"), (503, "503 Service Unavailable")])
def test_download_names_the_status_that_it_was_refused_with(
    site: Site, url: str, part: Path, status: int, reason: str
):
    site.status = status
    with pytest.raises(TransferError, match=f"must have {url}, but it answered {reason}; check"):
        download(url, part=part)
    assert not part.exists()


def test_download_keeps_the_part_when_the_server_is_out_of_order(cut_short: Site, url: str, part: Path):
    cut_short.status = 503
    with pytest.raises(TransferError, match="503"):
        download(url, part=part)
    assert part.read_bytes() == CONTENT[:1_000]


def test_download_gives_up_on_a_server_that_is_silent(part: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(TransferError, match="broke off: timed out; run"):
            download(url, part=part, timeout=0.1)


def test_download_tells_that_nobody_listens(part: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(TransferError, match="Connection refused"):
        download(f"http://127.0.0.1:{port}/", part=part)


@pytest.mark.parametrize("url", ["file:///etc/hosts", "data.tar.gz", ""])
def test_download_refuses_what_is_no_web_address(url: str, part: Path):
    with pytest.raises(InputError, match="must start with http"):
        download(url, part=part)


def tar_gz(path: Path, members: dict[str, bytes], *, link: str | None = None) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        if link:
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/hosts"
            tar.addfile(entry)
    return path


def files_under(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_unpack_writes_the_members_that_match_and_no_others(tmp_path: Path):
    archive = tar_gz(
        tmp_path / "a.tar.gz",
        {
            "book-1/by-day/2011-01-02.csv": b"two",
            "book-1/by-day/2011-01-01.csv": b"one",
            "book-1/README.md": b"",
            "book-1/by-month/by-day/x.csv": b"",
            "book-1/by-day/x.csv.bak": b"",
        },
    )
    into = tmp_path / "into"
    into.mkdir()
    unpack(archive, members=CSV_MEMBERS, into=into)

    assert files_under(into) == {"2011-01-01.csv": b"one", "2011-01-02.csv": b"two"}


@pytest.mark.parametrize("pattern", [CSV_MEMBERS, r"(.*\.csv)", r"[^/]+/by-day/(.*)"])
def test_unpack_lets_no_member_leave_the_folder(tmp_path: Path, pattern: str):
    evil = ["../evil.csv", "/tmp/../evil.csv", "book/by-day/../../evil.csv", "book/by-day/../evil.csv"]
    archive = tar_gz(tmp_path / "a.tar.gz", dict.fromkeys(evil, b"evil"), link="book/by-day/link.csv")
    into = tmp_path / "deep" / "into"
    into.mkdir(parents=True)
    unpack(archive, members=pattern, into=into)

    outside = {name for name in files_under(tmp_path) if not name.startswith("deep/into/")}
    assert outside == {"a.tar.gz"}
    assert not (into / "link.csv").exists()
    assert pattern != CSV_MEMBERS or files_under(into) == {}


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def garbled(content: bytes) -> bytes:
    return content[:200] + bytes(len(content) - 200)


def no_gzip(content: bytes) -> bytes:
    return gzip.decompress(content)


def no_tar(content: bytes) -> bytes:
    return gzip.compress(b"<html>rate limited</html>" * 100)


@pytest.mark.parametrize("damage", [truncated, garbled, no_gzip, no_tar])
def test_unpack_tells_that_an_archive_is_damaged(tmp_path: Path, damage: Callable[[bytes], bytes]):
    whole = tar_gz(tmp_path / "a.tar.gz", {"book/by-day/x.csv": str(list(range(9_000))).encode()})
    whole.write_bytes(damage(whole.read_bytes()))

    with pytest.raises(
        TransferError, match=r"readable tar.gz, but what came is damaged .*: thrown away; run"
    ):
        unpack(whole, members=CSV_MEMBERS, into=tmp_path)


def test_folder_sha256_digests_the_csv_files_in_name_order(tmp_path: Path):
    for name, content in [("b.csv", "b"), ("a.csv", "a"), ("note.txt", "-"), ("c.csv", "c")]:
        (tmp_path / name).write_text(content)

    assert folder_sha256(tmp_path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_forget_removes_the_part_and_is_content_without_one(cut_short: Site, part: Path):
    forget(part)
    forget(part)

    assert list(part.parent.iterdir()) == []


def test_whole_folder_appears_with_the_end_of_the_block(tmp_path: Path):
    output = tmp_path / "new" / "data"
    with whole_folder(output) as folder:
        (folder / "a.csv").write_text("a")
        assert not output.exists()

    assert files_under(tmp_path) == {"new/data/a.csv": b"a"}
    assert [path.name for path in output.parent.iterdir()] == ["data"]


def test_whole_folder_leaves_nothing_when_the_block_fails(tmp_path: Path):
    with pytest.raises(FileNotFoundError), whole_folder(tmp_path / "data") as folder:
        (folder / "a.csv").rename(folder / "b.csv")

    assert list(tmp_path.iterdir()) == []


def test_whole_folder_takes_the_place_of_an_empty_folder(tmp_path: Path):
    (tmp_path / "data").mkdir()
    with whole_folder(tmp_path / "data") as folder:
        (folder / "a.csv").write_text("a")

    assert files_under(tmp_path) == {"data/a.csv": b"a"}


@pytest.mark.parametrize("there", ["data/old.csv", "data"])
def test_whole_folder_refuses_to_replace_anything(tmp_path: Path, there: str):
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).touch()
    with (
        pytest.raises(InputError, match=r"new or empty, but .*data is not; remove it"),
        whole_folder(tmp_path / "data"),
    ):
        pytest.fail("the block must not be reached")


def test_whole_folder_tells_that_it_cannot_write_there(tmp_path: Path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"must be writable, but .*; choose another"),
        whole_folder(tmp_path / "file" / "data"),
    ):
        pytest.fail("the block must not be reached")
