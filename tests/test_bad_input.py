"""A user's mistake: exit code 2, one clear line, no stack trace, and no Spark is started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from retail_clusters import __main__
from retail_clusters.errors import InputError
from retail_clusters.infra import spark as session
from retail_clusters.infra.spark import check_java
from tests.conftest import PROJECT, SAMPLE

DEFAULT = PROJECT / "experiments" / "default.yaml"
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"


@pytest.fixture
def told(workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a command line in this process; give its exit code and what it said on stderr."""

    def no_spark(*_: object) -> None:
        pytest.fail("Spark was started")

    monkeypatch.setattr(session, "spark_session", no_spark)

    def run(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["retail_clusters", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            __main__.main()
        return int(str(ended.value.code)), capsys.readouterr().err

    return run


def assert_one_line(told: tuple[int, str], *parts: str) -> None:
    code, text = told
    assert code == 2, text
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    for part in parts:
        assert part in text


def settings_file(folder: Path, text: str) -> Path:
    file = folder / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("command", ["main", "prepare", "train", "sweep"])
def test_no_such_path(told, command):
    assert_one_line(told(command, "--data", "nowhere", "--experiment", DEFAULT), "nowhere", "no such path")


def test_an_empty_folder(told, workplace):
    (workplace / "empty").mkdir()
    assert_one_line(told("prepare", "--data", "empty", "--experiment", DEFAULT), "found none in empty")


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        (HEADER.replace("Quantity", "Qty"), ["no column Quantity", "found 'Qty'"]),
        (HEADER.replace(",Country", ""), ["no column Country"]),
        ("", ["the file is empty"]),
    ],
)
def test_a_missing_or_misnamed_column(told, workplace, header, parts):
    (workplace / "in").mkdir()
    (workplace / "in" / "a.csv").write_text(f"{header}\n" if header else "", encoding="utf-8")
    assert_one_line(told("train", "--data", "in", "--experiment", DEFAULT), "a.csv", *parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sweep: {trails: 3}", ["trails"]),
        ("k: 1", ["k"]),
        ("sweep: {k_min: 1}", ["k_min"]),
        ("features: {scaling: log}", ["features.scaling is gone", "features.price.scale"]),
        ("unit: {by: CustomerID}", ["lasts, and needs a window", "days: 180"]),
        ("features: {price: {sql: UnitPrize}}", ["features.price", "UnitPrize", "UnitPrice"]),
        ("features: {price: {sql: rand()}}", ["features.price", "rand"]),
        ("split: {train_until: 2011-10-01, validate_until: 2011-07-01}", ["validate_until"]),
        ("k: [", ["mine.yaml"]),
    ],
)
def test_settings_that_are_unknown_or_impossible(told, workplace, text, parts):
    file = settings_file(workplace, text)
    assert_one_line(told("sweep", "--data", SAMPLE, "--experiment", file), *parts)


def test_a_k_below_two_on_the_command_line(told):
    assert_one_line(told("train", "--data", SAMPLE, "--experiment", DEFAULT, "--k", "1"), "k")


@pytest.mark.parametrize("command", ["main", "sweep"])
def test_a_password_on_the_command_line_is_refused_and_not_shown(told, command):
    address = "postgresql://ann:open-sesame@host/studies"
    code, text = told(command, "--data", SAMPLE, "--experiment", DEFAULT, "--storage", address)
    assert_one_line((code, text), "postgresql://ann:***@host/studies", "RETAIL_CLUSTERS_STORAGE")
    assert "open-sesame" not in text


@pytest.mark.parametrize("typed", [[], ["--run-id", "0" * 32, "--version", "3"]])
@pytest.mark.parametrize("command", ["verify", "report"])
def test_neither_a_run_nor_a_version_or_both(told, command, typed):
    assert_one_line(told(command, *typed), f"{command} takes a run or a version")


@pytest.mark.parametrize("command", ["main", "score", "history"])
def test_a_folder_without_the_experiment(told, command):
    assert_one_line(told(command), "experiments/default.yaml cannot be read", "go to the project's folder")


def test_an_empty_section_and_a_parameter_of_it(told, workplace):
    file = settings_file(workplace, "sweep:\n")
    refused = told("sweep", "--data", "nowhere", "--experiment", file, "--trials", "3")
    assert_one_line(refused, "nowhere", "no such path")


def test_a_setting_that_was_typed_wrong_is_named(told):
    typed = ["--set", "sweep.trails=3"]
    assert_one_line(told("sweep", "--experiment", DEFAULT, *typed), "unknown setting sweep.trails")


def test_a_number_that_is_none(told):
    assert_one_line(told("train", "--data", SAMPLE, "--k", "many"), "--k", "many")


@pytest.mark.parametrize(
    ("banner", "found"),
    [
        (None, "found none"),
        ('openjdk version "11.0.2" 2019-01-15', "is Java 11"),
        ('java version "1.8.0_202"', "is Java 8"),
    ],
)
def test_no_java_or_one_that_is_too_old(workplace, monkeypatch, banner, found):
    (workplace / "bin").mkdir()
    if banner:
        java = workplace / "bin" / "java"
        java.write_text(f"#!/bin/sh\necho '{banner}' >&2\n", encoding="utf-8")
        java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(workplace))
    with pytest.raises(InputError, match=found) as refused:
        check_java()
    assert "apt-get install openjdk" in str(refused.value)


def test_the_command_itself_ends_with_code_2_and_no_stack_trace(workplace):
    done = subprocess.run(
        [sys.executable, "-m", "retail_clusters", "train", "--data", "nowhere", "--experiment", DEFAULT],
        env=os.environ | {"JAVA_HOME": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: data must name a folder")
    assert done.stderr.count("\n") == 1


def test_a_pattern_that_the_shell_has_expanded_is_told_in_short(told):
    files = [f"in/day-{number}.csv" for number in range(300)]
    code, text = told("prepare", "--data", *files)
    assert_one_line((code, text), "unexpected extra arguments", "between quotes")
    assert len(text) < 400


def test_a_password_in_a_stray_argument_is_not_shown(told):
    assert "open-sesame" not in told("sweep", "postgresql://ann:open-sesame@host/studies")[1]


def test_an_unknown_command_says_where_to_find_the_others(told):
    assert_one_line(told("scores"), "No such command 'scores'", "--help lists them")
