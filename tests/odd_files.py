"""A folder of odd files: names, encodings, packings, sizes, times, links, truncations."""

import bz2
import gzip
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.scorers import HEADER

#: In the order of the header.
FIELDS = HEADER.split(",")
NAMES = (
    *(
        "plain.csv",
        "CAPITALS.CSV",
        "Mixed.Csv",
        "with space.csv",
        "semi;colon.csv",
        "br[ack]et.csv",
        "star*.csv",
    ),
    *("colon:10.csv", "percent%20.csv", "hash#.csv", "question?.csv", "plus+.csv", "comma,.csv", "it's.csv"),
    *(
        "tilde~.csv",
        "br{ac,e}.csv",
        "Verkäufe.csv",
        "日本.csv",
        "2011/07/deep.csv",
        "year=2011/partition.csv",
    ),
)
#: For what need not see every name.
FEW_NAMES = ("plain.csv", "star*.csv", "colon:10.csv", "Verkäufe.csv", "2011/07/deep.csv")
PASSED_OVER = (
    ".hidden.csv",
    "_temporary/part.csv",
    "_SUCCESS",
    "notes.txt",
    "table.xlsx",
    "README",
    "old.csv.bak",
)


@dataclass(frozen=True)
class OddFiles:
    """What was written: files to read, broken ones, others, and the lines of those to read, a bad one among them."""

    readable: int
    broken: int
    passed_over: int
    lines: int
    bad: int = 1


def write(folder: Path, *, broken: bool, names: Sequence[str] = FEW_NAMES, large: int = 200) -> OddFiles:
    """Write the files; those that nobody can read to their end only if asked for."""
    made = _Maker(folder)
    for name in names:
        made.file(name, lambda text: text.encode())
    made.file("packed.csv.gz", lambda text: gzip.compress(text.encode()))
    made.file("PACKED.CSV.GZ", lambda text: gzip.compress(text.encode()))
    made.file("packed.csv.bz2", lambda text: bz2.compress(text.encode()))
    made.file(
        "two members.csv.gz", lambda text: b"".join(gzip.compress(part.encode()) for part in halves(text))
    )
    made.file("crlf.csv", lambda text: text.replace("\n", "\r\n").encode())
    made.file("cr.csv", lambda text: text.replace("\n", "\r").encode())
    made.file("mark.csv", lambda text: b"\xef\xbb\xbf" + text.encode())
    made.file("no end.csv", lambda text: text.rstrip("\n").encode())
    made.file("blanks.csv", lambda text: text.replace("\n", "\n\n  \n").encode())
    made.file("joined.csv", lambda text: text.replace("\n", f"\n{HEADER}\n", 2).encode())
    made.file("quoted.csv", lambda text: re.sub(r"[^,\n]+", r'"\g<0>"', text).encode())
    made.file("turned.csv", lambda text: reordered(text).encode())
    made.file("extra.csv", lambda text: text.replace("\n", ",more\n").encode())
    made.file("large.csv", lambda text: text.encode(), lines=large)
    made.file("header alone.csv", lambda text: text.encode(), lines=0)
    made.file("bad.csv", lambda text: text.replace(",2.55,", ",NaN,", 1).encode())
    for name, when in (("star*.csv", 315_532_800), ("plain.csv", 4_070_908_800)):
        os.utime(folder / name, (when, when))
    for name in PASSED_OVER:
        made.put(name, b"nothing\n")
    (folder / "latest.csv").symlink_to(folder / "plain.csv")
    (folder / "2011" / "again.csv").symlink_to("../crlf.csv")
    (folder / "hard.csv").hardlink_to(folder / "cr.csv")
    (folder / "2011" / "above").symlink_to(folder)
    if not broken:
        return OddFiles(made.readable, 0, len(PASSED_OVER) + 3, made.lines)
    whole = made.text(50).encode()
    for name, content in (
        ("cut.csv.gz", gzip.compress(whole)[:-9]),
        ("plain.csv.gz", whole),
        ("packed.csv", gzip.compress(whole)),
        ("utf16.csv", whole.decode().encode("utf-16")),
        ("excel.csv", b"PK\x03\x04" + bytes(40)),
        ("other.csv", b"a,b,c\n1,2,3\n"),
        ("empty.csv", b""),
    ):
        made.put(name, content)
    return OddFiles(made.readable, 7, len(PASSED_OVER) + 3, made.lines)


def halves(text: str) -> tuple[str, str]:
    """Cut a text in two, in the middle of a line."""
    return text[: len(text) // 2], text[len(text) // 2 :]


def reordered(text: str) -> str:
    """Turn the columns of each line around."""
    return "\n".join(",".join(reversed(line.split(","))) for line in text.split("\n"))


class _Maker:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.readable = self.lines = 0

    def file(self, name: str, written: Callable[[str], bytes], *, lines: int = 3) -> None:
        """Write a file of lines that no other has."""
        self.put(name, written(self.text(lines)))
        self.readable += 1
        self.lines += lines

    def text(self, lines: int) -> str:
        """Return a header and lines, with customers who come again."""
        numbers = range(self.lines, self.lines + lines)
        made = [
            f"{at},A,CUP,{at % 9},2011-{at % 12 + 1:02}-{at % 28 + 1:02} 08:00:00,2.55,{at % 40},UK"
            for at in numbers
        ]
        return "\n".join([HEADER, *made, ""])

    def put(self, name: str, content: bytes) -> None:
        """Write a file, and the folders that it is in."""
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
