import bz2
import gzip
from pathlib import Path

import pytest

from retail_clusters.data import csv_files
from retail_clusters.errors import InputError

LINE = "536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom"


def write(file: Path, *lines: str) -> Path:
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def texts(spark, files) -> list[str]:
    return sorted(row.line for row in csv_files.read_lines(spark, files).collect())


def test_files_of_a_folder_are_found_by_name_and_others_left_alone(tmp_path):
    for name in ("b.csv", "a.csv.gz", "notes.txt", ".hidden.csv", "_made.csv"):
        (tmp_path / name).touch()
    assert [file.name for file in csv_files.find_files(str(tmp_path))] == ["a.csv.gz", "b.csv"]


def test_files_of_a_glob_and_a_single_file_are_found(tmp_path):
    one, two = write(tmp_path / "x1.csv", "h"), write(tmp_path / "x2.csv", "h")
    assert csv_files.find_files(str(tmp_path / "x*.csv")) == [one, two]
    assert csv_files.find_files(str(one)) == [one]


def test_missing_path_is_refused(tmp_path):
    with pytest.raises(InputError, match="found no such path"):
        csv_files.find_files(str(tmp_path / "nowhere"))


def test_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="found none in the folder"):
        csv_files.find_files(str(tmp_path))


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (csv_files.HEADER, None),
        ("\ufeff" + csv_files.HEADER + "\r", None),
        ('"InvoiceNo",StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country', None),
        (csv_files.HEADER.replace("UnitPrice", "Price"), "no column UnitPrice; found 'Price'"),
        (csv_files.HEADER.removesuffix(",Country"), "no column Country"),
        ("Country," + csv_files.HEADER.removesuffix(",Country"), "stand in another order"),
        (LINE, "no column InvoiceNo"),
        ("", "the file is empty"),
    ],
)
def test_header_problem_names_what_lacks_and_what_was_found(tmp_path, header, problem):
    file = tmp_path / "a.csv"
    file.write_text(f"{header}\n{LINE}\n" if header else "", encoding="utf-8")
    found = csv_files.header_problem(file)
    assert found == problem or (problem and problem in (found or ""))


def test_file_that_is_no_text_is_a_header_problem(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00\x01\x80")
    (tmp_path / "b.csv.gz").write_bytes(b"not gzip")
    assert csv_files.header_problem(tmp_path / "a.csv") == "the file cannot be read as CSV text"
    assert csv_files.header_problem(tmp_path / "b.csv.gz") == "the file cannot be read as CSV text"


def test_check_headers_names_the_file(tmp_path):
    bad = write(tmp_path / "bad.csv", "a,b", "1,2")
    with pytest.raises(InputError, match=r"bad\.csv: the header differs"):
        csv_files.check_headers([bad])


def test_lines_come_without_header_and_blanks_from_plain_and_packed_files(spark, tmp_path):
    content = f"{csv_files.HEADER}\n{LINE}\n\n   \n"
    plain = write(tmp_path / "a.csv", *content.splitlines())
    packed, squeezed = tmp_path / "b.csv.gz", tmp_path / "c.csv.bz2"
    packed.write_bytes(gzip.compress(content.encode()))
    squeezed.write_bytes(bz2.compress(content.encode()))
    assert texts(spark, [plain, packed, squeezed]) == [LINE] * 3


def test_lines_of_a_file_with_byte_order_mark_and_quoted_header_come_without_header(spark, tmp_path):
    header = ",".join(f'"{name}"' for name in csv_files.HEADER.split(","))
    file = tmp_path / "a.csv"
    file.write_text(f"\ufeff{header}\r\n{LINE}\r\n", encoding="utf-8")
    assert texts(spark, [file]) == [LINE]


def test_source_file_names_the_file(spark, tmp_path):
    file = write(tmp_path / "with space.csv", csv_files.HEADER, LINE)
    row = csv_files.read_lines(spark, [file]).first()
    assert "with" in row.source_file


def test_fingerprint_changes_when_a_file_is_written_again(tmp_path):
    file = write(tmp_path / "a.csv", "x")
    before = csv_files.fingerprint([file])
    assert csv_files.fingerprint([file]) == before
    write(file, "y")
    assert csv_files.fingerprint([file]) != before
