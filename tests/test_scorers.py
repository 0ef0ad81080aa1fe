"""The count of lines that the scorer's accounts are held to, against Python's csv, Spark, and the readers."""

import bz2
import csv
import gzip
import io
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from retail_clusters.data import csv_files
from tests.scorers import HEADER, LINE, count_lines

Pack = Callable[[bytes], bytes]
PACKS: dict[str, Pack] = {".csv": bytes, ".csv.gz": gzip.compress, ".csv.bz2": bz2.compress}
QUOTED = ",".join(f'"{name}"' for name in HEADER.split(","))

headers = st.sampled_from([HEADER, QUOTED, HEADER.replace(",", ", "), f"\ufeff{HEADER}"])
plain = st.sampled_from(
    [LINE, "x", ",", "", " ", "   ", "\t", "a\x0bb", "a\x85b", "a\u2028b", "\0", "\ufeff", "\u96ea", "1;2"]
)
quoted = st.sampled_from(['"', '""', '"a,b"', '"a', 'b"', ',"', '"a ""b"""', f'"{HEADER}'])
ends = st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r\n", b"\n\r"])
odd = st.sampled_from([b"caf\xe9", b"\xe2\x82", b"\xff\xfe", b"\xed\xa0\x80"])


def files(*lines: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    """Return bytes of such lines, with a line end or none behind the last, and a mark before the first."""
    parts = st.tuples(st.one_of(*(line.map(str.encode) for line in (headers, *lines)), odd), ends)
    whole = st.tuples(st.sampled_from([b"", b"\xef\xbb\xbf"]), st.lists(parts, max_size=12), st.booleans())
    return whole.map(
        lambda made: (
            made[0] + b"".join(itertools.chain.from_iterable(made[1])) + (LINE.encode() if made[2] else b"")
        )
    )


def by_csv(content: bytes) -> int:
    """Count the rows that Python's csv finds, but blank ones and headers."""
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", errors="replace", newline="")
    rows = [row for row in csv.reader(text) if row and (len(row) > 1 or row[0].strip(" "))]
    return sum([field.strip(' "\ufeff') for field in row] != HEADER.split(",") for row in rows)


def by_reader(file: Path) -> int:
    """Count the lines that the reader of spoilt files keeps."""
    return sum(row["line"] is not None for row in csv_files.quarantine_rows(str(file), reason="r"))


@given(content=files(plain), suffix=st.sampled_from(list(PACKS)))
def test_lines_without_quotes_are_the_rows_of_pythons_csv(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    file = tmp_path_factory.getbasetemp() / f"counted{suffix}"
    file.write_bytes(PACKS[suffix](content))
    assert count_lines(file) == by_csv(content)


@given(content=files(plain, quoted), suffix=st.sampled_from(list(PACKS)), cut=st.integers(0, 200))
def test_lines_of_spoilt_files_are_those_that_their_reader_keeps(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str, cut: int
) -> None:
    file = tmp_path_factory.getbasetemp() / f"counted{suffix}"
    packed = PACKS[suffix](content)
    for kept in (packed, packed[: max(0, len(packed) - cut)]):
        file.write_bytes(kept)
        assert count_lines(file) == by_reader(file)


@settings(max_examples=2)
@given(contents=st.lists(files(plain, quoted), min_size=60, max_size=60))
def test_lines_are_those_that_spark_reads(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("counted")
    made = []
    for number, (content, suffix) in enumerate(zip(contents, itertools.cycle(PACKS), strict=False)):
        made.append(folder / f"{number}{suffix}")
        made[-1].write_bytes(PACKS[suffix](content))
    read = csv_files.read_lines(spark, [str(file) for file in made]).groupBy("source_file").count().collect()
    found = {str(row[0]).rpartition("/")[2]: int(row[1]) for row in read}
    assert {file.name: count_lines(file) for file in made} == {file.name: 0 for file in made} | found


def test_a_line_end_within_quotes_ends_a_line(tmp_path: Path) -> None:
    """As decision 0003 has it: a line is what stands between two line ends."""
    (tmp_path / "a.csv").write_text(f'{HEADER}\n1,"two\nlines",3\n\n')
    assert count_lines(tmp_path / "a.csv") == 2
