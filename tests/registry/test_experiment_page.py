"""How an experiment looks in the MLflow UI."""

import json
import re
from pathlib import Path

import mlflow
import pytest

from retail_clusters.registry import tracking

VIEW = "mlflow.sharedViewState."


def page_of(name: str) -> tuple[str, dict[str, str]]:
    found = mlflow.get_experiment_by_name(name)
    assert found is not None
    return found.experiment_id, found.tags


@pytest.mark.parametrize("made_by_mlflow_run", [False, True])
def test_experiment_opens_as_model_training_with_every_view_that_its_description_links_to(
    workplace: Path, made_by_mlflow_run: bool
):
    if made_by_mlflow_run:
        mlflow.create_experiment("mine")
    tracking.connect(experiment="mine")

    experiment_id, tags = page_of("mine")
    links = re.findall(r"\(#/experiments/(\w+)/runs\?(\S+)\)", tags["mlflow.note.content"])
    addresses = {f"viewStateShareKey={view}&workflowType=machine_learning" for view in views(tags)}
    assert set(links) == {(experiment_id, address) for address in addresses}
    assert tags["mlflow.experimentKind"] == "custom_model_development"


def views(tags: dict[str, str]) -> dict[str, str]:
    return {key.removeprefix(VIEW): text for key, text in tags.items() if key.startswith(VIEW)}


def test_views_are_searches_that_mlflow_understands(workplace: Path):
    tracking.connect(experiment="mine")
    with tracking.run("main"):
        tracking.log_metrics({"validation_silhouette": 0.5})
    experiment_id, tags = page_of("mine")
    found = {}
    for view, text in views(tags).items():
        state = json.loads(text)
        runs = mlflow.search_runs(
            [experiment_id],
            filter_string=state["searchFilter"],
            order_by=[f"{state['orderByKey']} DESC"],
            output_format="list",
        )
        found[view] = len(runs)
    assert found == {"pipelines": 1}


def test_experiment_that_somebody_has_described_keeps_its_description(workplace: Path):
    mlflow.MlflowClient().create_experiment("mine", tags={"mlflow.note.content": "my own"})
    tracking.connect(experiment="mine")
    assert page_of("mine")[1]["mlflow.note.content"] == "my own"
