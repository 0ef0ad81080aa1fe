"""The main job over HTTP: PostgreSQL behind a server that asks for a password, stops, and comes back."""

import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
import sqlalchemy

from retail_clusters.errors import InputError, RegistryError, StoreError
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.registry.tracking import ChildRun
from tests import databases, jobs, processes
from tests.clusters import wait_until
from tests.servers import PASSWORD, Server, mlflow_server

pytestmark = pytest.mark.soak


@dataclass(frozen=True)
class Shared:
    """A server, and the database behind it, which is there while the server is not."""

    server: Server
    store: str

    def running(self) -> dict[str, int]:
        """Return the runs that are under way by their step, each with the number of its children."""
        asked = (
            "SELECT parents.name, (SELECT count(*) FROM tags WHERE key = 'mlflow.parentRunId' "
            "AND value = parents.run_uuid) FROM runs AS parents "
            "WHERE status = 'RUNNING' AND lifecycle_stage = 'active'"
        )
        with sqlalchemy.create_engine(self.store).connect() as connection:
            found = connection.execute(sqlalchemy.text(asked)).all()
        return {name.split()[0]: children for name, children in found}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    if (binaries := databases.programs()) is None:
        pytest.skip("this machine has no PostgreSQL")
    with (
        databases.postgresql(binaries) as store,
        mlflow_server(tmp_path_factory.mktemp("shared") / "server", store=store) as server,
    ):
        yield Shared(server, store)


@pytest.fixture
def logged_in(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in shared.server.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return jobs.checkout(tmp_path / "place")


def run(place: Path, *words: str, **changes: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*processes.COMMAND, *words],
        cwd=place,
        env=jobs.environment(place, SPARK_MASTER="local[2]", **changes),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_server_that_is_away_in_the_search_and_while_lines_are_scored_costs_nothing(
    shared: Shared, logged_in: None, place: Path, tmp_path: Path
):
    job = processes.started(
        [*processes.COMMAND, *jobs.words()],
        environment=jobs.environment(place, SPARK_MASTER="local[2]", **shared.server.environment),
        cwd=place,
    )

    def recorded(batches: int) -> bool:
        return len([*place.glob("output/*/commits/[0-9]*.json")]) >= batches

    try:
        processes.wait_for(job, lambda: 0 < shared.running().get("sweep", 0) < jobs.TRIALS, within=600)
        shared.server.stop()
        assert "sweep" in shared.running()
        shared.server.start()

        processes.wait_for(job, lambda: recorded(3), within=600)
        shared.server.stop()
        assert "score" in shared.running()
        wait_until(lambda: recorded(6), "three batches without a server", seconds=300)
        shared.server.start()
        output, _ = job.communicate(timeout=900)
    finally:
        if job.poll() is None:
            processes.kill(job)
    assert job.returncode == 0, output
    # Points that found no server until the end of the scoring are sent by who goes on with the same output.
    (scored,) = (place / "output").iterdir()
    words = ("--source", "data/sample/by-day", "--output", f"output/{scored.name}")
    sent = run(place, "score", *words, **shared.server.environment)
    assert sent.returncode == 0, sent.stderr
    found = jobs.outcome(place, store=shared.server.uri)

    alone = jobs.checkout(tmp_path / "alone")
    done = run(alone, *jobs.words())
    assert done.returncode == 0, done.stderr
    assert found == jobs.outcome(alone)
    assert [*place.glob("mlflow.db")] == [*place.glob("mlruns")] == []


def test_runs_artifacts_and_versions_go_through_the_server_and_its_log_in(
    shared: Shared, logged_in: None, workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    jobs.use(shared.server.uri)
    tracking.connect(experiment="shared")
    with tracking.run("sweep") as run_id:
        tracking.log_text("proxied", "note.txt")
        tracking.log_children(
            [ChildRun(f"trial {n}", {"k": str(n)}, {"silhouette": 0.1}, {"trial": str(n)}) for n in range(20)]
        )

    assert {run.data.params["k"] for run in tracking.children(run_id)} == {str(n) for n in range(20)}
    (artifact,) = (shared.server.folder / "artifacts").rglob("note.txt")
    assert tracking.read_files(run_id, ["note.txt"]) == {"note.txt": artifact.read_bytes()}
    with pytest.raises(InputError, match="found no run"):
        tracking.read_run("0" * 32)
    assert ModelRegistry("retail").version_named(alias="champion") is None
    with monkeypatch.context() as wrong:
        wrong.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
        with pytest.raises(StoreError, match=r"does not know who asks \(401\)"):
            tracking.read_run(run_id)
    shared.server.stop()
    shared.server.start()
    assert tracking.read_run(run_id).info.status == "FINISHED"


def test_reading_a_version_leaves_no_file(
    shared: Shared, logged_in: None, workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    """MLflow keeps a copy of each description that it reads through a server."""
    jobs.use(shared.server.uri)
    with mlflow.start_run():
        logged = mlflow.pyfunc.log_model(
            name="model", python_model=lambda model_input: model_input, pip_requirements=["mlflow"]
        )
    version = mlflow.register_model(logged.model_uri, "retail").version
    (temporary := workplace / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with pytest.raises(RegistryError, match="MLflow's flavour spark"):
        ModelRegistry("retail").open_version(version=str(version))
    assert [*temporary.iterdir()] == []


@pytest.mark.parametrize("words", [["main"], ["promote"], ["score"], ["history"]])
def test_a_wrong_password_is_told_in_one_line_and_nothing_is_done(
    shared: Shared, place: Path, words: list[str]
):
    wrong = shared.server.environment | {"MLFLOW_TRACKING_PASSWORD": f"not {PASSWORD}"}

    done = run(place, *words, **wrong)

    assert done.returncode == 1, done.stdout + done.stderr
    (told,) = done.stderr.splitlines()
    assert told.startswith("error: ")
    assert (
        "it does not know who asks (401): set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in told
    )
    assert PASSWORD not in done.stdout + done.stderr
    assert not (place / "output").exists()
    assert shared.running() == {}
