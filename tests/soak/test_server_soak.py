"""The main job over HTTP: PostgreSQL behind a server that asks for a password, stops, and comes back."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy

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
            "AND value = parents.run_uuid) FROM runs AS parents WHERE status = 'RUNNING'"
        )
        with sqlalchemy.create_engine(self.store).connect() as connection:
            found = connection.execute(sqlalchemy.text(asked)).all()
        return {name.split()[0]: children for name, children in found}


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shared]:
    if (binaries := databases.programs()) is None:
        pytest.skip("this machine has no PostgreSQL")
    with (
        databases.postgresql(binaries, password="the database's own") as store,
        mlflow_server(tmp_path / "server", store=store) as server,
    ):
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield Shared(server, store)


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
    shared: Shared, place: Path, tmp_path: Path
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
    found = jobs.outcome(place, store=shared.server.uri)

    alone = jobs.checkout(tmp_path / "alone")
    done = run(alone, *jobs.words())
    assert done.returncode == 0, done.stderr
    assert found == jobs.outcome(alone)
    assert [*place.glob("mlflow.db")] == [*place.glob("mlruns")] == []


@pytest.mark.parametrize("words", [["main"], ["sweep", "--trials", "8"], ["promote"], ["score"], ["history"]])
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
