"""The life of runs, on a real store."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from mlflow.utils.file_utils import path_to_local_sqlite_uri

from retail_clusters.errors import InputError, StoreError
from retail_clusters.infra.holders import LockOwner
from retail_clusters.registry import tracking
from retail_clusters.registry.tracking.processes import PROCESS
from tests.tied_metrics import assert_figures_keep_their_data_sets


def made_by_mlflow_run(monkeypatch: pytest.MonkeyPatch, **params: str) -> str:
    """Make a run as `mlflow run` does in a named experiment, and name it in the environment."""
    client = MlflowClient()
    run_id = str(client.create_run(client.create_experiment("named")).info.run_id)
    for name, value in params.items():
        client.log_param(run_id, name, value)
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    return run_id


def test_first_run_adopts_the_one_that_mlflow_run_has_made(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    made = made_by_mlflow_run(monkeypatch)

    tracking.connect(experiment="elsewhere")
    with tracking.run("main") as outer, tracking.run("sweep") as inner:
        pass

    assert outer == made
    assert [run.info.run_id for run in tracking.children(outer)] == [inner]
    assert tracking.read_run(made).info.run_name == "main"
    experiment = MlflowClient().get_experiment_by_name("named")
    assert experiment is not None
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert "Invoice lines" in experiment.tags["mlflow.note.content"]


def test_failure_inside_marks_the_run_failed(workplace: Path):
    with pytest.raises(ValueError, match="no"), tracking.run("main") as run_id:
        raise ValueError("no")

    assert tracking.read_run(run_id).info.status == "FAILED"


def test_experiment_is_made_with_its_kind_and_a_description(workplace: Path):
    tracking.connect(experiment="new")

    found = MlflowClient().get_experiment_by_name("new")
    assert found is not None
    assert found.tags["mlflow.experimentKind"] == "custom_model_development"
    assert "Invoice lines" in found.tags["mlflow.note.content"]


def test_experiment_of_the_environment_wins(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    given = MlflowClient().create_experiment("given")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", given)

    tracking.connect(experiment="mine")
    with tracking.run("main") as run_id:
        pass

    assert tracking.read_run(run_id).info.experiment_id == given


def test_registry_of_the_environment_wins(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    other = f"sqlite:///{workplace / 'registry.db'}"
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", other)

    tracking.connect(experiment="mine")

    assert mlflow.get_registry_uri() == other


def test_what_moves_a_model_makes_no_experiment_for_itself(workplace: Path):
    tracking.connect(experiment="trained here")
    with tracking.run("train") as trained:
        pass
    MlflowClient().create_registered_model("m")
    MlflowClient().create_model_version("m", source="somewhere", run_id=trained)
    tracking.connect(experiment="default", beside_model="m")
    with tracking.run("promote") as moved:
        pass
    client = MlflowClient()
    assert client.get_run(moved).info.experiment_id == client.get_run(trained).info.experiment_id
    assert client.get_experiment_by_name("default") is None


def test_deleted_experiment_says_what_to_do(workplace: Path):
    MlflowClient().delete_experiment(MlflowClient().create_experiment("gone"))

    with pytest.raises(InputError, match=r"gone was deleted: restore it in the MLflow UI"):
        tracking.connect(experiment="gone")


def test_a_store_in_a_folder_with_a_space_is_read_as_mlflow_names_it(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = workplace / "a b"
    folder.mkdir()
    named = path_to_local_sqlite_uri(str(folder / "mlflow.db"))
    assert named.endswith("/a%20b/mlflow.db")
    assert tracking.sqlite_file(named) == tracking.sqlite_file(f"sqlite:///{folder}/mlflow.db")
    shutil.copy(workplace / "mlflow.db", folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", named)
    tracking.connect_to_read()
    assert mlflow.search_runs(search_all_experiments=True).empty


def test_reading_makes_no_store(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    (workplace / "mlflow.db").unlink()

    with pytest.raises(InputError, match=r"found no .*mlflow\.db: go to the project's folder"):
        tracking.connect_to_read()

    assert list(workplace.iterdir()) == []


def test_run_is_resumed_whatever_experiment_it_is_in(workplace: Path):
    tracking.connect(experiment="one")
    with tracking.run("sweep") as earlier:
        pass
    tracking.connect(experiment="another")

    with tracking.run("sweep", resumes=earlier) as resumed:
        tracking.set_tags({"again": "yes"})

    assert resumed == earlier
    assert tracking.read_run(earlier).data.tags["again"] == "yes"


def test_run_that_mlflow_run_made_points_to_the_one_resumed(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    tracking.connect(experiment="one")
    with tracking.run("sweep") as earlier:
        pass
    made = made_by_mlflow_run(monkeypatch)

    tracking.connect(experiment="one")
    with tracking.run("sweep", resumes=earlier) as resumed:
        pass

    assert resumed == earlier
    assert tracking.read_run(made).data.tags["resumes"] == earlier


@pytest.mark.parametrize("unknown", ["0" * 32, "no id at all"])
def test_earlier_run_that_is_gone_or_deleted_is_passed_over(workplace: Path, unknown: str):
    with tracking.run("sweep") as deleted:
        pass
    MlflowClient().delete_run(deleted)

    for earlier in (deleted, unknown):
        with tracking.run("sweep", resumes=earlier) as run_id:
            pass
        assert run_id != earlier


def test_params_that_mlflow_run_has_quoted_are_no_conflict(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    data = workplace / "my data"
    made = made_by_mlflow_run(
        monkeypatch, reason="'log features, real data'", data=f"'{data}/'", model="''", trials="12"
    )

    tracking.connect(experiment="elsewhere")
    with tracking.run("promote"):
        tracking.log_settings({"reason": "log features, real data", "data": "my data", "model": "retail"})
        tracking.log_settings({"trials": "12", "k": "3"})
        with pytest.raises(InputError, match="trials is '12' in it and '13' now"):
            tracking.log_settings({"trials": "13"})
    assert tracking.accepts_settings(made, {"reason": "log features, real data", "trials": "12", "new": "1"})
    assert not tracking.accepts_settings(made, {"trials": "13"})

    settings = tracking.settings_of(tracking.read_run(made))
    assert (settings["model"], settings["k"]) == ("retail", "3")


def test_no_password_is_logged(workplace: Path):
    with tracking.run("sweep") as run_id:
        tracking.log_settings({"storage": "postgresql://ann:s3cret@host/db"})

    assert tracking.read_run(run_id).data.params["storage"] == "postgresql://ann:***@host/db"


def test_data_set_is_logged_with_digest_columns_and_profile(workplace: Path):
    with tracking.run("train") as run_id:
        tracking.log_input(
            data="data/by-day",
            digest="d" * 32,
            context="training",
            columns={"Quantity": "integer"},
            profile={"lines": 12},
        )

    (logged,) = tracking.read_run(run_id).inputs.dataset_inputs
    dataset = logged.dataset
    assert (dataset.name, dataset.digest) == ("by-day", "d" * 32)
    assert json.loads(dataset.profile) == {"lines": 12}
    assert "Quantity" in dataset.schema
    assert json.loads(dataset.source)["path"] == f"file://{workplace}/data/by-day"


@pytest.mark.parametrize("store", ["sqlite:///mlflow.db", "file:runs"])
def test_figures_of_a_model_keep_the_data_set_that_they_were_measured_on(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, store: str
):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    mlflow.set_tracking_uri(store)
    tracking.connect(experiment="tied")

    assert_figures_keep_their_data_sets()


def test_run_has_its_kind_from_its_start_whether_it_is_named_resumed_detached_or_adopted(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    def kind(run_id: str) -> str:
        return tracking.read_run(run_id).data.tags["kind"]

    made = made_by_mlflow_run(monkeypatch)
    tracking.connect(experiment="elsewhere")
    with tracking.run("main") as main, tracking.run("sweep", name="sweep K 2–60") as sweep:
        assert (main, kind(main), kind(sweep)) == (made, "main", "sweep")
        tracking.ChildRuns(sweep, kind="trial", key="trial").write([record(0)])
    (trial,) = tracking.children(sweep)
    assert trial.data.tags["kind"] == "trial"
    older = MlflowClient().create_run("0").info.run_id
    with tracking.run("sweep", resumes=older):
        assert kind(older) == "sweep"
    for run_id in (None, older):
        assert kind(tracking.detached_run("score", run_id=run_id, params={})) == "score"


def record(number: int) -> tracking.ChildRun:
    return tracking.ChildRun(
        name=f"trial {number}",
        params={"k": str(number)},
        metrics={"silhouette": number / 10},
        tags={"trial": str(number)},
        started=1_000,
        ended=3_000,
    )


def test_child_runs_are_written_once_and_finished(workplace: Path):
    with tracking.run("sweep") as parent:
        first = tracking.ChildRuns(parent, kind="trial", key="trial").write([record(0), record(1)])
        again = tracking.ChildRuns(parent, kind="trial", key="trial").write([record(1), record(2)])

    found = tracking.children(parent)
    assert [run.info.run_name for run in sorted(found, key=lambda run: run.data.tags["trial"])] == [
        "trial 0",
        "trial 1",
        "trial 2",
    ]
    assert again[0] == first[1]
    assert {run.info.status for run in found} == {"FINISHED"}
    assert {(run.info.start_time, run.info.end_time) for run in found} == {(1_000, 3_000)}


@pytest.mark.parametrize("until", ["create_run", "log_batch"])
def test_half_written_child_is_completed(workplace: Path, monkeypatch: pytest.MonkeyPatch, until: str):
    with tracking.run("sweep") as parent:
        with pytest.MonkeyPatch.context() as killed:
            following = {"create_run": "log_batch", "log_batch": "set_terminated"}[until]
            killed.setattr(MlflowClient, following, dies)
            with pytest.raises(KeyboardInterrupt):
                tracking.ChildRuns(parent, kind="trial", key="trial").write([record(4)])
        tracking.ChildRuns(parent, kind="trial", key="trial").write([record(4)])

    (child,) = tracking.children(parent)
    assert (child.info.status, child.data.params, child.data.metrics) == (
        "FINISHED",
        {"k": "4"},
        {"silhouette": 0.4},
    )


def dies(*arguments: object, **options: object) -> None:
    raise KeyboardInterrupt


KILLED = """
import os, signal
from retail_clusters.registry import tracking
tracking.connect(experiment="mine")
with tracking.run("main"), tracking.run("sweep"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_runs_of_a_killed_command_are_ended_by_the_next_and_only_those(
    workplace: Path, capsys: pytest.CaptureFixture[str]
):
    tracking.connect(experiment="mine")
    elsewhere = LockOwner.here().text.replace('"process": "', '"process": "another boot ')
    foreign = MlflowClient().create_run("0", run_name="foreign", tags={PROCESS: elsewhere}).info.run_id
    by_hand = MlflowClient().create_run("0", run_name="by hand").info.run_id
    subprocess.run([sys.executable, "-c", KILLED], check=False, env=os.environ)

    with tracking.run("main", name="alive") as mine:
        tracking.connect(experiment="other")
        status = {run: tracking.read_run(run).info.status for run in (foreign, by_hand, mine)}

    assert set(status.values()) == {"RUNNING"}
    experiment = MlflowClient().get_experiment_by_name("mine")
    assert experiment is not None
    ended = MlflowClient().search_runs([experiment.experiment_id], "attributes.status = 'KILLED'")
    assert sorted(run.info.run_name for run in ended) == ["main", "sweep"]
    assert "ended the run sweep, whose process is gone" in capsys.readouterr().err


def test_detached_run_goes_on_in_a_later_process(workplace: Path):
    first = tracking.detached_run("score", run_id=None, params={"source": "in"})
    assert tracking.try_end_run(first, status="FINISHED") is None

    assert tracking.detached_run("score", run_id=first, params={}) == first
    assert tracking.read_run(first).info.status == "RUNNING"


def test_unknown_run_and_table_say_so(workplace: Path):
    with pytest.raises(InputError, match="found no run"):
        tracking.read_run("0" * 32)
    with tracking.run("train") as run_id:
        pass
    with pytest.raises(InputError, match=r"artifact centres\.csv, but it has none"):
        tracking.read_table(run_id, "centres")


def test_store_that_does_not_answer_is_no_missing_run(workplace: Path):
    mlflow.set_tracking_uri("http://ann:s3cret@127.0.0.1:9")

    with tracking.short_timeouts():
        with pytest.raises(StoreError, match=r"http://ann:\*\*\*@127.0.0.1:9 gave: no answer: is it up"):
            tracking.read_run("0" * 32)
        assert "no answer: is it up" in str(tracking.try_end_run("0" * 32, status="FINISHED"))
