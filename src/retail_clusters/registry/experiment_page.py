"""How an experiment looks in the MLflow UI: opened as model training, described, with a view of its pipelines."""

import json
from typing import Final

from mlflow.tracking import MlflowClient

#: Without the kind, the UI shows an experiment as one of generative AI.
KIND: Final = {"mlflow.experimentKind": "custom_model_development"}
#: A view is kept as the UI itself keeps a shared one: what it cannot read, it leaves aside.
_VIEW: Final = "mlflow.sharedViewState.pipelines"
_PIPELINES: Final = {
    "searchFilter": "tags.kind = 'main'",
    "orderByKey": "attributes.start_time",
    "orderByAsc": False,
    "selectedColumns": [
        *("metrics.`validation_silhouette`", "metrics.`test_silhouette`", "metrics.`largest_cluster_share`"),
        *("metrics.`stable_line_share`", "tags.`model_version`", "attributes.`Dataset`"),
    ],
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "datasetsFilter": [],
    "modelVersionFilter": "All Runs",
}
_DESCRIPTION: Final = """Clusterings of retail data: [pipelines]({pipelines}), the latest first.

`main` holds every step: `prepare`, `sweep` (with a run for each trial), `register`, `promote`, `score`. The tag \
`kind` names the kind of a run.

Sort by `validation_silhouette`, and look at `test_silhouette` last. A silhouette belongs to its lines and its \
features: compare only runs of the same `data_digest` and the same features."""


def describe(client: MlflowClient, experiment_id: str) -> None:
    """Give an experiment its kind, unless it has one, and its page, unless somebody has described it."""
    description = _DESCRIPTION.format(pipelines=pipelines_page(experiment_id))
    page = {"mlflow.note.content": description, _VIEW: json.dumps(_PIPELINES)}
    held = client.get_experiment(experiment_id).tags
    for tags in (KIND, page):
        if tags.keys().isdisjoint(held):
            for key, value in tags.items():
                client.set_experiment_tag(experiment_id, key, value)


def pipelines_page(experiment_id: str) -> str:
    """Return the address of an experiment's pipelines, as the UI's pages link to it.

    Without the type of work, the UI may open it as generative AI, where no run is seen.
    """
    return f"#/experiments/{experiment_id}/runs?viewStateShareKey=pipelines&workflowType=machine_learning"


def run_page(experiment_id: str, run_id: str) -> str:
    """Return the address of a run, as the UI's pages link to it."""
    return f"#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning"
