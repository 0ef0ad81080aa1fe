import pytest
from pydantic import ValidationError

from retail_clusters.input_settings import Columns, Input, single_bytes
from retail_clusters.settings import Experiment


@pytest.mark.parametrize(
    "form",
    [
        "dd/MM/yyyy HH:mm", "M/d/yyyy H:mm", "yyyy-MM-dd'T'HH:mm:ss", "yyyy-MM-dd", "dd.MM.yy", "yyyyMMdd HHmmss",
        "MM/dd/yyyy hh:mm:ss a", "d_M_yy", "yyyy-MM-dd HH:mm:ss.SSS",
    ],
)  # fmt: skip
def test_a_date_format_of_numbers_is_taken(form):
    assert Input(date_format=form).date_format == (form,)


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("", "has year, month and day once"),
        ("HH:mm", "has year, month and day once"),
        ("yyyy-MM", "has year, month and day once"),
        ("dd MMM yyyy", "holds 'MMM'"),
        ("yyyy-MM-dd VV", "holds 'VV'"),
        ("YYYY-MM-DD", "holds 'YYYY'"),
        ("dd/MM/yyyy HH:MM", "the month is MM, minutes are mm"),
        ("dd/mm/yyyy", "the month is MM, minutes are mm"),
        ("dd/MM/yyyy hh:mm", "as HH:mm:ss or hh:mm a"),
        ("dd/MM/yyyy HH:mm a", "as HH:mm:ss or hh:mm a"),
        ("dd/MM/yyyy HH hh a", "as HH:mm:ss or hh:mm a"),
        ("dd/MM/yyyy mm", "as HH:mm:ss or hh:mm a"),
        ("dd/MM/yyyy HH ss", "as HH:mm:ss or hh:mm a"),
        ("dMyyyy", "put a sign between d and M"),
        ("dd/MM/yyyy yy", "has year, month and day once"),
    ],
)
def test_a_date_format_that_cannot_be_meant_is_refused_with_the_right_one(form, told):
    with pytest.raises(ValidationError, match=told):
        Input(date_format=form)


@pytest.mark.parametrize(
    "forms",
    [
        ("dd/MM/yyyy", "MM/dd/yyyy"),
        ("d/M/yyyy", "dd/MM/yyyy"),
        ("yyyyMMdd", "ddMMyyyy"),
        ("dd/MM/yy", "yy/MM/dd"),
    ],
)
def test_two_date_formats_that_read_the_same_text_are_refused(forms):
    with pytest.raises(ValidationError, match="both read some"):
        Input(date_format=forms)


def test_several_date_formats_that_differ_are_taken():
    forms = ("dd/MM/yyyy HH:mm", "dd/MM/yyyy", "yyyy-MM-dd HH:mm:ss", "dd/MM/yy")
    assert Input(date_format=list(forms)).date_format == forms


@pytest.mark.parametrize(
    "wrong",
    [
        {"encoding": "utf-16"},
        {"encoding": "cp500"},
        {"encoding": "shift_jis"},
        {"encoding": "klingon"},
        {"separator": ""},
        {"separator": ",,"},
        {"separator": "0"},
        {"separator": "."},
        {"separator": '"'},
        {"quote": "''"},
        {"decimal": ";"},
        {"decimal": ",", "thousands": ","},
        {"thousands": ".", "decimal": "."},
        {"thousands": "0"},
        {"null_words": [""]},
        {"null_words": [" NULL"]},
        {"date_format": []},
        {"max_quarantined": 1.5},
    ],
)
def test_what_no_file_can_be_written_in_is_refused(wrong):
    with pytest.raises(ValidationError):
        Input.model_validate(wrong)


@pytest.mark.parametrize("name", ["", " Price", "Price ", 'a"b', "a\nb", "invoiceno"])
def test_a_column_name_that_no_header_can_tell_is_refused(name):
    with pytest.raises(ValidationError):
        Columns(unit_price=name)


def test_encodings_have_one_name():
    assert [Input(encoding=name).encoding for name in ("UTF8", "utf-8-sig", "latin1", "windows-1252")] == [
        "utf-8", "utf-8", "iso8859-1", "cp1252"
    ]  # fmt: skip
    assert (single_bytes("cp1252") or "")[0x80] == "€"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"date_format": "dd/MM/yy HH:mm", "null_words": "NULL", "separator": "\t", "thousands": "."}
        | {"decimal": ","},
        {"date_format": ["dd/MM/yy", "yyyy-MM-dd"], "null_words": ["NULL", "[x]", "n/a"], "quote": ""},
        {"null_words": "[x]"},
    ],
)
def test_flat_settings_give_the_input_back(given):
    made = Experiment(input=Input.model_validate(given))
    assert Experiment.from_flat(made.flat()) == made


def test_settings_of_a_run_of_an_earlier_release_are_read_under_their_names_of_now():
    found = Experiment.from_flat(
        {"columns.unit_price": "Price", "columns.date_format": "dd/MM/yyyy", "k": "5"}
    )
    assert (found.input.columns.unit_price, found.input.date_format, found.k) == ("Price", ("dd/MM/yyyy",), 5)
