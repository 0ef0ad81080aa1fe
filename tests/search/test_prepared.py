import gzip
from datetime import date
from pathlib import Path

import pytest

from retail_clusters.data.csv_files import header
from retail_clusters.errors import InputError
from retail_clusters.registry import tracking
from retail_clusters.search.prepared import prepare
from retail_clusters.settings import Columns, Experiment, Split
from tests.conftest import SAMPLE

SAMPLE_DIGEST = "13af985b9cbe129be4e1eb0cf2bc7685"
REAL_DIGEST = "eaa52dd8c1061c34986774f92961414b"
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
    """The run whose rows are used, and their digest."""
    table = prepare(spark, data=str(data), experiment=experiment or Experiment()).table
    return table.run_id, table.data_digest


def test_the_sample_has_the_digest_that_it_always_had(spark, place):
    assert prepared_by(spark, SAMPLE)[1] == SAMPLE_DIGEST


@pytest.mark.soak
@pytest.mark.real
def test_the_real_data_has_the_digest_that_it_always_had(spark, place, real_data):
    """The suite holds it where training reads the real data (training/test_real_data)."""
    assert prepared_by(spark, real_data)[1] == REAL_DIGEST


def test_unchanged_input_is_not_read_again_and_the_run_is_named(spark, data, capsys):
    first = prepared_by(spark, data)
    jobs = spark.sparkContext._jsc.sc().dagScheduler().nextJobId()
    assert prepared_by(spark, data) == first
    assert spark.sparkContext._jsc.sc().dagScheduler().nextJobId() == jobs, "a Spark job ran"
    assert f"reused the rows of run {first[0]}" in capsys.readouterr().out


def test_any_change_of_a_byte_or_a_setting_makes_the_rows_again(spark, data):
    runs = [prepared_by(spark, data)]
    write(data / "a.csv", [LINES[1], LINES[0], *LINES[2:]])
    runs.append(prepared_by(spark, data))
    assert runs[0][1] == runs[1][1], "the order of lines is no content"

    write(data / "a.csv", [LINES[0].replace("UK", "uk"), *LINES[1:]])
    runs.append(prepared_by(spark, data))
    assert runs[1][1] != runs[2][1]

    other = Experiment(split=Split(train_until=date(2011, 6, 1)))
    runs.append(prepared_by(spark, data, other))
    assert len({run for run, _ in runs}) == len(runs)


def test_how_lines_are_laid_out_in_files_is_no_content(spark, data, place):
    write(place / "other" / "year=2011" / "month=1" / "x.csv", LINES[:5])
    write(place / "other" / "year=2011" / "T08:00.csv.gz", [*LINES[5:9], "", header()])
    (place / "other" / "z.csv").write_text("\r".join([header(), *LINES[9:]]))
    assert prepared_by(spark, data)[1] == prepared_by(spark, place / "other")[1]


def test_other_names_and_dates_of_the_same_facts_make_the_same_rows(spark, data, place):
    columns = Columns(
        invoice_no="Invoice", unit_price="Price", customer_id="Customer ID", date_format="dd/MM/yyyy HH:mm"
    )
    lines = [line.replace(line[line.index("2011-") :][:19], british(line)) for line in LINES]
    write(place / "other" / "a.csv", lines, header=header(columns))
    usual = prepare(spark, data=str(data), experiment=Experiment())
    other = prepare(spark, data=str(place / "other"), experiment=Experiment(columns=columns))
    assert sorted(usual.reduced.drop("split").collect()) == sorted(other.reduced.drop("split").collect())
    assert dict(usual.table.lines) == dict(other.table.lines) == {"train": 7, "validation": 7, "test": 7}


def british(line: str) -> str:
    year, month, day, hour = (
        line[line.index("2011-") :][part] for part in (slice(0, 4), slice(5, 7), slice(8, 10), slice(11, 16))
    )
    return f"{day}/{month}/{year} {hour}"


def test_a_split_that_leaves_a_part_empty_is_refused_with_the_counts(spark, data):
    late = Experiment(split=Split(train_until=date(2012, 1, 1), validate_until=date(2012, 2, 1)))
    with pytest.raises(InputError, match=r"validation and test got none \(train 21, validation 0, test 0"):
        prepared_by(spark, data, late)


def test_dates_in_another_form_are_told_with_the_setting_that_helps(spark, place):
    lines = [f"1,A,CUP,6,13/0{month}/2011 08:00,2.5,1.0,UK" for month in (1, 8, 9)]
    write(place / "in" / "a.csv", lines)
    with pytest.raises(
        InputError, match=r"3 of 3 are quarantined, 3 because InvoiceDate is not a date.*columns.date_format"
    ):
        prepared_by(spark, place / "in")


def test_semicolons_under_a_good_header_are_asked_for(spark, place):
    write(place / "in" / "a.csv", [line.replace(",", ";") for line in LINES])
    with pytest.raises(InputError, match=r"a field is missing .*is the separator a semicolon"):
        prepared_by(spark, place / "in")


def test_mostly_quarantined_lines_are_warned_of_and_the_good_ones_used(spark, data, capsys):
    write(data / "b.csv", ["too,short"] * 30)
    prepared_by(spark, data)
    assert "30 of 51 are quarantined, 30 because a field is missing" in capsys.readouterr().err


def test_a_packed_file_that_ends_early_is_named(spark, data):
    file = write(data / "b.csv.gz", [f"{number},{line}" for number in range(3000) for line in LINES])
    file.write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"b\.csv\.gz: the file cannot be unpacked to its end"):
        prepared_by(spark, data)
