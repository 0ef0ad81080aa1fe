import gzip
import re
from datetime import date
from pathlib import Path

import pytest

from retail_clusters.data.csv_files import header
from retail_clusters.errors import InputError
from retail_clusters.input_settings import Columns, Input
from retail_clusters.registry import tracking
from retail_clusters.search.prepared import prepare
from retail_clusters.settings import Experiment, Split
from tests.conftest import SAMPLE

SAMPLE_DIGEST = "2:36f84865596f4934a97963b541879c4f"
LINES = [
    f"{day},A,CUP,{day},2011-{month:02}-{day:02} 08:00:00,2.5,{'' if day % 2 else '17850.0'},UK"
    for month in (1, 8, 11)
    for day in range(1, 8)
]


@pytest.fixture
def place(workplace: Path) -> Path:
    tracking.connect(experiment="prepare")
    return workplace


@pytest.fixture
def data(place: Path) -> Path:
    """A few lines in each part of the split."""
    write(place / "in" / "a.csv", LINES)
    return place / "in"


def write(file: Path, lines: list[str], *, header: str = header()) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join([header, *lines, ""]).encode()
    file.write_bytes(gzip.compress(text) if file.suffix == ".gz" else text)
    return file


def prepared_by(spark, data, experiment=None) -> tuple[str, str]:
    """The run whose lines are used, and their digest."""
    table = prepare(spark, data=str(data), experiment=experiment or Experiment()).table
    return table.run_id, table.data_digest


def test_the_sample_has_the_digest_that_it_always_had(spark, place):
    assert prepared_by(spark, SAMPLE)[1] == SAMPLE_DIGEST


def test_unchanged_input_is_not_read_again_and_the_run_is_named(spark, data, capsys):
    first = prepared_by(spark, data)
    jobs = spark.sparkContext._jsc.sc().dagScheduler().nextJobId()
    assert prepared_by(spark, data) == first
    assert spark.sparkContext._jsc.sc().dagScheduler().nextJobId() == jobs, "a Spark job ran"
    assert f"reused the lines of run {first[0]}" in capsys.readouterr().out


def test_any_change_of_a_byte_reads_the_files_again_and_another_split_does_not(spark, data):
    runs = [prepared_by(spark, data)]
    write(data / "a.csv", [LINES[1], LINES[0], *LINES[2:]])
    runs.append(prepared_by(spark, data))
    assert runs[0][1] == runs[1][1], "the order of lines is no content"

    write(data / "a.csv", [LINES[0].replace("UK", "uk"), *LINES[1:]])
    runs.append(prepared_by(spark, data))
    assert runs[1][1] != runs[2][1]

    other = Experiment(split=Split(train_until=date(2011, 6, 1)))
    assert prepared_by(spark, data, other) == runs[-1]
    assert len({run for run, _ in runs}) == len(runs)


def test_how_lines_are_laid_out_in_files_is_no_content(spark, data, place):
    write(place / "other" / "year=2011" / "month=1" / "x.csv", LINES[:5])
    write(place / "other" / "year=2011" / "T08:00.csv.gz", [*LINES[5:9], "", header()])
    (place / "other" / "z.csv").write_text("\r".join([header(), *LINES[9:]]))
    assert prepared_by(spark, data)[1] == prepared_by(spark, place / "other")[1]


def test_the_same_lines_in_another_form_are_the_same_data(spark, data, place):
    how = Input(
        separator=";", decimal=",", date_format="dd/MM/yy HH:mm", encoding="latin-1",
        columns=Columns(invoice_no="Invoice", unit_price="Price", customer_id="Customer ID"),
    )  # fmt: skip
    names, fields = [*how.columns.names, "Öl"], [[*british(line), "ß"] for line in LINES]
    put(place / "other" / "A.CSV", [";".join(reversed(each)) for each in (names, *fields[:9])])
    put(
        place / "other" / "b.csv",
        [";".join(each) for each in (names[:8], *(each[:8] for each in fields[9:]))],
    )
    usual = prepare(spark, data=str(data), experiment=Experiment())
    other = prepare(spark, data=str(place / "other"), experiment=Experiment(input=how))
    assert other.table.data_digest == usual.table.data_digest
    assert sorted(usual.lines.collect()) == sorted(other.lines.collect())
    assert usual.table.days == other.table.days
    assert usual.table.parts(Split()) == {"train": 7, "validation": 7, "test": 7}


def put(file: Path, lines: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\r\n".join(lines), encoding="latin-1", newline="")


def british(line: str) -> list[str]:
    """The fields of a line with a date such as 23/06/11 08:00, and decimal commas."""
    dated = re.sub(r"20(\d\d)-(\d\d)-(\d\d) (\d\d:\d\d):00", r"\3/\2/\1 \4", line)
    return [field.replace(".", ",") if at in {5, 6} else field for at, field in enumerate(dated.split(","))]


def test_a_split_that_leaves_a_part_empty_is_refused_with_the_counts(spark, data):
    late = Experiment(split=Split(train_until=date(2012, 1, 1), validate_until=date(2012, 2, 1)))
    with pytest.raises(InputError, match=r"validation and test got none \(train 21, validation 0, test 0"):
        prepared_by(spark, data, late)


def test_dates_in_another_form_are_told_with_the_setting_that_helps(spark, place):
    lines = [f"1,A,CUP,6,13/0{month}/2011 08:00,2.5,1.0,UK" for month in (1, 8, 9)]
    write(place / "in" / "a.csv", lines)
    with pytest.raises(
        InputError,
        match=r"3 of 3 are, 3 because InvoiceDate is not a date.* \(a.csv, line 2\): say in input.date_format",
    ):
        prepared_by(spark, place / "in")


def test_semicolons_under_a_good_header_are_asked_for(spark, place):
    write(place / "in" / "a.csv", [line.replace(",", ";") for line in LINES])
    with pytest.raises(
        InputError,
        match=r"the fields are fewer or more than the header's.*is the separator ';'\? Then set input.separator",
    ):
        prepared_by(spark, place / "in")


def test_quarantined_lines_are_told_with_reasons_and_places_up_to_the_share_that_is_refused(
    spark, data, capsys
):
    write(data / "b.csv", [*LINES[:2], *(["too,short"] * 9), LINES[0].replace(",2.5,", ",two,")])
    for _ in ("made", "reused"):
        table = prepare(spark, data=str(data), experiment=Experiment()).table
        assert [(each.lines, each.file.rpartition("/")[2], each.line_number) for each in table.reasons] == [
            (9, "b.csv", 4), (1, "b.csv", 13)
        ]  # fmt: skip
        told = capsys.readouterr().out
        assert (
            "prepare: quarantined 10 of 33 lines:\n"
            "  9 because the fields are fewer or more than the header's, such as 'too,short'" in told
        )
        assert (
            "  1 because UnitPrice is not a number, such as '1,A,CUP,1,2011-01-01 08:00:00,two,,UK' (b.csv, line 13)"
            in told
        )
    strict = Experiment(input=Input(max_quarantined=0.3))
    with pytest.raises(
        InputError,
        match=r"at most 30.0% of the lines .*10 of 33 are, 9 because the fields are fewer or more than the header's",
    ):
        prepared_by(spark, data, strict)


def test_files_that_are_passed_over_are_told_in_one_line(spark, data, capsys):
    for name in ("notes.txt", ".hidden.csv", "b.csv.zip"):
        (data / name).write_text("x")
    (data / "latest.csv").symlink_to(data / "a.csv")
    prepared_by(spark, data)
    assert (
        "prepare: 5 files: 1 read, 4 passed over by name: 1 hidden, 2 with another suffix (1 .csv.zip, 1 .txt), "
        "1 a second name of a file\n"
    ) in capsys.readouterr().out


def test_a_packed_file_that_ends_early_is_named(spark, data):
    file = write(data / "b.csv.gz", [f"{number},{line}" for number in range(3000) for line in LINES])
    file.write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"b\.csv\.gz: the file cannot be unpacked to its end"):
        prepared_by(spark, data)
