import hashlib
import io
import re
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from retail_clusters.data.fetch import ARCHIVE_URL, BY_DAY_SHA256, fetch
from retail_clusters.errors import InputError, TransferError

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
    """An archive behind an address, cut off at a byte if told so; `asked` counts who asked."""

    archive: bytes = archive_of(DAYS)
    cut_at: int | None = None
    asked: int = 0
    url: str = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked += 1
        if request.path != "/archive":
            request.send_error(404)
            return
        request.send_response(200)
        request.send_header("Content-Length", str(len(self.archive)))
        request.end_headers()
        request.wfile.write(self.archive[: self.cut_at])


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


def fetch_from(book: Book, output: Path, *, sha256: str = SHA256) -> None:
    fetch(output=str(output), url=book.url, sha256=sha256)


def test_fetch_unpacks_the_daily_files_and_leaves_nothing_else(
    book: Book, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    output = tmp_path / "new" / "retail"
    fetch_from(book, output)

    said = capsys.readouterr()
    assert contents(output) == DAYS
    assert [path.name for path in output.parent.iterdir()] == ["retail"]
    assert said.out == f"Fetched 3 daily files into {output}, SHA-256 as expected\n"
    assert said.err == ""


def test_fetch_asks_for_nothing_when_the_files_are_there(
    book: Book, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    fetch_from(book, tmp_path / "retail")
    fetch_from(book, tmp_path / "retail")

    assert book.asked == 1
    assert capsys.readouterr().out.endswith("retail is already complete, nothing to fetch\n")


def test_fetch_refuses_a_folder_with_other_content(book: Book, tmp_path: Path):
    (tmp_path / "mine.csv").write_text("mine")

    with pytest.raises(InputError, match="new or empty"):
        fetch_from(book, tmp_path)
    assert contents(tmp_path) == {"mine.csv": b"mine"}


def test_fetch_refuses_files_with_another_checksum_and_keeps_nothing(book: Book, tmp_path: Path):
    wanted = "0" * 64
    with pytest.raises(TransferError, match=f"{wanted}, but the 3 that came have {SHA256}: thrown away"):
        fetch_from(book, tmp_path / "retail", sha256=wanted)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cut_at", [0, 100, -150])
def test_fetch_tells_how_to_go_on_when_the_archive_does_not_come_whole(
    book: Book, tmp_path: Path, cut_at: int
):
    book.cut_at = cut_at
    with pytest.raises(
        TransferError, match=r"must come whole from .*, but .*; try again, or place the files by hand"
    ):
        fetch_from(book, tmp_path / "retail")
    assert list(tmp_path.iterdir()) == []


def test_fetch_without_a_network_says_in_one_line_how_to_place_the_files(tmp_path: Path):
    with pytest.raises(
        TransferError, match=r"refused.*; try again, or place the files by hand: unpack"
    ) as told:
        fetch(output=str(tmp_path / "retail"), url="http://127.0.0.1:1/archive")
    assert f"into {tmp_path / 'retail'}" in str(told.value)
    assert "\n" not in str(told.value)


def test_fetch_tells_that_nothing_stands_at_the_address(book: Book, tmp_path: Path):
    with pytest.raises(TransferError, match="HTTP Error 404: Not Found"):
        fetch(output=str(tmp_path / "retail"), url=f"{book.url}s", sha256=SHA256)
    assert list(tmp_path.iterdir()) == []


def test_fetch_asks_for_a_fixed_commit_by_default():
    assert re.fullmatch(r"https://.*/databricks/Spark-The-Definitive-Guide/.*/[0-9a-f]{40}", ARCHIVE_URL)


@pytest.mark.real
def test_fetch_knows_the_digest_of_the_real_files(real_data: Path, capsys: pytest.CaptureFixture[str]):
    fetch(output=str(real_data), url="http://127.0.0.1:1/", sha256=BY_DAY_SHA256)

    assert "already complete" in capsys.readouterr().out
