"""The whole main job on a cluster of real processes: as on one machine, to the bit, whatever worker dies."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from importlib.resources import files
from pathlib import Path

import pytest

from tests import jobs, processes
from tests.clusters import Cluster, can_hide, standalone_cluster
from tests.jobs import Outcome

pytestmark = pytest.mark.soak

LAUNCH = str(files("mlflow_spark_submit") / "launch.py")
STEPS = ("prepare", "sweep", "score")
#: What Spark says of a task that was under way where an executor died.
LOST = "while it was being computed, its executor exited"
PROGRAMS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with standalone_cluster(tmp_path_factory.mktemp("cluster"), workers=2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What the job gives in a local master."""
    place = jobs.checkout(tmp_path_factory.mktemp("local") / "place")
    finish([*processes.COMMAND, *jobs.words()], place, jobs.environment(place, SPARK_MASTER="local[2]"))
    return jobs.outcome(place)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return jobs.checkout(tmp_path / "place")


def finish(words: list[str], place: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def submission(cluster: Cluster) -> list[str]:
    """Return the words of docs/cluster.md; both sides have their Python already, so no archive is needed."""
    conf = [word for key, value in cluster.conf.items() for word in ("--conf", f"{key}={value}")]
    return [f"{PROGRAMS}/spark-submit", "--master", cluster.master, *conf, LAUNCH, "retail_clusters"]


def environment(cluster: Cluster, place: Path) -> dict[str, str]:
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    return jobs.environment(place, **cluster.environment, **python)


def test_spark_submit_gives_what_one_machine_gives_and_uses_every_worker(
    cluster: Cluster, place: Path, expected: Outcome
):
    before = set(cluster.executors())
    finish([*submission(cluster), *jobs.words()], place, environment(cluster, place))

    assert jobs.outcome(place) == expected
    used = set(cluster.executors()) - before
    assert {folder.parents[1].name for folder in used} == {worker.folder.name for worker in cluster.workers}


def test_mlflow_run_on_the_backend_gives_what_one_machine_gives(
    cluster: Cluster, place: Path, expected: Outcome
):
    conf = cluster.conf | {"spark.pyspark.python": sys.executable}
    config = {"master": cluster.master, "conf": conf, "env": cluster.environment}
    (place / "cluster.json").write_text(json.dumps(config), encoding="utf-8")
    backend = ["--backend", "spark-submit", "--backend-config", "cluster.json"]
    words = [f"{PROGRAMS}/mlflow", "run", ".", *backend, "--experiment-name", "default"]
    finish([*words, "-P", f"set={jobs.words()[-1]}"], place, jobs.environment(place))

    assert jobs.outcome(place) == expected
    assert jobs.newest_run(place, "main").data.tags["mlflow.project.backend"] == "spark-submit"


def test_a_worker_killed_in_each_step_costs_nothing(cluster: Cluster, place: Path, expected: Outcome):
    with (place / "log").open("wb") as log:
        job = processes.started(
            [*submission(cluster), *jobs.words()],
            environment=environment(cluster, place),
            cwd=place,
            output=log,
        )
    try:
        for step in STEPS:
            lose_a_worker(cluster, job, place, step=step)
            cluster.start_worker()
        job.wait(timeout=900)
    finally:
        if job.poll() is None:
            processes.kill(job)
    told = (place / "log").read_text()
    assert job.returncode == 0, told
    assert told.count(LOST) == len(STEPS)
    assert jobs.outcome(place) == expected


def test_machines_that_share_one_folder_and_nothing_else_are_enough(
    place: Path, tmp_path: Path, expected: Outcome
):
    if not can_hide():
        pytest.skip("no process here may have disks of its own")
    shared = tmp_path / "shared"
    shutil.copytree(place / "data" / "sample" / "by-day", shared / "by-day")
    (place / "tmp").mkdir()
    locations = {
        "TMPDIR": str(place / "tmp"),
        "RETAIL_CLUSTERS_PREPARED": str(shared / "prepared"),
        "MLFLOW_DFS_TMP": str(shared / "models"),
    }
    data, output = ("--data", str(shared / "by-day")), ("--output", str(shared / "output"))
    with standalone_cluster(tmp_path / "cluster", workers=2, hidden=[place]) as apart:
        own = environment(apart, place) | locations
        finish([*submission(apart), *jobs.words(*data, *output)], place, own)
        (scored,) = (shared / "output").iterdir()
        spend = ("purchases", "--mode", "stream", *data, "--output", str(shared / "spend"))
        several = ("--set", "purchases.max_files_per_trigger=7")
        told = finish([*submission(apart), *spend, *several], place, own)

    assert jobs.outcome(place, scored=scored) == expected
    assert re.search(r"0 of [0-9,]+ customer-days differ from the batch", told)
    assert [*(shared / "models").iterdir()] == []
    assert not (place / "output").exists()


def lose_a_worker(cluster: Cluster, job: "subprocess.Popen[str]", place: Path, *, step: str) -> None:
    """Kill the worker that was started last, while it is at work on a step."""
    last = len(cluster.workers) - 1

    def in_the_middle() -> bool:
        begun = step != "score" or len([*place.glob("output/*/commits/[0-9]*.json")]) > 2
        return begun and step in running_steps(place) and cluster.is_busy(last)

    processes.wait_for(job, in_the_middle, within=600)
    cluster.kill_worker(last)
    assert step in running_steps(place)


def running_steps(place: Path) -> set[str]:
    """Name the runs that are under way, from their table: MLflow itself would make a store."""
    store = f"{(place / 'mlflow.db').as_uri()}?mode=ro"
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(store, uri=True)) as opened:
        found = opened.execute("SELECT name FROM runs WHERE status = 'RUNNING'").fetchall()
        return {name.split()[0] for (name,) in found}
    return set()
