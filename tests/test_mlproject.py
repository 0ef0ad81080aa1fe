"""MLproject and the command line must offer the same."""

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml
from mlflow.projects import load_project

from retail_clusters.__main__ import cli

PROJECT = Path(__file__).parents[1]
TEXT = (PROJECT / "MLproject").read_text(encoding="utf-8")
ENTRY_POINTS = yaml.safe_load(TEXT)["entry_points"]
ALSO = {
    entry: names.split(", ") for names, entry in re.findall(r"^  # also: (.+)\n  (\w+):$", TEXT, re.MULTILINE)
}
NOT_FOR_MLFLOW = {"--help", "--json"}


def options(command: click.Command) -> dict[str, click.Option]:
    return {name: each for each in command.params if isinstance(each, click.Option) for name in each.opts}


def option(parameter: str) -> str:
    return f"--{parameter.replace('_', '-')}"


def test_every_command_is_an_entry_point_and_the_other_way_round():
    assert set(ENTRY_POINTS) == set(cli.commands)


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_entry_point_passes_each_parameter_to_the_option_of_its_name(name):
    entry = ENTRY_POINTS[name]
    words = shlex.split(entry["command"])
    assert words[:5] == ["env", "PYTHONPATH=src", "python", "-m", "retail_clusters"]
    assert words[5] == name
    passed = dict(zip(words[6::2], words[7::2], strict=True))
    assert passed == {option(each): f"{{{each}}}" for each in entry.get("parameters", {})}
    assert passed.keys() <= options(cli.commands[name]).keys()


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_entry_point_names_every_option_of_its_command(name):
    told = {option(each) for each in [*ENTRY_POINTS[name].get("parameters", {}), *ALSO.get(name, [])]}
    assert told == options(cli.commands[name]).keys() - NOT_FOR_MLFLOW


@pytest.mark.parametrize("name", ALSO)
def test_parameter_that_is_not_declared_reaches_its_option_as_typed(name):
    given = dict.fromkeys(ALSO[name], "0 a")
    required = {
        each: "0" for each, how in ENTRY_POINTS[name].get("parameters", {}).items() if "default" not in how
    }
    command = load_project(str(PROJECT)).get_entry_point(name).compute_command(given | required, None)
    words = shlex.split(command)[6:]
    with cli.make_context("retail_clusters", [name]) as context:
        parser = cli.commands[name].make_parser(click.Context(cli.commands[name], parent=context))
        parsed, _, _ = parser.parse_args(words)
    for parameter in given:
        named = options(cli.commands[name])[option(parameter)]
        assert parsed[named.name] in ("0 a", ["0 a"]), parameter


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_defaults_of_an_entry_point_are_those_of_its_command(name):
    known = options(cli.commands[name])
    for parameter, declared in ENTRY_POINTS[name].get("parameters", {}).items():
        of_command = known[option(parameter)]
        if "default" in declared:
            assert str(of_command.default).lower() == declared["default"].lower(), parameter
        else:
            assert of_command.required, parameter
