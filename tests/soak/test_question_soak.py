"""A feature is a line of YAML: added to a file, it is trained, promoted, scored, verified and drawn."""

import json
from pathlib import Path

import mlflow
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from retail_clusters.__main__ import cli
from retail_clusters.serving.reader import read_scored
from tests.conftest import PROJECT, SAMPLE

ADDED = {
    "hour": '  hour: {sql: "hour(InvoiceDate)", scale: standard}',
    "line_worth": "  line_worth: {sql: cost, scale: log}",
    "country": "  country: {sql: Country, encode: onehot, top: 10}",
}
ANY = ["--set", "promotion.min_test_silhouette=-1", "--set", "promotion.max_cluster_share=1"]


@pytest.mark.soak
@pytest.mark.parametrize("name", ADDED)
def test_a_line_in_the_file_is_all_that_a_feature_takes(
    spark: SparkSession, workplace: Path, name: str
) -> None:
    text = (PROJECT / "experiments" / "default.yaml").read_text(encoding="utf-8")
    if name == "country":
        text = text.replace("  country: {sql: Country}\n", "")  # it described, and is a feature now
    added = text.replace("features:", f"features:\n{ADDED[name]}", 1)
    file = workplace / "mine.yaml"
    file.write_text(added, encoding="utf-8")
    run("train", "--data", SAMPLE, "--k", "12", "--seed", "1", "--experiment", file)
    run("promote", "--experiment", file, *ANY, "--set", "guardrails.max_cluster_share=1")
    run("score", "--source", SAMPLE, "--output", "output", "--experiment", file)
    scored = read_scored(spark, "output")
    assert scored.where(F.col("prediction").isNull()).count() == 0
    version = mlflow.MlflowClient().get_model_version_by_alias("retail-clusters", "champion")
    run("verify", "--version", version.version)
    question = json.loads(mlflow.models.get_model_info(version.source).metadata["feature_space"])["question"]
    assert next(iter(question["features"])) == name
    profile = mlflow.artifacts.load_text(f"runs:/{version.run_id}/profile.csv")
    assert name in profile.splitlines()[0]
    charts = {each.path for each in mlflow.MlflowClient().list_artifacts(version.run_id, "charts")}
    assert {"charts/pairs.png", "charts/centres.png"} <= charts


def run(command: str, *arguments: object) -> None:
    """Run a command of the project in this process."""
    cli.main([command, *map(str, arguments)], standalone_mode=False)
