"""The main job over HTTP: PostgreSQL behind a server that asks for a password, stops, and comes back."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread
from urllib.request import Request, urlopen

import mlflow
import pytest
import sqlalchemy

from retail_clusters.registry import tracking
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
        databases.postgresql(binaries, password="the database's own") as store,
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


@contextmanager
def cutting(server: Server, *, path: str, every: int, headers: bool) -> Iterator[str]:
    """Stand before a server; every so many answers at a path are lost when it has done what was asked."""
    seen = count(1)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))) or None
            sent = {
                name: text for name, text in self.headers.items() if name in {"Authorization", "Content-Type"}
            }
            asked = Request(f"{server.uri}{self.path}", body, sent, method=self.command)
            with urlopen(asked) as answer:
                content = answer.read()
            lost = self.path.endswith(path) and next(seen) % every == 0
            self.close_connection = lost
            if lost and not headers:
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(b"" if lost else content)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
        Thread(target=proxy.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{proxy.server_port}"
        proxy.shutdown()


@pytest.mark.parametrize("path", ["runs/create", "runs/log-batch", "runs/update"])
@pytest.mark.parametrize("headers", [True, False], ids=["in its middle", "before it begins"])
def test_trials_whose_answers_are_lost_are_there_once(
    shared: Shared, logged_in: None, workplace: Path, path: str, headers: bool
):
    jobs.use(shared.server.uri)
    tracking.connect(experiment=f"{path} {headers}")
    records = [
        tracking.ChildRun(f"trial {n}", {"k": str(n)}, {"silhouette": n / 10}, {"trial": str(n)})
        for n in range(40)
    ]
    with tracking.run("sweep") as parent, cutting(shared.server, path=path, every=15, headers=headers) as uri:
        mlflow.set_tracking_uri(uri)
        written = tracking.ChildRuns(parent, key="trial").write(records)
        mlflow.set_tracking_uri(shared.server.uri)

    found = tracking.children(parent)
    assert sorted(run.info.run_id for run in found) == sorted(written)
    assert {run.info.status for run in found} == {"FINISHED"}
    assert sorted(float(run.data.params["k"]) / 10 for run in found) == [n / 10 for n in range(40)]
    assert all(run.data.metrics["silhouette"] == float(run.data.params["k"]) / 10 for run in found)


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
