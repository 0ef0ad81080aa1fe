import hashlib
import io
import re
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from retail_clusters.data.fetch import ARCHIVE_URL, BY_DAY_SHA256, fetch
from retail_clusters.errors import InputError, TransferError

REAL = Path(__file__).parents[3] / "shared" / "retail-data" / "by-day"
DAYS = {f"2011-01-{day:02}.csv": f"InvoiceNo\n{day}\n".encode() * 50 for day in (4, 2, 3)}
SHA256 = hashlib.sha256(b"".join(DAYS[name] for name in sorted(DAYS))).hexdigest()


def archive_of(days: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    others = {"book-4ba5/README.md": b"# Book", "book-4ba5/data/retail-data/all/online-retail.csv": b"all"}
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in (
            {f"book-4ba5/data/retail-data/by-day/{day}": days[day] for day in days} | others
        ).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@dataclass
class Book:
    """An archive behind an address, cut off at a byte if told so; `ranges` are those that were asked for."""

    archive: bytes = archive_of(DAYS)
    cut_at: int | None = None
    ranges: list[str | None] = field(default_factory=list)
    url: str = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.ranges.append(request.headers["Range"])
        if request.path != "/archive":
            request.send_error(404)
            return
        start = int((self.ranges[-1] or "bytes=0-")[6:-1])
        request.send_response(206 if start else 200)
        request.send_header("ETag", '"book"')
        request.send_header("Content-Length", str(len(self.archive) - start))
        request.send_header("Content-Range", f"bytes {start}-{len(self.archive) - 1}/{len(self.archive)}")
        request.end_headers()
        request.wfile.write(self.archive[start : self.cut_at])


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Iterator[Book]:
    book = Book()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            book.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        book.url = f"http://127.0.0.1:{server.server_address[1]}/archive"
        yield book
        server.shutdown()
        thread.join()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_fetch_unpacks_the_daily_files_and_leaves_nothing_else(
    book: Book, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    output = tmp_path / "new" / "retail"
    fetch(output=output, url=book.url, sha256=SHA256)

    said = capsys.readouterr()
    assert contents(output) == DAYS
    assert [path.name for path in output.parent.iterdir()] == ["retail"]
    assert said.out == f"Fetched 3 daily files into {output}, SHA-256 as expected\n"
    assert said.err == ""


def test_fetch_asks_for_nothing_when_the_files_are_there(
    book: Book, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    fetch(output=tmp_path / "retail", url=book.url, sha256=SHA256)
    fetch(output=tmp_path / "retail", url=book.url, sha256=SHA256)

    assert len(book.ranges) == 1
    assert capsys.readouterr().out.endswith("retail is already complete, nothing to fetch\n")


def test_fetch_refuses_a_folder_with_other_content_before_it_asks(book: Book, tmp_path: Path):
    (tmp_path / "mine.csv").write_text("mine")

    with pytest.raises(InputError, match="new or empty"):
        fetch(output=tmp_path, url=book.url, sha256=SHA256)
    assert contents(tmp_path) == {"mine.csv": b"mine"}
    assert book.ranges == []


def test_fetch_refuses_files_with_another_checksum_and_keeps_nothing(book: Book, tmp_path: Path):
    wanted = "0" * 64
    with pytest.raises(TransferError, match=f"{wanted}, but the 3 that came have {SHA256}: thrown away; run"):
        fetch(output=tmp_path / "retail", url=book.url, sha256=wanted)
    assert list(tmp_path.iterdir()) == []


def test_fetch_refuses_an_archive_without_the_files(book: Book, tmp_path: Path):
    book.archive = archive_of({})
    with pytest.raises(TransferError, match="but the 0 that came have"):
        fetch(output=tmp_path / "retail", url=book.url, sha256=SHA256)


def test_fetch_goes_on_after_a_cut_connection(book: Book, tmp_path: Path):
    book.cut_at = 100
    with pytest.raises(TransferError, match=f"broke off after 100 of {len(book.archive)} bytes"):
        fetch(output=tmp_path / "retail", url=book.url, sha256=SHA256)
    kept = (tmp_path / "retail.tar.gz.part").read_bytes()
    assert not (tmp_path / "retail").exists()

    book.cut_at = None
    fetch(output=tmp_path / "retail", url=book.url, sha256=SHA256)

    assert kept == book.archive[:100]
    assert book.ranges == [None, "bytes=100-"]
    assert contents(tmp_path / "retail") == DAYS
    assert [path.name for path in tmp_path.iterdir()] == ["retail"]


def test_fetch_throws_away_an_archive_that_was_resumed_into_garbage(book: Book, tmp_path: Path):
    book.cut_at = 100
    with pytest.raises(TransferError, match="broke off"):
        fetch(output=tmp_path / "retail", url=book.url, sha256=SHA256)
    good, book.cut_at = book.archive, None
    book.archive = bytes(len(good))
    with pytest.raises(TransferError, match=r"damaged .*: thrown away; run the same command again"):
        fetch(output=tmp_path / "retail", url=book.url, sha256=SHA256)
    assert list(tmp_path.iterdir()) == []

    book.archive = good
    fetch(output=tmp_path / "retail", url=book.url, sha256=SHA256)
    assert contents(tmp_path / "retail") == DAYS


def test_fetch_throws_away_a_truncated_archive(book: Book, tmp_path: Path):
    book.archive = book.archive[:-150]
    with pytest.raises(TransferError, match="damaged"):
        fetch(output=tmp_path / "retail", url=book.url, sha256=SHA256)
    assert list(tmp_path.iterdir()) == []


def test_fetch_tells_that_nothing_stands_at_the_address(book: Book, tmp_path: Path):
    with pytest.raises(
        TransferError, match=re.escape(f"must have {book.url}s, but it answered 404 Not Found")
    ):
        fetch(output=tmp_path / "retail", url=f"{book.url}s", sha256=SHA256)
    assert list(tmp_path.iterdir()) == []


def test_fetch_asks_for_a_fixed_commit_by_default():
    assert re.fullmatch(r"https://.*/databricks/Spark-The-Definitive-Guide/.*/[0-9a-f]{40}", ARCHIVE_URL)


@pytest.mark.real
def test_fetch_knows_the_digest_of_the_real_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    if not REAL.is_dir():
        pytest.skip(f"the real data set is not at {REAL}")
    fetch(output=REAL, url="http://127.0.0.1:1/", sha256=BY_DAY_SHA256)

    assert "already complete" in capsys.readouterr().out
