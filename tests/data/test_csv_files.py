import bz2
import gzip
import os
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from retail_clusters.data import csv_files
from retail_clusters.errors import InputError
from retail_clusters.settings import Columns

LINE = "536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom"
HEADER = csv_files.header()
CONTENT = f"{HEADER}\n{LINE}\n"
ONLINE_RETAIL_II = Columns(invoice_no="Invoice", unit_price="Price", customer_id="Customer ID")


def put(folder: Path, name: str, content: str | bytes = CONTENT) -> str:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(file)


def names(data: Path | str) -> list[str]:
    return [Path(file).name for file in csv_files.find_files(str(data))]


def texts(lines: DataFrame) -> list[str]:
    return sorted(row.line for row in lines.collect())


def streamed(spark: SparkSession, data: str, place: Path) -> list[str]:
    lines = csv_files.read_line_stream(spark, data, max_files_per_trigger=100)
    output, checkpoint = str(place / "out"), str(place / "checkpoint")
    query = (
        lines.writeStream.format("parquet").option("path", output).option("checkpointLocation", checkpoint)
    )
    query.trigger(availableNow=True).start().awaitTermination()
    return texts(spark.read.parquet(output))


def test_files_of_a_folder_are_found_by_name_and_others_left_alone(tmp_path):
    for name in ("b.csv", "a.csv.gz", "notes.txt", ".hidden.csv", "_made.csv"):
        put(tmp_path, name)
    assert names(tmp_path) == ["a.csv.gz", "b.csv"]


def test_files_of_folders_in_a_folder_are_found_but_not_those_of_hidden_folders(tmp_path):
    for name in ("a.csv", "year=2011/month=2/b.csv", "_temporary/c.csv", ".trash/d.csv"):
        put(tmp_path, name)
    assert names(tmp_path) == ["a.csv", "b.csv"]


def test_files_of_a_pattern_and_a_single_file_are_found(tmp_path):
    one, two = put(tmp_path, "x1.csv"), put(tmp_path, "x2.csv")
    put(tmp_path, "y/z.csv")
    assert csv_files.find_files(f"{tmp_path}/x*.csv") == [one, two]
    assert names(f"{tmp_path}/?") == ["z.csv"]
    assert csv_files.find_files(one) == [one]


@pytest.mark.parametrize("folder", ["data[1]", "a*b", "{x,y}", "what?", "with space", "back\\slash"])
def test_a_folder_whose_name_looks_like_a_pattern_is_read(spark, tmp_path, folder):
    put(tmp_path / folder, "a.csv")
    assert texts(csv_files.read_lines(spark, csv_files.find_files(str(tmp_path / folder)))) == [LINE]
    assert streamed(spark, str(tmp_path / folder), tmp_path) == [LINE]


def test_a_file_uri_is_a_path(spark, tmp_path):
    put(tmp_path, "a.csv")
    (file,) = csv_files.find_files(tmp_path.as_uri())
    assert texts(csv_files.read_lines(spark, [file])) == [LINE]


def test_missing_path_is_refused(tmp_path):
    with pytest.raises(InputError, match="found no such path"):
        csv_files.find_files(str(tmp_path / "nowhere"))


def test_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="found none in the folder"):
        csv_files.find_files(str(tmp_path))


def test_a_link_to_a_folder_above_brings_no_file_twice(tmp_path):
    put(tmp_path, "in/year=2011/a.csv")
    (tmp_path / "in" / "year=2011" / "loop").symlink_to(tmp_path / "in")
    assert names(tmp_path / "in") == ["a.csv"]


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (HEADER, None),
        ("\ufeff" + HEADER + "\r", None),
        ('"InvoiceNo",StockCode,Description, Quantity,InvoiceDate,UnitPrice,CustomerID,Country', None),
        (HEADER.replace("UnitPrice", "Price"), "no column UnitPrice; found 'Price'"),
        (HEADER.removesuffix(",Country"), "no column Country"),
        ("Country," + HEADER.removesuffix(",Country"), "stand in another order"),
        (HEADER.replace(",", ";"), "is the separator ';'"),
        (LINE, "no column InvoiceNo"),
        ("", "the file is empty"),
    ],
)
def test_header_problem_names_what_lacks_and_what_was_found(tmp_path, header, problem):
    found = csv_files.header_problem(put(tmp_path, "a.csv", f"{header}\n{LINE}\n" if header else ""))
    assert found == problem or (problem and problem in (found or ""))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00\x01\x80", b"caf\xe9\n"])
def test_file_that_is_no_text_is_a_header_problem(tmp_path, content):
    for name in ("a.csv", "b.csv.gz"):
        file = put(tmp_path, name, content)
        assert csv_files.header_problem(file) == "the file cannot be read as CSV text"


def test_check_headers_names_the_file(tmp_path):
    with pytest.raises(InputError, match=r"bad\.csv: the header differs"):
        csv_files.check_headers([put(tmp_path, "bad.csv", "a,b\n1,2\n")])


def test_a_name_that_is_not_utf8_is_named_and_refused(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.csv")).write_text(CONTENT)
    with pytest.raises(InputError, match=r"caf\\udce9.csv: the file's name is not UTF-8.*rename it"):
        csv_files.check_headers(csv_files.find_files(str(tmp_path)))


@pytest.mark.parametrize(
    "content",
    [
        f"{HEADER}\n{LINE}\n\n   \n",
        CONTENT.replace("\n", "\r\n"),
        CONTENT.replace("\n", "\r"),
        f"\ufeff{CONTENT}{HEADER}\n",
        CONTENT.replace("Country", '"Country" ').replace("InvoiceNo", '"InvoiceNo"'),
    ],
    ids=["blanks", "CRLF", "CR", "byte order mark, header twice", "quotes and spaces"],
)
def test_lines_come_without_headers_and_blanks_at_rest_and_as_a_stream(spark, tmp_path, content):
    """Defect 66: a file with CR line ends had "no column InvoiceNo", though it has all."""
    put(tmp_path, "in/a.csv", content)
    put(tmp_path, "in/b.csv.gz", gzip.compress(content.encode()))
    put(tmp_path, "in/day=1/c.csv.bz2", bz2.compress(content.encode()))
    put(tmp_path, "in/_hidden.csv", content)
    files = csv_files.find_files(str(tmp_path / "in"))
    csv_files.check_headers(files)
    found = csv_files.read_lines(spark, files)
    assert found.columns == ["line", "source_file"]
    assert texts(found) == [LINE] * 3
    assert streamed(spark, str(tmp_path / "in"), tmp_path) == [LINE] * 3


def test_a_name_with_a_colon_is_read_at_rest_and_as_a_stream(spark, tmp_path):
    put(tmp_path, "in/2010-12-01T08:00.csv")
    put(tmp_path, "in/[1]:{2}.csv")
    assert texts(csv_files.read_lines(spark, csv_files.find_files(str(tmp_path / "in")))) == [LINE] * 2
    assert streamed(spark, str(tmp_path / "in"), tmp_path) == [LINE] * 2


def test_a_stream_goes_on_past_a_damaged_file(spark, tmp_path):
    packed = gzip.compress(CONTENT.encode())
    put(tmp_path, "in/a.csv.gz", packed[:-9])
    put(tmp_path, "in/b.csv")
    assert LINE in streamed(spark, str(tmp_path / "in"), tmp_path)


def test_other_names_of_the_columns_are_the_header_that_files_must_have(spark, tmp_path):
    file = put(tmp_path, "a.csv", f"{csv_files.header(ONLINE_RETAIL_II)}\n{LINE}\n")
    assert csv_files.header_problem(file, ONLINE_RETAIL_II) is None
    assert texts(csv_files.read_lines(spark, [file], columns=ONLINE_RETAIL_II)) == [LINE]
    assert "no column InvoiceNo, UnitPrice, CustomerID" in (csv_files.header_problem(file) or "")


def test_no_file_gives_no_line(spark):
    assert texts(csv_files.read_lines(spark, [])) == []


def test_source_file_names_the_file(spark, tmp_path):
    file = put(tmp_path, "with space.csv")
    row = csv_files.read_lines(spark, [file]).first()
    assert row.source_file == f"file:{file.replace(' ', '%20')}"


def test_fingerprint_changes_when_a_file_is_written_again(tmp_path):
    put(tmp_path, "a.csv", "x")
    before = csv_files.fingerprint(csv_files.list_files(str(tmp_path)))
    assert csv_files.fingerprint(csv_files.list_files(str(tmp_path))) == before
    put(tmp_path, "a.csv", "xy")
    assert csv_files.fingerprint(csv_files.list_files(str(tmp_path))) != before


NUMBERS = [f"{number},{number * 7919 % 10_007}" for number in range(50_000)]


def kept(file: Path, reason: str = "r") -> list[str | None]:
    return [row["line"] for row in csv_files.quarantine_rows(str(file), reason=reason)]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_packed_file_that_does_not_unpack_to_its_end_is_damaged(tmp_path: Path, pack: object) -> None:
    packed = pack(b"a,b\n" * 50_000)  # type: ignore[operator]
    suffix = "gz" if pack is gzip.compress else "bz2"
    whole, cut, torn = (tmp_path / f"{name}.csv.{suffix}" for name in ("whole", "cut", "torn"))
    whole.write_bytes(packed)
    cut.write_bytes(packed[:-5])
    torn.write_bytes(packed[:40] + bytes([packed[40] ^ 255]) + packed[41:])
    assert csv_files.damage(str(whole)) is None
    assert csv_files.damage(str(cut)) == csv_files.DAMAGED
    assert csv_files.damage(str(torn)) == csv_files.DAMAGED


def test_the_lines_before_the_damage_are_there_without_their_header(tmp_path: Path) -> None:
    """Defect 66: a truncated file gave one row and no line."""
    file = tmp_path / "cut.csv.gz"
    packed = gzip.compress("\n".join([HEADER, *NUMBERS]).encode())
    file.write_bytes(packed[: len(packed) // 2])
    found = kept(file, csv_files.DAMAGED)
    assert 10_000 < len(found) < 40_000
    assert found[:-1] == NUMBERS[: len(found) - 1]


def test_a_file_that_is_gone_leaves_one_row_without_a_line(tmp_path: Path) -> None:
    assert csv_files.damage(str(tmp_path / "gone.csv")) == csv_files.GONE
    assert kept(tmp_path / "gone.csv", csv_files.GONE) == [None]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", [None]),
        (b" \n\r\n", [None]),
        (b"\xef\xbb\xbfa\nb\r\nc\rd", ["a", "b", "c", "d"]),
        (b"\xef\xbb", ["\ufffd"]),
        (b"caf\xe9\n\t\n", ["caf\ufffd", "\t"]),
        ("x\u2028y\x0bz\n".encode(), ["x\u2028y\x0bz"]),
        (f"a\n{HEADER}\nb".encode(), ["a", "b"]),
    ],
)
def test_every_line_that_is_not_blank_or_a_header_is_kept(
    tmp_path: Path, content: bytes, expected: list[str | None]
) -> None:
    file = tmp_path / "file.csv"
    file.write_bytes(content)
    assert kept(file) == expected
