"""MLproject and the command line must offer the same."""

import shlex
from pathlib import Path

import click
import pytest
import yaml

from retail_clusters.__main__ import cli

PROJECT = Path(__file__).parents[1]
ENTRY_POINTS = yaml.safe_load((PROJECT / "MLproject").read_text(encoding="utf-8"))["entry_points"]


def options(command: click.Command) -> dict[str, click.Option]:
    return {name: each for each in command.params if isinstance(each, click.Option) for name in each.opts}


def test_every_command_is_an_entry_point_and_the_other_way_round():
    assert set(ENTRY_POINTS) == set(cli.commands)


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_entry_point_passes_each_parameter_to_the_option_of_its_name(name):
    entry = ENTRY_POINTS[name]
    words = shlex.split(entry["command"])
    assert words[:5] == ["env", "PYTHONPATH=src", "python", "-m", "retail_clusters"]
    assert words[5] == name
    passed = dict(zip(words[6::2], words[7::2], strict=True))
    expected = {f"--{each.replace('_', '-')}": f"{{{each}}}" for each in entry.get("parameters", {})}
    assert passed == expected
    assert passed.keys() <= options(cli.commands[name]).keys()


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_defaults_of_an_entry_point_are_those_of_its_command(name):
    known = options(cli.commands[name])
    for parameter, declared in ENTRY_POINTS[name].get("parameters", {}).items():
        option = known[f"--{parameter.replace('_', '-')}"]
        if "default" in declared:
            assert str(option.default).lower() == declared["default"].lower(), parameter
        else:
            assert option.required, parameter
