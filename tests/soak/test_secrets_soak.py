"""A whole main job on a database and a tracking server that ask for passwords: neither is left anywhere."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy

from tests import databases
from tests.readme import clone
from tests.servers import PASSWORD, USERNAME, mlflow_server

pytestmark = pytest.mark.soak

PROJECT = Path(__file__).parents[2]
STUDY_PASSWORD = "open sesame, 40 thieves"
SECRETS = [form for secret in (PASSWORD, STUDY_PASSWORD) for form in (secret, quote(secret, safe=""))]
QUICK = "sweep.seeds=1; sweep.k_max=24"


def hits(text: bytes) -> list[str]:
    return [secret for secret in SECRETS if secret.encode() in text]


def database_content(url: str) -> Iterator[bytes]:
    """Everything that every table holds, as text."""
    engine = sqlalchemy.create_engine(url)
    names = sqlalchemy.inspect(engine).get_table_names()
    assert "studies" in names
    with engine.connect() as connection:
        for name in names:
            for row in connection.execute(sqlalchemy.text(f'SELECT * FROM "{name}"')):
                yield repr(tuple(row)).encode()


def run(place: Path, environment: dict[str, str], *words: str) -> "subprocess.CompletedProcess[bytes]":
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    own = {"SPARK_MASTER": "local[2]", "PATH": path, "TMPDIR": str(place / "tmp"), "PYTHONPATH": "src"}
    return subprocess.run(
        words, cwd=place, env=os.environ | environment | own, capture_output=True, check=False
    )


def with_mlflow(settings: str) -> list[str]:
    options = ["--env-manager", "local", "-P", "study=guarded", "-P", f"set={settings}"]
    return ["mlflow", "run", ".", *options]


def by_itself(settings: str) -> list[str]:
    return ["python", "-m", "retail_clusters", "main", "--study", "guarded", "--set", settings]


# An address that holds a password is MLflow's to show: `mlflow run` prints it when it ends.
@pytest.mark.parametrize(
    ("words", "in_the_uri"), [(with_mlflow, False), (by_itself, True)], ids=["environment", "URI"]
)
def test_no_password_is_left_by_a_main_job(tmp_path, words, in_the_uri):
    binaries = databases.programs()
    if binaries is None:
        pytest.skip("this machine has no PostgreSQL")
    place = clone(PROJECT, tmp_path / "clone")
    shutil.rmtree(place / "tests")  # they hold the passwords
    (place / "tmp").mkdir()
    with (
        databases.postgresql(binaries, password=STUDY_PASSWORD) as storage,
        mlflow_server(tmp_path / "server") as server,
    ):
        environment = {**server.environment, "RETAIL_CLUSTERS_STORAGE": storage}
        if in_the_uri:
            access = f"//{USERNAME}:{quote(PASSWORD, safe='')}@"
            environment = {
                "MLFLOW_TRACKING_URI": server.uri.replace("//", access),
                "RETAIL_CLUSTERS_STORAGE": storage,
            }
        wrong = environment | {"RETAIL_CLUSTERS_STORAGE": f"{storage}-that-is-not-there"}
        done = run(place, environment, *words(QUICK))
        assert done.returncode == 0, (done.stderr + done.stdout).decode()
        others = [
            run(place, environment, *words("sweep.seeds=2")),
            run(place, wrong, *words(QUICK)),
        ]
        assert all(each.returncode for each in others)
        left = [found for content in database_content(storage) for found in hits(content)]
    for each in (done, *others):
        assert hits(each.stdout + each.stderr) == []
    assert left == []
    files = [each for folder in (place, tmp_path / "server") for each in folder.rglob("*") if each.is_file()]
    assert len(files) > 100
    assert [file for file in files if hits(file.read_bytes())] == []
