import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.pyfunc.scoring_server import _predict
from mlflow.tracking import MlflowClient
from pyspark.sql import SparkSession

from retail_clusters.errors import InputError, NotRegisteredError, RegistryError
from retail_clusters.features.interface import interface
from retail_clusters.question import Question
from retail_clusters.registry import tracking
from retail_clusters.registry.models import check_model_folder
from tests import shop
from tests.conftest import SAMPLE
from tests.shop import registry

INTERFACE = interface(Question())


def test_registered_model_comes_back_with_tags_metadata_and_signature(spark: SparkSession, workplace: Path):
    model = shop.model(spark, shop.BETTER).pipeline(spark=spark)
    lines = shop.raw_lines(spark)
    expected = [row.prediction for row in model.transform(lines).collect()]

    with mlflow.start_run() as trained:
        kept = {"metadata": {"key": "kept"}, "tags": {"data_digest": "abc"}}
        version = registry.register(model, interface=INTERFACE, about="What it is.", **kept)
    with mlflow.start_run() as promoted:
        again = registry.register(
            model, interface=INTERFACE, metadata={}, tags={}, trained_by=trained.info.run_id
        )

    opened = registry.open_version(version=version)
    assert [row.prediction for row in opened.model.transform(lines).collect()] == expected
    assert opened.metadata["key"] == "kept"
    assert opened.inputs == INTERFACE.inputs
    assert registry.read_version(version=version).tags["data_digest"] == "abc"
    assert registry.read_version(version=again).run_id == trained.info.run_id
    assert registry.read_version(version=again).run_id != promoted.info.run_id
    remade = registry.open_version(version=again).model.transform(lines).collect()
    assert [row.prediction for row in remade] == expected
    assert MlflowClient().get_registered_model(registry.name).description == "What it is."
    run = MlflowClient().get_run(trained.info.run_id)
    assert run.info.status == "FINISHED"
    (logged,) = run.outputs.model_outputs
    assert mlflow.get_logged_model(logged.model_id).status == "READY"


def test_what_pandas_reads_from_a_daily_file_is_scored_as_spark_scores_it(
    spark: SparkSession, workplace: Path
):
    model = shop.model(spark, shop.BETTER).pipeline(spark=spark)
    with mlflow.start_run():
        version = registry.register(model, interface=INTERFACE, metadata={}, tags={})
    file, some = sorted(SAMPLE.glob("*.csv"))[0], workplace / "some.csv"
    lines = file.read_text(encoding="utf-8").splitlines()[:9]
    some.write_text("\n".join([*lines, "1,2,,,2010-12-01 08:26:00,,,"]), encoding="utf-8")
    expected = {
        csv: [row.prediction for row in model.transform(shop.read_lines(spark, csv)).collect()]
        for csv in (file, some)
    }

    uri = f"models:/{registry.name}/{version}"
    served = mlflow.pyfunc.load_model(uri)

    assert len(set(expected[file])) > 1
    for csv, predictions in expected.items():
        assert served.predict(pd.read_csv(csv)) == predictions
        assert served.predict(pd.read_csv(csv, parse_dates=["InvoiceDate"])) == predictions
    assert len(served.predict(served.input_example)) == len(served.input_example)
    # what `mlflow models predict -t csv` does, in the environment of the command
    _predict(uri, str(some), str(workplace / "predictions.json"), "csv")
    told = json.loads((workplace / "predictions.json").read_text(encoding="utf-8"))
    assert told["predictions"] == expected[some]


def test_alias_names_a_version_until_it_is_taken_off(workplace: Path):
    assert registry.version_named(alias="champion") is None
    shop.versions(2)
    assert registry.version_named(alias="champion") is None

    registry.set_alias(alias="champion", version="2")
    assert registry.version_named(alias="champion") == "2"
    registry.remove_alias(alias="champion")
    assert registry.version_named(alias="champion") is None


def test_versions_are_found_by_their_tags(workplace: Path):
    assert registry.latest_version() is None
    shop.versions(11)
    for version in ("2", "10"):
        registry.tag(version=version, tags={"cluster_numbers": "1,0", "renumbered_from": "1"})
    registry.tag(version="3", tags={"cluster_numbers": "0,1"})

    assert registry.latest_version() == "11"
    assert registry.latest_version(tags={"cluster_numbers": "1,0", "renumbered_from": "1"}) == "10"
    assert registry.latest_version(tags={"cluster_numbers": "1,0", "renumbered_from": "2"}) is None


def test_version_that_is_no_spark_model_is_refused_in_one_line(workplace: Path):
    """Defect 64: the scorer said "…it gave: 'spark'"."""
    version = shop.register_foreign(workplace / "foreign")

    with pytest.raises(RegistryError) as told:
        registry.open_version(version=version)
    assert str(told.value) == (
        f"a model to score with must have MLflow's flavour spark, but version {version} has "
        "python_function: register one with train, or take the alias off this one"
    )
    with pytest.raises(NotRegisteredError, match=r"names none: .*or choose a version that train"):
        registry.training_run(version=version)


def test_a_version_whose_run_is_deleted_says_what_to_do(workplace: Path):
    """Defect 88: the text was about a run id that nobody had given."""
    client = mlflow.MlflowClient()
    run = client.create_run("0").info.run_id
    client.create_registered_model(registry.name)
    client.create_model_version(registry.name, source=f"file://{workplace}/none", run_id=run)
    client.delete_run(run)
    with pytest.raises(NotRegisteredError, match=rf"names run {run}, which is deleted: restore"):
        registry.training_run(version="1")


def test_unknown_version_says_what_to_do(workplace: Path):
    with pytest.raises(NotRegisteredError, match="holds no '7': train or sweep first") as told:
        registry.read_version(version="7")
    assert told.value.exit_code == 2


def test_registry_that_does_not_answer_holds_no_opinion(workplace: Path):
    mlflow.set_registry_uri("http://ann:s3cret@127.0.0.1:9")

    with tracking.short_timeouts():
        for ask in (
            lambda: registry.version_named(alias="champion"),
            lambda: registry.read_version(version="1"),
            registry.latest_version,
        ):
            with pytest.raises(RegistryError, match=r"http://ann:\*\*\*@127.0.0.1:9 gave: no answer"):
                ask()


def test_description_of_a_version_is_kept(workplace: Path):
    shop.versions(1)
    registry.describe(version="1", markdown="# A card")
    assert registry.read_version(version="1").description == "# A card"


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
