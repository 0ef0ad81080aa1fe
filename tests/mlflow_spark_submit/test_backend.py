"""`mlflow run --backend spark-submit`: real submissions, to a master in the driver or to a real cluster."""

import json
import os
import signal
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run

from tests.clusters import LOOPBACK, Cluster, standalone_cluster, wait_until
from tests.mlflow_spark_submit.projects import make_project, start

pytestmark = pytest.mark.soak

TRICKY = """it's a "b" $HOME `id` \\ *  --conf c=d;é"""
LOCAL = {"master": "local[1]", "conf": {"spark.ui.enabled": False}, "env": LOOPBACK}


@pytest.fixture
def project(workplace: Path) -> Path:
    return make_project(workplace / "project")


def the_run() -> Run:
    (run,) = mlflow.MlflowClient().search_runs(["0"])
    return run


def arguments(run: Run) -> list[str]:
    path = mlflow.MlflowClient().download_artifacts(run.info.run_id, "arguments.json")
    found: list[str] = json.loads(Path(path).read_text(encoding="utf-8"))
    return found


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with standalone_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def run_on(cluster: Cluster, project: Path, *options: str, conf: dict[str, str], **config: object) -> str:
    """Run the project's main entry point to its good end; return what it printed."""
    common = cluster.conf | {"spark.executor.memory": "512m", "spark.small.text": TRICKY}
    given = {"master": cluster.master, "env": cluster.environment, "conf": common | conf} | config
    process = start(project, given, *options)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


def test_job_runs_on_a_cluster_in_the_run_that_mlflow_made(project, cluster):
    parts = project / "parts.zip"
    with zipfile.ZipFile(parts, "w") as parcel:
        parcel.writestr("parcel.py", "NAME = 'from the zip'")
    options = ("-P", f"text={TRICKY}", "-P", "more=a b", "--run-name", "on a cluster")
    conf = {"spark.pyspark.python": sys.executable, "spark.submit.pyFiles": str(parts)}
    output = run_on(cluster, project, *options, conf=conf)
    run = the_run()
    assert (run.info.status, run.info.run_name) == ("FINISHED", "on a cluster")
    assert run.data.tags["mlflow.project.backend"] == "spark-submit"
    assert run.data.tags["level"] == "high"
    assert run.data.tags["folder"] == str(project)
    assert arguments(run) == ["count", "--text", TRICKY, "--more", "a b"]
    assert run.data.params["master"] == cluster.master
    assert run.data.params["parcels"] == "from the zip"
    assert run.data.params["property"] == TRICKY
    assert run.data.params["folders"] in {str(folder) for folder in cluster.executors()}
    assert "job says hello" in output


def test_archive_brings_executors_their_python(project, cluster):
    environment = project / "made"
    venv.create(environment, symlinks=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "parcel.py").write_text("NAME = 'from the archive'", encoding="utf-8")
    with tarfile.open(project / "packed.tar.gz", "w:gz") as archive:
        archive.add(environment, arcname=".")
    run_on(cluster, project, conf={}, archive=str(project / "packed.tar.gz"))
    assert the_run().data.params["parcels"] == "from the archive"


def test_job_that_fails_fails_the_command_and_its_run_and_the_exit_code_is_told(project):
    process = start(project, LOCAL, "-e", "fail")
    output, _ = process.communicate()
    assert process.returncode == 1
    assert "job says hello" in output
    assert "ended with exit code 7" in output
    assert the_run().info.status == "FAILED"


def test_cancel_ends_every_process_and_the_run_is_killed(project):
    submitted = mlflow.projects.run(
        str(project), "stay", backend="spark-submit", backend_config=dict(LOCAL), synchronous=False
    )
    assert submitted.get_status() == "RUNNING"
    pid = int(wait_until(lambda: the_run().data.tags.get("pid"), "the job's start"))
    submitted.cancel()
    assert not alive(pid)
    assert (submitted.get_status(), the_run().info.status) == ("KILLED", "KILLED")
    assert submitted.run_id == the_run().info.run_id
    submitted.cancel()  # a second time does nothing


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_that_is_ended_ends_its_job(project, number):
    process = start(project, LOCAL, "-e", "stay")
    pid = int(wait_until(lambda: the_run().data.tags.get("pid") if runs_exist() else None, "the job's start"))
    process.send_signal(number)
    output, _ = process.communicate()
    assert process.returncode == 1, output
    assert not alive(pid)
    assert the_run().info.status == "KILLED"


def runs_exist() -> bool:
    return bool(mlflow.MlflowClient().search_runs(["0"]))


@pytest.mark.parametrize(
    ("entry_point", "config", "told"),
    [("shell", LOCAL, "but got 'bash run.sh'"), ("main", {"mastr": "yarn"}, "mastr: Extra inputs")],
)
def test_what_cannot_be_submitted_is_told_in_one_line_and_makes_no_run(project, entry_point, config, told):
    process = start(project, config, "-e", entry_point)
    output, _ = process.communicate()
    assert process.returncode == 1
    assert told in output.splitlines()[-1]
    assert not runs_exist()
