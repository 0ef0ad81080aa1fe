"""The life of runs, and what they hold, on a real store."""

import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from mlflow.utils.file_utils import path_to_local_sqlite_uri

from retail_clusters.errors import InputError, StoreError
from retail_clusters.infra.locks import LockOwner
from retail_clusters.registry import tracking
from retail_clusters.registry.tracking import ChildRun

NOWHERE = "http://ann:s3cret@127.0.0.1:9"


def test_run_is_nested_in_the_open_one_and_named_for_its_kind_and_failed_by_a_failure(workplace: Path):
    with tracking.run("main") as main:
        with tracking.run("sweep", name="sweep K 2–60"):
            pass
        with pytest.raises(ValueError, match="no"), tracking.run("promote"):
            raise ValueError("no")

    assert tracking.read_run(main).info.run_name == "main"
    assert [
        (run.info.run_name, run.data.tags["kind"], run.info.status) for run in tracking.children(main)
    ] == [("sweep K 2–60", "sweep", "FINISHED"), ("promote", "promote", "FAILED")]


def test_experiment_and_registry_of_the_environment_win(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    given = MlflowClient().create_experiment("given")
    registry = f"sqlite:///{workplace / 'registry.db'}"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", given)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", registry)

    tracking.connect(experiment="mine")
    with tracking.run("main") as run_id:
        pass

    assert tracking.read_run(run_id).info.experiment_id == given
    assert mlflow.get_registry_uri() == registry


def test_deleted_experiment_says_what_to_do(workplace: Path):
    MlflowClient().delete_experiment(MlflowClient().create_experiment("gone"))

    with pytest.raises(StoreError, match=r"deleted experiment 'gone'.* You can restore the experiment"):
        tracking.connect(experiment="gone")


def test_a_store_in_a_folder_with_a_space_is_found_as_mlflow_names_it(tmp_path: Path):
    named = path_to_local_sqlite_uri(str(tmp_path / "a b" / "mlflow.db"))
    assert named.endswith("/a%20b/mlflow.db")
    assert tracking.sqlite_file(named) == tracking.sqlite_file(f"sqlite:///{tmp_path}/a b/mlflow.db")


@pytest.mark.parametrize("folder", ["/proc", "/nowhere"])
def test_a_folder_in_which_no_store_can_be_written_is_named_at_once(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, folder: str
):
    """Defect 88: MLflow tried for two minutes, and the text was about a database."""
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: f"sqlite:///{folder}/mlflow.db")
    with pytest.raises(
        InputError, match=rf"in the folder {folder}: go to the project's folder, or name another"
    ):
        tracking.connect(experiment="mine")


def test_reading_makes_no_store(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    (workplace / "mlflow.db").unlink()

    with pytest.raises(InputError, match=r"found no .*mlflow\.db: go to the project's folder"):
        tracking.connect_to_read()

    assert list(workplace.iterdir()) == []


def test_detached_run_goes_on_in_a_later_process(workplace: Path):
    first = tracking.detached_run("score", run_id=None, params={"source": "in"})
    assert tracking.attempt(tracking.end_run, first, status="FINISHED") is None

    assert tracking.detached_run("score", run_id=first, params={}) == first
    again = tracking.read_run(first)
    assert (again.info.status, again.data.tags["kind"]) == ("RUNNING", "score")


#: Opens two runs, and kills itself.
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
    client = MlflowClient()
    elsewhere = LockOwner.here().text.replace('"process": "', '"process": "another boot ')
    foreign = client.create_run("0", tags={tracking.PROCESS_TAG: elsewhere}).info.run_id
    moved = {tracking.PROCESS_TAG: elsewhere, "kind": "promote"}
    old, young = (client.create_run("0", start_time=at, tags=moved).info.run_id for at in (1, None))
    by_hand = client.create_run("0").info.run_id
    subprocess.run([sys.executable, "-c", KILLED], check=False, env=os.environ)

    with tracking.run("main") as mine:
        tracking.connect(experiment="other")
        status = {tracking.read_run(run).info.status for run in (foreign, young, by_hand, mine)}

    assert status == {"RUNNING"}
    assert tracking.read_run(old).info.status == "KILLED"
    experiment = client.get_experiment_by_name("mine")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.run_name: run.info.status for run in runs} == {"main": "KILLED", "sweep": "KILLED"}
    assert "ended the run sweep, whose process is gone" in capsys.readouterr().err


def test_no_password_is_logged(workplace: Path):
    with tracking.run("sweep") as run_id:
        tracking.log_settings({"storage": "postgresql://ann:s3cret@host/db"})
        tracking.log_input(data="s3a://ann:s3cret@bucket/in", digest="d", context="training")

    run = tracking.read_run(run_id)
    assert run.data.params["storage"] == "postgresql://ann:***@host/db"
    assert "s3cret" not in str(run.to_dictionary())


def test_data_set_is_logged_with_digest_and_profile(workplace: Path):
    with tracking.run("train") as run_id:
        tracking.log_input(
            data="data/by-day",
            digest="d" * 32,
            context="training",
            profile={"lines": 12},
        )

    (logged,) = tracking.read_run(run_id).inputs.dataset_inputs
    dataset = logged.dataset
    assert (dataset.name, dataset.digest, logged.tags[0].value) == ("by-day", "d" * 32, "training")
    assert json.loads(dataset.profile) == {"lines": 12}
    assert mlflow.data.get_source(logged).to_dict() == {"path": f"file://{workplace}/data/by-day"}


def test_a_run_that_has_ended_is_told_more_by_its_id(workplace: Path):
    with tracking.run("sweep") as ended:
        pass
    with tracking.run("train") as opened:
        tracking.describe("| k | seed |\n|---|---|", run_id=ended)
        tracking.log_text("told", "charts/one.txt", run_id=ended)
        tracking.log_points(ended, [("rows_in", 5.0, 1_000, 1), ("rows_in", 5.0, 1_000, 1)])

    run = tracking.read_run(ended)
    assert run.data.metrics == {"rows_in": 5.0}
    assert "seed" in run.data.tags["mlflow.note.content"]
    assert tracking.read_files(ended, ["charts/one.txt", "missing.png"]) == {"charts/one.txt": b"told"}
    assert tracking.read_run(opened).data.metrics == {}
    assert len(MlflowClient().get_metric_history(ended, "rows_in")) == 1


def test_table_is_read_to_the_last_bit(workplace: Path):
    table = pd.DataFrame({"cluster": [0, 1], "share": [0.1 + 0.2, 1 / 3]})
    with tracking.run("register") as run_id:
        tracking.log_table(table, "centres")

    pd.testing.assert_frame_equal(tracking.read_table(run_id, "centres"), table, check_exact=True)


def test_child_runs_are_finished_runs_of_the_open_one(workplace: Path):
    with tracking.run("sweep") as parent:
        tracking.log_children(
            [ChildRun(f"trial {k}", {"k": str(k)}, {"silhouette": k / 10}, {"kind": "trial"}) for k in (2, 3)]
        )

    found = tracking.children(parent)
    assert sorted(
        (run.info.run_name, run.info.status, run.data.params["k"], run.data.metrics["silhouette"])
        for run in found
    ) == [("trial 2", "FINISHED", "2", 0.2), ("trial 3", "FINISHED", "3", 0.3)]


def test_experiment_opens_as_model_training_and_is_described_unless_somebody_has(workplace: Path):
    client = MlflowClient()
    client.create_experiment("theirs", tags={"mlflow.note.content": "my own"})
    told = {}
    for name in ("mine", "theirs"):
        tracking.connect(experiment=name)
        experiment = client.get_experiment_by_name(name)
        assert experiment is not None
        told[name] = experiment.tags["mlflow.note.content"]
        assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert "workflowType=machine_learning" in told["mine"]
    assert told["theirs"] == "my own"


def test_unknown_run_and_table_say_so(workplace: Path):
    with pytest.raises(InputError, match="found no run"):
        tracking.read_run("0" * 32)
    with tracking.run("train") as run_id:
        pass
    with pytest.raises(InputError, match=r"artifact centres\.csv, but it has none"):
        tracking.read_table(run_id, "centres")
    with pytest.raises(InputError, match="a run must be open"):
        tracking.log_text("nowhere to go", "text.txt")


def test_store_that_does_not_answer_is_no_missing_run(workplace: Path):
    mlflow.set_tracking_uri(NOWHERE)

    with tracking.short_timeouts():
        with pytest.raises(StoreError, match=r"http://ann:\*\*\*@127.0.0.1:9 gave: no answer: is it up"):
            tracking.read_run("0" * 32)
        problem = tracking.attempt(tracking.end_run, "0" * 32, status="FINISHED")
        assert str(problem).startswith("no answer: is it up")
