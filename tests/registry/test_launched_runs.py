"""Commands under `mlflow run`: MLflow's own code makes the run, as it does before it starts the command."""

from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.projects import utils as projects

from retail_clusters.registry import tracking
from tests.conftest import PROJECT

Launch = Callable[..., str]
WITH_SPACES = {"data": "my data/by-day", "reason": "it's better, they say", "source": "a b", "output": "c d"}


@pytest.fixture
def launch(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Launch:
    """Make the run that `mlflow run -e ENTRY -P …` makes; give its id."""

    def make(entry: str, experiment: str | None = None, **parameters: str) -> str:
        experiment_id = MlflowClient().create_experiment(experiment) if experiment else "0"
        made = projects.get_or_create_run(
            None, str(PROJECT), experiment_id, str(PROJECT), None, entry, parameters
        )
        monkeypatch.setenv("MLFLOW_RUN_ID", made.info.run_id)
        monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment_id)
        return str(made.info.run_id)

    return make


def everything() -> list[Run]:
    found: list[Run] = mlflow.search_runs(search_all_experiments=True, output_format="list")
    return found


def test_run_in_a_named_experiment_is_adopted_by_the_first_run(launch: Launch):
    launched = launch("main", experiment="mine")
    tracking.connect(experiment="another")
    with tracking.run("main") as main, tracking.run("prepare") as child:
        pass
    assert main == launched
    assert {run.info.run_id: run.info.run_name for run in everything()} == {main: "main", child: "prepare"}


def test_run_in_default_leads_to_one_in_the_experiment_of_the_file(launch: Launch):
    launched = launch("main")
    tracking.connect(experiment="mine")
    with tracking.run("main") as main, tracking.run("prepare") as child:
        pass
    placeholder = tracking.read_run(launched)
    mine = mlflow.get_experiment_by_name("mine").experiment_id
    assert {tracking.read_run(each).info.experiment_id for each in (main, child)} == {mine}
    assert placeholder.data.tags["mlflow.parentRunId"] == main
    assert f"(#/experiments/{mine}/runs/{main}" in placeholder.data.tags["mlflow.note.content"]


def test_experiment_named_by_the_environment_stays(launch: Launch, monkeypatch: pytest.MonkeyPatch):
    launched = launch("main")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "Default")
    tracking.connect(experiment="mine")
    with tracking.run("main") as run_id:
        pass
    assert run_id == launched


@pytest.mark.parametrize("experiment", ["mine", None])
def test_values_that_mlflow_run_has_quoted_are_read_as_typed(launch: Launch, experiment: str | None):
    launch("purchases", experiment=experiment, **WITH_SPACES)
    tracking.connect(experiment="mine")
    with tracking.run("purchases") as run_id:
        tracking.log_settings(WITH_SPACES | {"k": "20"})
    assert tracking.settings_of(tracking.read_run(run_id)).items() >= {**WITH_SPACES, "k": "20"}.items()


def test_param_that_a_run_holds_stays(launch: Launch):
    launched = launch("main", experiment="mine", trials="12", model="")
    tracking.connect(experiment="mine")
    with tracking.run("main"):
        tracking.log_settings({"trials": "13", "model": "retail"})
    settings = tracking.settings_of(tracking.read_run(launched))
    assert settings["trials"] == "12"
    assert "model" not in settings


def test_value_that_a_person_put_in_quotes_keeps_them(workplace: Path):
    with tracking.run("train") as run_id:
        tracking.log_settings({"data": "'quoted'"})
    assert tracking.settings_of(tracking.read_run(run_id))["data"] == "'quoted'"


@pytest.mark.parametrize("entry", ["main", "promote", "score", "purchases"])
def test_no_parameter_that_is_left_out_is_logged_as_an_empty_one(launch: Launch, entry: str):
    assert "''" not in tracking.read_run(launch(entry)).data.params.values()
