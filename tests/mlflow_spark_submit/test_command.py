"""Invariants of the one form of command that spark-submit can run."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.exceptions import ExecutionException

from mlflow_spark_submit.submission import ModuleCommand, parse_command


def test_command_of_a_module_gives_its_arguments_and_variables():
    command = "env PYTHONPATH=src LEVEL='a b' python -m shop.jobs main --data 'a b' --trials ''"
    assert parse_command(command) == ModuleCommand(
        module="shop.jobs",
        arguments=("main", "--data", "a b", "--trials", ""),
        variables={"PYTHONPATH": "src", "LEVEL": "a b"},
    )


@given(st.lists(st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)))))
def test_every_quoted_argument_arrives_as_it_was(values):
    command = " ".join(["python3 -m job", *map(shlex.quote, values)])
    assert parse_command(command).arguments == tuple(values)


@pytest.mark.parametrize(
    "command", ["python job.py", "Rscript job.R", "python -m", "make run", "", "env A=b"]
)
def test_what_is_no_module_is_refused_in_one_line(command):
    with pytest.raises(ExecutionException, match=r"python -m MODULE .* but got .*: change") as refusal:
        parse_command(command)
    assert "\n" not in str(refusal.value)
