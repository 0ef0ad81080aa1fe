"""A whole main job on a database and a tracking server that ask for passwords: neither is left anywhere."""

import os
import re
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
    return [secret for secret in SECRETS if re.search(re.escape(secret.encode()), text)]


def files_with_a_secret(*folders: Path) -> list[str]:
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    assert len(files) > 100
    return [f"{file}: {found}" for file in files if (found := hits(file.read_bytes()))]


def database_content(url: str) -> Iterator[bytes]:
    """Everything that every table holds, as text."""
    engine = sqlalchemy.create_engine(url)
    names = sqlalchemy.inspect(engine).get_table_names()
    assert "studies" in names
    with engine.connect() as connection:
        for name in names:
            for row in connection.execute(sqlalchemy.text(f'SELECT * FROM "{name}"')):
                yield repr(tuple(row)).encode()


def started(place: Path, environment: dict[str, str], *words: str) -> "subprocess.CompletedProcess[bytes]":
    binaries = Path(sys.executable).parent
    path = f"{binaries}:{os.environ['PATH']}"
    own = {"SPARK_MASTER": "local[2]", "PATH": path, "TMPDIR": str(place / "tmp"), "PYTHONPATH": "src"}
    return subprocess.run(
        words, cwd=place, env=os.environ | environment | own, capture_output=True, check=False
    )


def with_mlflow(study: str, settings: str) -> list[str]:
    run = ["mlflow", "run", ".", "--env-manager", "local"]
    return [*run, "-P", f"study={study}", "-P", f"set={settings}"]


def by_itself(study: str, settings: str) -> list[str]:
    return ["python", "-m", "retail_clusters", "main", "--study", study, "--set", settings]


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
        done = started(place, environment, *words("guarded", QUICK))
        assert done.returncode == 0, (done.stderr + done.stdout).decode()
        others = [
            started(place, environment, *words("guarded", "sweep.seeds=2")),
            started(place, wrong, *words("guarded", QUICK)),
        ]
        assert all(each.returncode for each in others)
        left = [found for content in database_content(storage) for found in hits(content)]
    for each in (done, *others):
        assert hits(each.stdout + each.stderr) == []
    assert left == []
    assert files_with_a_secret(place, tmp_path / "server") == []
