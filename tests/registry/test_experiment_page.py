"""How an experiment looks in the MLflow UI."""

import json
import re

import mlflow

from retail_clusters.registry import tracking
from retail_clusters.registry.tracking import by_id
from retail_clusters.registry.tracking.experiment_page import page_tags

VIEW = "mlflow.sharedViewState."


def test_every_view_that_the_description_links_to_is_there_and_of_this_experiment():
    tags = page_tags("7")
    links = re.findall(r"#/experiments/(\d+)/runs\?viewStateShareKey=(\w+)&", tags["mlflow.note.content"])
    assert {experiment for experiment, _ in links} == {"7"}
    assert {f"{VIEW}{view}" for _, view in links} == {key for key in tags if key.startswith(VIEW)}


def test_views_are_searches_that_mlflow_understands(workplace):
    with tracking.run("main"):
        tracking.set_tags({"kind": "main"})
        tracking.log_metrics({"validation_silhouette": 0.5})
    found = {}
    for key, text in page_tags("0").items():
        if key.startswith(VIEW):
            state = json.loads(text)
            runs = mlflow.search_runs(
                ["0"],
                filter_string=state["searchFilter"],
                order_by=[f"{state['orderByKey']} DESC"],
                output_format="list",
            )
            found[key.removeprefix(VIEW)] = len(runs)
    assert found == {"pipelines": 1, "trials": 0, "models": 0}


def test_experiment_that_somebody_has_described_keeps_its_description(workplace):
    mine = mlflow.MlflowClient().create_experiment("mine", tags={"mlflow.note.content": "my own"})
    tracking.connect(experiment="mine")
    assert mlflow.get_experiment(mine).tags["mlflow.note.content"] == "my own"


def test_files_of_a_run_are_read_where_they_are_there(workplace):
    with tracking.run("train") as run_id:
        tracking.log_text("a", "charts/one.txt")
        tracking.log_text("b", "two.txt")
    found = by_id.read_files(run_id, ["charts/one.txt", "two.txt", "charts/missing.png"])
    assert found == {"charts/one.txt": b"a", "two.txt": b"b"}


def test_table_to_compare_is_logged_once_however_often_a_run_goes_on(workplace):
    import pandas as pd

    table = pd.DataFrame({"cluster": [0, 1], "lines": [3, 4]})
    with tracking.run("register") as run_id:
        tracking.log_comparable_table(table, "profile")
        tracking.log_comparable_table(table, "profile")
    read = mlflow.load_table("profile.json", run_ids=[run_id])
    assert read["lines"].to_list() == [3, 4]
