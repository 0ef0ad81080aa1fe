"""A whole main job on a database and a tracking server that ask for passwords: neither is left anywhere."""

import os
import re
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
QUICK = "set=sweep.seeds=1; sweep.k_max=24"


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


def main_job(
    place: Path, environment: dict[str, str], *parameters: str
) -> "subprocess.CompletedProcess[bytes]":
    binaries = Path(sys.executable).parent
    own = {
        "SPARK_MASTER": "local[2]",
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "TMPDIR": str(place / "tmp"),
    }
    return subprocess.run(
        [binaries / "mlflow", "run", ".", "--env-manager", "local", *parameters],
        cwd=place,
        env=os.environ | environment | own,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("in_the_uri", [False, True], ids=["in the environment", "in the URI"])
def test_no_password_is_left_by_a_main_job(tmp_path, in_the_uri):
    binaries = databases.programs()
    if binaries is None:
        pytest.skip("this machine has no PostgreSQL")
    place = clone(PROJECT, tmp_path / "clone")
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
        done = main_job(place, environment, "-P", QUICK, "-P", "study=guarded")
        assert done.returncode == 0, (done.stderr + done.stdout).decode()
        failed = main_job(place, environment, "-P", "set=sweep.seeds=2", "-P", "study=guarded")
        assert failed.returncode != 0
        stopped = main_job(place, environment | {"RETAIL_CLUSTERS_STORAGE": storage + "x"}, "-P", QUICK)
        assert stopped.returncode != 0
        written = [line for content in database_content(storage) for line in hits(content)]
    for each in (done, failed, stopped):
        assert hits(each.stdout) == []
        assert hits(each.stderr) == []
    assert written == []
    assert files_with_a_secret(place, tmp_path / "server") == []
