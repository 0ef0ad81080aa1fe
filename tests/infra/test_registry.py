from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from pyspark.sql import SparkSession

from retail_clusters.errors import RegistryError
from retail_clusters.settings import Features
from retail_clusters.training.interface import INTERFACE
from tests import shop
from tests.shop import registry


def test_registered_model_comes_back_with_tags_metadata_and_signature(spark: SparkSession, workplace: Path):
    table = shop.prepare(spark)
    model = shop.model(spark, table, shop.BETTER, how=Features())
    lines = shop.raw_lines(spark)
    expected = [row.prediction for row in model.transform(lines).collect()]

    with mlflow.start_run() as trained:
        version = registry.register(
            model, interface=INTERFACE, tags={"data_digest": "abc"}, metadata={"key": "kept"}
        )
    with mlflow.start_run() as promoted:
        again = registry.register_again(
            model, interface=INTERFACE, of=version, tags={"renumbered_from": version}, metadata={}
        )

    opened = registry.open_version(version=version)
    assert [row.prediction for row in opened.model.transform(lines).collect()] == expected
    assert opened.metadata["key"] == "kept"
    assert registry.input_columns(version=version) == INTERFACE.inputs
    assert registry.read_version(version=version).tags["data_digest"] == "abc"
    assert registry.read_version(version=again).run_id == trained.info.run_id
    assert registry.read_version(version=again).run_id != promoted.info.run_id
    remade = registry.open_version(version=again).model.transform(lines).collect()
    assert [row.prediction for row in remade] == expected
    run = MlflowClient().get_run(trained.info.run_id)
    assert run.info.status == "FINISHED"
    (logged,) = run.outputs.model_outputs
    assert mlflow.get_logged_model(logged.model_id).status == "READY"


def test_input_example_of_a_registered_model_can_be_scored_by_any_client(
    spark: SparkSession, workplace: Path
):
    model = shop.model(spark, shop.prepare(spark), shop.BETTER, how=Features())
    with mlflow.start_run():
        version = registry.register(model, interface=INTERFACE, tags={})

    served = mlflow.pyfunc.load_model(f"models:/{registry.name}/{version}")
    predictions = served.predict(served.input_example)

    assert len(predictions) == len(served.input_example)
    assert set(predictions) <= {0, 1, 2, 3}


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
    assert registry.find_version(tags={"cluster_numbers": "1,0", "renumbered_from": "1"}) == "10"
    assert registry.find_version(tags={"cluster_numbers": "1,0", "renumbered_from": "2"}) is None
    assert sorted(registry.tag_values(key="cluster_numbers")) == ["0,1", "1,0", "1,0"]


def test_unknown_version_says_what_to_do(workplace: Path):
    with pytest.raises(RegistryError, match="holds no '7': train or sweep first"):
        registry.read_version(version="7")


def test_description_of_a_version_is_kept(workplace: Path):
    shop.versions(1)
    registry.describe(version="1", markdown="# A card")
    assert registry.read_version(version="1").description == "# A card"
