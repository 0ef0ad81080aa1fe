"""What every command has in common: its help, its first line, its options, its JSON."""

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from retail_clusters import __main__
from retail_clusters.__main__ import cli
from retail_clusters.cli.common import (
    ExperimentOptions,
    data_option,
    experiment_options,
    print_header,
    print_json,
    reads_little,
    to_json,
    trials_option,
)
from retail_clusters.errors import InputError, PromotionRefusedError

ORDER = "main prepare train sweep promote rollback history score segments names purchases verify report generate fetch"


def said(*arguments: str) -> str:
    return CliRunner().invoke(cli, arguments, prog_name="python -m retail_clusters").output


def test_commands_stand_in_the_order_of_the_work():
    listed = [line.split()[0] for line in said("--help").split("Commands:\n")[1].splitlines()]
    assert listed == [name for name in ORDER.split() if name in listed]
    assert {"main", "sweep", "promote", "score", "fetch"} <= set(listed)


@pytest.mark.parametrize("name", [None, *cli.commands])
def test_help_cuts_no_sentence(name):
    assert "..." not in said(*[name] if name else [], "--help").replace("[ARGS]...", "")


@pytest.mark.parametrize("name", cli.commands)
def test_help_ends_with_an_example_that_parses(name):
    example = said(name, "--help").rstrip().splitlines()[-1].strip()
    words = example.replace('"', "").split()
    assert words[:4] == ["python", "-m", "retail_clusters", name]
    options = {each for param in cli.commands[name].params for each in param.opts}
    assert {word for word in words[4:] if word.startswith("--")} <= options


def test_every_command_with_an_experiment_takes_set():
    for command in cli.commands.values():
        options = {each for param in command.params for each in param.opts}
        assert ("--experiment" in options) == ("--set" in options), command.name


def test_bare_command_shows_its_usage_and_calls_it_no_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["retail_clusters"])
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    told = capsys.readouterr()
    assert ended.value.code == 2
    assert told.err.startswith("Usage:")


def test_first_line_hides_the_password_of_the_store(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ann:open-sesame@tracking:5000")
    print_header("train", "K=20, seed 1, on data")
    assert capsys.readouterr().out == (
        "train: K=20, seed 1, on data; results go to https://ann:***@tracking:5000\n"
    )


@click.command(context_settings={"token_normalize_func": lambda token: token.replace("_", "-")})
@data_option
@experiment_options
@trials_option
def probe(data: str, experiment: ExperimentOptions) -> None:
    trials = experiment.load().sweep.trials
    click.echo(f"{data} {experiment.file} {trials} {experiment.assignments} {experiment.name}")


@pytest.mark.parametrize("written", ["my data", "my data/", "./my data", "my data/."])
def test_data_is_the_same_however_its_path_is_written(written):
    assert (
        CliRunner().invoke(probe, ["--data", written]).output.startswith("my data experiments/default.yaml")
    )


def test_data_at_a_uri_stays_as_it_is():
    assert (
        CliRunner()
        .invoke(probe, ["--data", "s3a://bucket//by-day/"])
        .output.startswith("s3a://bucket//by-day/ ")
    )


def test_option_may_be_written_with_underscores_as_mlflow_hands_it_over():
    output = (
        CliRunner().invoke(probe, ["--experiment_name", "mine", "--set", "k=3", "--set", "seed=2"]).output
    )
    assert output.endswith("('k=3', 'seed=2') mine\n")


def test_option_for_a_setting_wins_over_set():
    output = CliRunner().invoke(probe, ["--set", "sweep.trials=5", "--trials", "7"]).output
    assert output.startswith("data/sample/by-day experiments/default.yaml 7 ")


@dataclass(frozen=True)
class Inner:
    share: float
    centres: object


@dataclass(frozen=True)
class Result:
    version: str
    when: datetime
    output: Path
    inner: tuple[Inner, ...]
    frame: object


def test_json_of_a_result_has_its_fields_and_nothing_of_what_is_no_value():
    result = Result(
        "3", datetime(2011, 7, 1, tzinfo=UTC), Path("out"), (Inner(float("nan"), np.eye(2)),), object()
    )
    assert json.loads(to_json(result)) == {
        "version": "3",
        "when": "2011-07-01T00:00:00Z",
        "output": "out",
        "inner": [{"share": None, "centres": [[1.0, 0.0], [0.0, 1.0]]}],
        "frame": None,
    }


def test_json_stands_alone_on_standard_output(capsys):
    def run() -> object:
        click.echo("for people")
        return {"k": 20}

    print_json(run)
    told = capsys.readouterr()
    assert json.loads(told.out) == {"k": 20}
    assert told.err == "for people\n"


def test_refusal_is_told_as_json_too(capsys):
    def refuse() -> object:
        raise PromotionRefusedError("version 3 is refused")

    with pytest.raises(PromotionRefusedError):
        print_json(refuse)
    assert json.loads(capsys.readouterr().out) == {"error": "version 3 is refused", "exit_code": 3}


def test_every_command_prints_its_result_as_json():
    options = {name: [text for each in of.params for text in each.opts] for name, of in cli.commands.items()}
    assert [name for name, known in options.items() if "--json" not in known] == []


def test_json_of_a_made_data_set_says_where_it_is(tmp_path: Path, capsys):
    output = str(tmp_path / "made")
    command = ["generate", "--output", output, "--days", "3", "--lines-per-day", "5", "--json"]
    cli.main(command, standalone_mode=False)
    told = json.loads(capsys.readouterr().out)
    assert (told["output"], told["days"], told["seed"]) == (output, 3, 7)
    files = [file.read_text(encoding="utf-8") for file in (tmp_path / "made").glob("*.csv")]
    assert told["lines"] == sum(len(text.splitlines()) - 1 for text in files)


@pytest.mark.parametrize("command", ["verify", "report"])
def test_command_that_is_about_nothing_announces_nothing(capsys, command: str):
    with pytest.raises(InputError):
        cli.main([command], standalone_mode=False)
    assert capsys.readouterr().out == ""


def test_a_job_reads_little_if_its_lines_are_few_and_on_this_machine(tmp_path):
    (tmp_path / "2011").mkdir()
    (tmp_path / "2011" / "small.csv").write_text("lines")
    assert reads_little([])
    assert reads_little([str(tmp_path)])
    assert not reads_little(["s3a://bucket/lines"])
    with (tmp_path / "2011" / "large.csv").open("wb") as file:
        file.truncate(300 << 20)
    assert not reads_little([str(tmp_path)])
    assert not reads_little([str(tmp_path / "20*" / "large.csv")])
    assert reads_little([str(tmp_path / "2011" / "small.csv"), str(tmp_path)])
