import bz2
import gzip
from pathlib import Path

import pytest

from retail_clusters.data import unreadable_files
from retail_clusters.data.headers import header

LINES = [f"{number},{number * 7919 % 10_007}" for number in range(50_000)]


def lines(file: Path, reason: str = "r") -> list[str | None]:
    return [row["line"] for row in unreadable_files.quarantine_rows(str(file), reason=reason)]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_packed_file_that_does_not_unpack_to_its_end_is_damaged(tmp_path: Path, pack: object) -> None:
    packed = pack(b"a,b\n" * 50_000)  # type: ignore[operator]
    suffix = "gz" if pack is gzip.compress else "bz2"
    whole, cut, torn = (tmp_path / f"{name}.csv.{suffix}" for name in ("whole", "cut", "torn"))
    whole.write_bytes(packed)
    cut.write_bytes(packed[:-5])
    torn.write_bytes(packed[:40] + bytes([packed[40] ^ 255]) + packed[41:])
    assert unreadable_files.damage(str(whole)) is None
    assert unreadable_files.damage(str(cut)) == unreadable_files.DAMAGED
    assert unreadable_files.damage(str(torn)) == unreadable_files.DAMAGED


def test_the_lines_before_the_damage_are_there_without_their_header(tmp_path: Path) -> None:
    """Defect 66: a truncated file gave one row and no line."""
    file = tmp_path / "cut.csv.gz"
    packed = gzip.compress("\n".join([header(), *LINES]).encode())
    file.write_bytes(packed[: len(packed) // 2])
    found = lines(file, unreadable_files.DAMAGED)
    assert 10_000 < len(found) < 40_000
    assert found[:-1] == LINES[: len(found) - 1]


def test_a_file_that_is_gone_leaves_one_row_without_a_line(tmp_path: Path) -> None:
    assert unreadable_files.damage(str(tmp_path / "gone.csv")) == unreadable_files.GONE
    assert lines(tmp_path / "gone.csv", unreadable_files.GONE) == [None]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", [None]),
        (b" \n\r\n", [None]),
        (b"\xef\xbb\xbfa\nb\r\nc\rd", ["a", "b", "c", "d"]),
        (b"\xef\xbb", ["\ufffd"]),
        (b"caf\xe9\n\t\n", ["caf\ufffd", "\t"]),
        ("x\u2028y\x0bz\n".encode(), ["x\u2028y\x0bz"]),
        (f"a\n{header()}\nb".encode(), ["a", "b"]),
    ],
)
def test_every_line_that_is_not_blank_or_a_header_is_kept(
    tmp_path: Path, content: bytes, expected: list[str | None]
) -> None:
    file = tmp_path / "file.csv"
    file.write_bytes(content)
    assert lines(file) == expected
