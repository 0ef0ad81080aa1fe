from types import SimpleNamespace
from typing import Any

import pytest

from retail_clusters.errors import InputError
from retail_clusters.infra.logged_model import check_model_folder


def session(master: str, files: str) -> Any:
    """What is asked of a session: where it runs, and where its files are by default."""
    settings = SimpleNamespace(get={"fs.defaultFS": files}.get)
    java = SimpleNamespace(hadoopConfiguration=lambda: settings)
    return SimpleNamespace(sparkContext=SimpleNamespace(master=master, _jsc=java))


@pytest.mark.parametrize(
    ("master", "files", "folder"),
    [
        ("local[2]", "file:///", ""),
        ("local-cluster[2,1,1024]", "file:///", ""),
        ("spark://host:7077", "hdfs://host:8020", ""),
        ("yarn", "file:///", "/mnt/shared"),
    ],
)
def test_model_folder_that_every_machine_sees_is_taken(
    monkeypatch: pytest.MonkeyPatch, master: str, files: str, folder: str
):
    monkeypatch.setenv("MLFLOW_DFS_TMP", folder)

    check_model_folder(session(master, files))


def test_model_folder_of_each_machine_is_refused_on_a_cluster(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MLFLOW_DFS_TMP", raising=False)

    with pytest.raises(InputError, match="the master is spark://host:7077, and files are each machine's own"):
        check_model_folder(session("spark://host:7077", "file:///"))
