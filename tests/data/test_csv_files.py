import bz2
import gzip
import os
import re
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, Observation, SparkSession

from retail_clusters.data import csv_files, listing
from retail_clusters.data.csv_files import DAMAGED, GONE, Layout
from retail_clusters.errors import InputError
from retail_clusters.infra import locations
from retail_clusters.input_settings import Columns, Input

LINE = "536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom"
HEADER = csv_files.header()
CONTENT = f"{HEADER}\n{LINE}\n"
ONLINE_RETAIL_II = Input(columns=Columns(invoice_no="Invoice", unit_price="Price", customer_id="Customer ID"))
GERMAN = Input(encoding="latin-1", separator=";")
NUMBERS = [f"{number},{number * 7919 % 10_007}" for number in range(50_000)]


def put(folder: Path, name: str, content: str | bytes = CONTENT) -> str:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(file)


def texts(lines: DataFrame) -> list[str]:
    return sorted(row.line for row in lines.collect())


def at_rest(spark: SparkSession, data: Path | str, how: Input | None = None) -> list[str]:
    how = how or Input()
    found, layouts = csv_files.check_data(str(data), how)
    (layout,) = set(layouts.values())
    return texts(csv_files.read_lines(spark, found.locations, layout=layout, how=how))


def streamed(spark: SparkSession, data: str, place: Path) -> list[str]:
    lines = csv_files.read_line_stream(spark, data, max_files_per_trigger=100)
    output, checkpoint = str(place / "out"), str(place / "checkpoint")
    query = (
        lines.writeStream.format("parquet").option("path", output).option("checkpointLocation", checkpoint)
    )
    query.trigger(availableNow=True).start().awaitTermination()
    return texts(spark.read.parquet(output))


@pytest.mark.parametrize(
    "folder", ["data[1]", "a*b", "{x,y}", "what?", "with space", "back\\slash", "Verkäufe"]
)
def test_a_folder_whose_name_looks_like_a_pattern_is_read(spark, tmp_path, folder):
    put(tmp_path / folder, "2010-12-01T08:00.csv")
    put(tmp_path / folder, "[1]:{ä}.CSV.gz", gzip.compress(CONTENT.encode()))
    assert at_rest(spark, tmp_path / folder) == [LINE] * 2
    if folder == "with space":
        assert at_rest(spark, locations.to_uri(str(tmp_path / folder))) == [LINE] * 2
    if folder in {"data[1]", "with space"}:
        assert streamed(spark, str(tmp_path / folder), tmp_path) == [LINE] * 2


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (HEADER, Layout().names),
        ("\ufeff" + HEADER + "\r", Layout().names),
        (
            '"InvoiceNo",StockCode,Description, Quantity,InvoiceDate,UnitPrice,CustomerID,Country',
            Layout().names,
        ),
        ("Country," + HEADER.removesuffix(",Country"), ("Country", *Layout().names[:-1])),
        ("," + HEADER + ",,Year", ("Unnamed: 0", *Layout().names, "Unnamed: 9", "Year")),
    ],
)
def test_a_header_names_the_columns_in_any_order_and_others(tmp_path, header, names):
    found = csv_files.layout_of(put(tmp_path, "a.csv", f"{header}\n{LINE}\n"))
    assert isinstance(found, Layout)
    assert found.names == names
    assert found.extra == tuple(name for name in names if name not in Layout().names)


@pytest.mark.parametrize(
    ("begin", "problem"),
    [
        (HEADER.replace("UnitPrice", "Price"), "no column UnitPrice, but found 'Price': other names are a matter of"),
        (HEADER.removesuffix(",Country"), "no column Country"),
        (HEADER.lower(), "no column InvoiceNo"),
        (HEADER.replace(",", ";"), "the header has no ',': is the separator ';'. Then set input.separator"),
        ("sep=,", "begins with 'sep=,', which tells Excel the separator: take this line out"),
        ("sep=;", "begins with 'sep=;'"),
        (f"{HEADER},country", "the column 'country' twice"),
        (f"{HEADER},Prediction", "has a column prediction, a name that commands give"),
        (LINE, "no column InvoiceNo"),
        (f"\n{HEADER}", "the first line is blank"),
        (b"", "the file is empty"),
        (f"{HEADER},Stra\u00dfe".encode("latin-1"), "the header is not UTF-8: name the files' encoding in input"),
        (HEADER.encode("utf-16"), "looks like UTF-16: .* iconv -f UTF-16 -t UTF-8"),
        (HEADER.encode("utf-16-be"), "looks like UTF-16 without its mark"),
        (b"\xef\xbb\xbf" + b"a,b", "no column InvoiceNo"),
        (gzip.compress(b"x"), r"looks like gzip: give its name the ending \.csv\.gz"),
        (bz2.compress(b"x"), "looks like bzip2"),
        (b"PK\x03\x04\x14\x00", "looks like a zip archive, such as an Excel file: save it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "looks like an Excel file"),
        (b"PAR1\x15\x04", "looks like Parquet"),
        (b" \n<!DOCTYPE html>", "the first line is blank"),
        (b"<!DOCTYPE html>", "looks like HTML"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_why_and_the_way_out(tmp_path, begin, problem):
    begin = begin.encode() if isinstance(begin, str) else begin
    file = put(tmp_path, "a.csv", begin + f"\n{LINE}\n".encode() if begin else b"")
    with pytest.raises(InputError, match=rf"a\.csv: .*{problem}"):
        csv_files.check_headers([file])


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv.gz", CONTENT.encode(), r"is named \.gz, but is not packed so: take \.gz off its name"),
        ("a.CSV.BZ2", gzip.compress(b"x"), r"is named \.bz2, but is not packed so"),
        ("a.csv.gz", b"", "the file is empty"),
        ("a.csv.gz", gzip.compress(HEADER.encode("utf-16")), "looks like UTF-16"),
        ("a.csv.gz", gzip.compress(gzip.compress(b"x")), "looks like gzip"),
        ("a.csv.gz", gzip.compress(CONTENT.encode())[:-12], DAMAGED),
    ],
)
def test_a_packed_file_is_what_its_name_says(spark, tmp_path, name, content, problem):
    file = put(tmp_path, name, content)
    layouts, broken = csv_files.examine(spark, [file])
    assert not layouts
    assert re.search(problem, broken[file])


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_whether_a_file_unpacks_to_its_end_is_told_by_what_spark_unpacks_it_with(
    spark, tmp_path, pack
) -> None:
    """Defect 76: Python forgives zeros behind the end, Java does not."""
    packed = pack(b"a,b\n" * 50_000)
    suffix = "gz" if pack is gzip.compress else "BZ2"
    spoilt = {
        "whole": packed, "cut": packed[:-5], "torn": packed[:40] + bytes([packed[40] ^ 255]) + packed[41:],
        "two": packed * 2, "padded": packed + bytes(512), "chatter": packed + b"chatter",
    }  # fmt: skip
    for name, content in spoilt.items():
        file = put(tmp_path, f"{name}.csv.{suffix}", content)
        damage = csv_files.damage(spark, file)
        try:
            readable = spark.read.text(file).count() > 0
        except Exception:
            readable = False
        assert (damage is None) == readable, name
        assert damage is None or damage.startswith(DAMAGED)


def test_lines_come_without_headers_and_blanks_at_rest_and_as_a_stream(spark, tmp_path):
    """Defect 66: a file with CR line ends had "no column InvoiceNo", though it has all."""
    contents = {
        "blanks": f"{HEADER}\n{LINE}\n\n   \n",
        "CRLF": CONTENT.replace("\n", "\r\n"),
        "CR": CONTENT.replace("\n", "\r"),
        "byte order mark, header twice": f"\ufeff{CONTENT}\ufeff{HEADER}\n",
        "quotes": CONTENT.replace("Country", '"Country" ').replace("InvoiceNo", '"InvoiceNo"') + HEADER,
    }
    for number, text in enumerate(contents.values()):
        content = text.replace("536365", str(number))
        put(tmp_path, f"in/A{number}.CSV", content)
        put(tmp_path, f"in/b{number}.csv.GZ", gzip.compress(content.encode()))
        put(tmp_path, f"in/day=1/c{number}.csv.bz2", bz2.compress(content.encode()))
        put(tmp_path, f"in/_hidden{number}.csv", content)
    expected = [LINE.replace("536365", str(number)) for number in range(len(contents)) for _ in range(3)]
    assert at_rest(spark, tmp_path / "in") == expected
    assert streamed(spark, str(tmp_path / "in"), tmp_path) == expected


def test_text_is_read_in_the_encoding_that_the_settings_say(spark, tmp_path):
    line = LINE.replace(",", ";").replace("HOLDER", "Kühlschrank")
    put(tmp_path, "a.csv", f"{csv_files.header(GERMAN)}\r\n{line}\r\n".encode("latin-1"))
    assert at_rest(spark, tmp_path, GERMAN) == [line]
    undefined = Input(encoding="cp1252", separator=";")
    put(tmp_path, "a.csv", csv_files.header(undefined).encode() + b"\nx\x80y\x81z\n")
    assert at_rest(spark, tmp_path, undefined) == ["x€y\ufffdz"]


def test_what_spark_has_seen_are_the_files_in_which_it_found_a_header(spark, tmp_path):
    files = [put(tmp_path, name) for name in ("a.csv", "with space.csv", "ü.csv")]
    seen = Observation()
    assert len(texts(csv_files.read_lines(spark, files, seen=seen))) == 3
    assert set(seen.get["files"]) == {listing.source_name(file) for file in files}


def test_a_stream_goes_on_past_a_damaged_file(spark, tmp_path):
    put(tmp_path, "in/a.csv.gz", gzip.compress(CONTENT.encode())[:-9])
    put(tmp_path, "in/b.csv")
    assert LINE in streamed(spark, str(tmp_path / "in"), tmp_path)


def test_other_names_of_the_columns_are_those_that_the_settings_say(spark, tmp_path):
    put(tmp_path, "a.csv", f"{csv_files.header(ONLINE_RETAIL_II)}\n{LINE}\n")
    assert at_rest(spark, tmp_path, ONLINE_RETAIL_II) == [LINE]


def test_names_that_are_not_utf8_are_refused(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.csv")).write_text(CONTENT)
    with pytest.raises(InputError, match=r"caf\\udce9.csv: the file's name is not UTF-8.*rename it"):
        csv_files.check_data(str(tmp_path))


def test_a_stale_checksum_beside_a_file_does_not_keep_it_out(spark, tmp_path):
    put(tmp_path, "a.csv")
    put(tmp_path, ".a.csv.crc", b"crc\x00\x00\x00\x02\x00nonsense")
    assert at_rest(spark, tmp_path) == [LINE]


def kept(file: Path, reason: str = "r") -> list[str | None]:
    return [row["line"] for row in csv_files.quarantine_rows(str(file), reason=reason)]


def test_the_lines_before_the_damage_are_there_without_their_header(tmp_path: Path) -> None:
    """Defect 66: a truncated file gave one row and no line."""
    packed = gzip.compress("\n".join([HEADER, *NUMBERS]).encode())
    file = put(tmp_path, "cut.csv.gz", packed[: len(packed) // 2])
    found = kept(Path(file), DAMAGED)
    assert 10_000 < len(found) < 40_000
    assert found == NUMBERS[: len(found)]


def test_a_file_that_is_gone_leaves_one_row_without_a_line(spark, tmp_path: Path) -> None:
    assert csv_files.damage(spark, str(tmp_path / "gone.csv")) == GONE
    assert kept(tmp_path / "gone.csv", GONE) == [None]


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
def test_every_line_that_is_not_blank_or_a_header_is_kept(tmp_path, content, expected) -> None:
    assert kept(Path(put(tmp_path, "file.csv", content))) == expected
