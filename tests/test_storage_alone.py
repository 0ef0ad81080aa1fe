"""Storage alone opens what a job reads and writes: who else could, and whoever tries."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from retail_clusters.infra import locks, storage
from tests.guarded import PACKAGE, OpenedError, guarded
from tests.openers import openers

#: Why a module may know of files at all: storage, or no file of it is at a location of the user's data.
OPENERS: Final = {
    "infra._local_files": "storage",
    "infra.storage": "storage: what an object store gets is spooled",
    "infra.locations": "storage: links on this machine are followed",
    "infra.locks": "storage: the system keeps locks on open files",
    "cli.common": "the type of --experiment",
    "cli.results": "a path in a result is shown as text",
    "experiment_file": "the experiment file, on the machine where the command is typed",
    "infra.class_archive": "the environment's archive of classes",
    "infra.holders": "/proc",
    "infra.java": "where Java is",
    "infra.logged_model": "MLflow downloads a model to this machine",
    "infra.package": "the package's own modules, packed for executors",
    "infra.plots": "figures are drawn in memory",
    "infra.spark": "Spark's own log",
    "infra.spark_settings": "spark-defaults.conf",
    "infra.tracking.by_id": "MLflow downloads an artifact to this machine",
    "infra.tracking.reading": "an artifact's text, in memory",
    "infra.tracking.records": "pictures on their way: MLflow takes them from files of this machine",
    "infra.tracking.store": "the store in a file of this machine",
    "promotion.ledger": "the name of a lock of this machine, and its temporary folder",
    "data.fetch": "an archive that comes as a stream, and names in it",
    "purchases.job": "Parquet through streams of storage, and one of them copied to another",
    "serving.staged": "Parquet through streams of storage",
}


def test_no_other_module_could_open_a_path():
    assert openers().keys() == OPENERS.keys()


@pytest.mark.parametrize(
    ("planted", "means"),
    [
        ("open(name)", "open"),
        ("from pathlib import Path", "pathlib"),
        ("import shutil", "shutil"),
        ("import os\nos.listdir(name)", "os.listdir"),
        ("import os\nos.path.exists(name)", "os.path.exists"),
        ("from os import remove", "os"),
        ("from os.path import exists", "os.path"),
        ("import os as system", "os as system"),
        ("import io\nio.open(name)", "io.open"),
        ("import pyarrow.parquet as pq", "pyarrow.parquet"),
        ("from pyarrow import dataset", "pyarrow.dataset"),
        ("frame.to_parquet(name)", ".to_parquet"),
        ("import os\nos.environ['A'], os.getpid(), os.path.normpath(name)", None),
    ],
)
def test_a_module_that_opens_a_path_is_found(tmp_path: Path, planted: str, means: str | None):
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / "planted.py").write_text(planted)
    assert openers(tmp_path) == ({"serving.planted": {means}} if means else {})


OPENING: Final = {
    "open": lambda file: open(file).close(),  # noqa: PTH123
    "Path.read_text": lambda file: Path(file).read_text(),
    "Path.write_text": lambda file: Path(file).write_text("1"),
    "Path.exists": lambda file: Path(file).exists(),
    "Path.mkdir": lambda file: Path(file).mkdir(),
    "Path.iterdir": lambda file: list(Path(file).parent.iterdir()),
    "Path.rename": lambda file: Path("elsewhere").rename(file),
    "Path.unlink": lambda file: Path(file).unlink(),
    "Path.is_dir": lambda file: Path(file).is_dir(),
}


def asked_by(module: str, ask: Callable[[str], object], file: str) -> None:
    """Let a module of the project ask, which it never does."""
    made: dict[str, Callable[[], None]] = {}
    exec(compile("def call():\n ask(file)", f"{PACKAGE}/{module}", "exec"), {"ask": ask, "file": file}, made)
    made["call"]()


@pytest.mark.parametrize("how", OPENING)
@pytest.mark.parametrize("place", ["here", "viewfs"])
def test_whoever_opens_a_path_at_a_guarded_place_is_stopped(tmp_path: Path, how: str, place: str):
    file = str(tmp_path / "file") if place == "here" else "viewfs://shop/data/file"
    with guarded(tmp_path) as found, pytest.raises(OpenedError, match=r"planted\.py"):
        asked_by("serving/planted.py", OPENING[how], file)
    assert len(found) == 1


def test_storage_is_not_stopped_nor_is_who_goes_through_it(tmp_path: Path):
    file = str(tmp_path / "file")
    with guarded(tmp_path) as found:
        asked_by("serving/planted.py", lambda place: storage.write_text(place, "1"), file)
        asked_by("serving/planted.py", storage.list_files, str(tmp_path))
        with locks.lock(str(tmp_path / "lock"), purpose="one at a time"):
            asked_by("infra/_local_files.py", OPENING["open"], file)
    assert found == []
    assert Path(file).read_text() == "1"
