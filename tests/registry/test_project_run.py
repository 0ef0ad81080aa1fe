"""Commands under `mlflow run`: MLflow's own code makes the run, as it does before it starts the command."""

import shlex
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.projects import utils as projects

from retail_clusters.registry import tracking
from tests.conftest import PROJECT

WITH_SPACES = {"data": "my data/by-day", "reason": "it's better, they say", "source": "a b", "output": "c d"}


@pytest.fixture
def launch(workplace: Path, monkeypatch: pytest.MonkeyPatch):
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


def test_run_in_a_named_experiment_is_adopted(launch):
    launched = launch("prepare", experiment="mine")
    tracking.connect(experiment="another")
    with tracking.run("prepare") as run_id:
        pass
    assert run_id == launched
    assert len(everything()) == 1


def test_run_in_default_leads_to_one_in_the_experiment_of_the_file(launch):
    launched = launch("main")
    tracking.connect(experiment="mine")
    with tracking.run("main") as parent, tracking.run("prepare") as child:
        pass
    client = MlflowClient()
    mine = client.get_experiment_by_name("mine").experiment_id
    assert {client.get_run(each).info.experiment_id for each in (parent, child)} == {mine}
    pointer = client.get_run(launched)
    assert pointer.info.run_name == "main → mine"
    assert pointer.data.tags["mlflow.parentRunId"] == parent
    assert f"(#/experiments/{mine}/runs/{parent})" in pointer.data.tags["mlflow.note.content"]
    assert [run.info.run_id for run in everything() if "mlflow.parentRunId" not in run.data.tags] == [parent]


def test_run_in_the_experiment_of_the_file_knows_that_it_comes_of_a_project(launch):
    launched = launch("main")
    tracking.connect(experiment="mine")
    with tracking.run("main") as run_id:
        pass
    known = MlflowClient().get_run(launched).data.tags
    tags = MlflowClient().get_run(run_id).data.tags
    assert tags["mlflow.project.entryPoint"] == "main"
    assert {name: tags[name] for name in known if name.startswith("mlflow.source.")} == {
        name: known[name] for name in known if name.startswith("mlflow.source.")
    }


def test_experiment_named_by_the_environment_stays(launch, monkeypatch):
    launched = launch("main")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "Default")
    tracking.connect(experiment="mine")
    with tracking.run("main") as run_id:
        pass
    assert run_id == launched


def test_values_with_spaces_are_logged_twice_without_a_contradiction(launch):
    launched = launch("purchases", experiment="mine", **WITH_SPACES)
    assert MlflowClient().get_run(launched).data.params["data"] == shlex.quote(WITH_SPACES["data"])
    tracking.connect(experiment="mine")
    with tracking.run("purchases"):
        tracking.log_settings(WITH_SPACES | {"k": "20"})
    assert {**WITH_SPACES, "k": "20"}.items() <= tracking.settings_of(tracking.read_run(launched)).items()


def test_run_of_its_own_has_values_with_spaces_as_they_are(launch):
    launch("purchases", **WITH_SPACES)
    tracking.connect(experiment="mine")
    with tracking.run("purchases") as run_id:
        tracking.log_settings(WITH_SPACES)
    assert MlflowClient().get_run(run_id).data.params == WITH_SPACES


def test_value_that_a_person_put_in_quotes_keeps_them(workplace):
    tracking.connect(experiment="mine")
    with tracking.run("train") as run_id:
        tracking.log_settings({"data": "'quoted'"})
    assert tracking.settings_of(tracking.read_run(run_id))["data"] == "'quoted'"


@pytest.mark.parametrize(
    "entry", ["main", "train", "sweep", "promote", "score", "purchases", "rollback", "history"]
)
def test_no_parameter_that_is_left_out_is_logged_as_an_empty_one(launch, entry):
    assert "''" not in MlflowClient().get_run(launch(entry)).data.params.values()


def test_run_set_aside_is_forgotten_by_the_next_command(launch, monkeypatch):
    launched = launch("history")
    tracking.connect(experiment="mine")
    tracking.connect(experiment="mine")
    with tracking.run("train"):
        pass
    assert "mlflow.parentRunId" not in MlflowClient().get_run(launched).data.tags
