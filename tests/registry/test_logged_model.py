from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.sql import SparkSession

from retail_clusters.errors import InputError
from retail_clusters.registry.logged_model import check_model_folder


def cluster(files: str, *executors: str) -> Any:
    """What is asked of a session: where its executors run, and where its files are by default."""
    infos = [SimpleNamespace(host=lambda name=name: name) for name in ("driver", *executors)]
    tracker = SimpleNamespace(getExecutorInfos=lambda: infos)
    java = SimpleNamespace(
        hadoopConfiguration=lambda: {"fs.defaultFS": files},
        sc=lambda: SimpleNamespace(statusTracker=lambda: tracker),
    )
    configured = {"spark.driver.host": "driver"}
    context = SimpleNamespace(master="spark://driver:7077", _jsc=java, getConf=lambda: configured)
    return SimpleNamespace(sparkContext=context)


@pytest.mark.parametrize(
    ("files", "executors", "folder"),
    [
        ("file:///", ["driver"], ""),
        ("hdfs://host:8020", ["driver", "worker"], ""),
        ("file:///", ["worker"], "/mnt/shared"),
    ],
)
def test_model_folder_that_every_machine_sees_is_taken(
    monkeypatch: pytest.MonkeyPatch, files: str, executors: list[str], folder: str
):
    monkeypatch.setenv("MLFLOW_DFS_TMP", folder)

    check_model_folder(cluster(files, *executors))


def test_model_folder_of_each_machine_is_refused_on_a_cluster(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MLFLOW_DFS_TMP", raising=False)

    with pytest.raises(InputError, match="executors run on worker, and files are each machine's own"):
        check_model_folder(cluster("file:///", "worker"))


def test_one_machine_needs_no_shared_folder(spark: SparkSession, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MLFLOW_DFS_TMP", raising=False)

    check_model_folder(spark)
