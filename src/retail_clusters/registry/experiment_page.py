"""How an experiment looks in the MLflow UI: opened as model training, described, with views of its runs."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from mlflow.tracking import MlflowClient

#: Without the kind, the UI shows an experiment as one of generative AI.
KIND: Final = {"mlflow.experimentKind": "custom_model_development"}

_VIEW: Final = "mlflow.sharedViewState."
_SETTINGS: Final = ("params.`k`", "params.`seed`", "params.`features.scaling`")
_QUALITY: Final = ("metrics.`validation_silhouette`", "metrics.`test_silhouette`")
_SIZES: Final = ("metrics.`largest_cluster_share`", "metrics.`stable_line_share`")
_VERSION: Final = "tags.`model_version`"

#: For each view: which runs, by what they are ordered, the largest or latest first, with which columns.
_VIEWS: Final[Mapping[str, tuple[str, str, Sequence[str]]]] = {
    "pipelines": (
        "tags.kind = 'main'",
        "attributes.start_time",
        [*_QUALITY, *_SIZES, _VERSION, "attributes.`Dataset`"],
    ),
    "trials": (
        "tags.kind = 'trial' and tags.state = 'feasible'",
        "metrics.`validation_silhouette`",
        [
            *("metrics.`validation_silhouette`", "metrics.`validation_macro_silhouette`"),
            *("metrics.`largest_cluster_share`", "metrics.`clusters`", "metrics.`train_cost`"),
            *(*_SETTINGS, "tags.`data_digest`"),
        ],
    ),
    "models": (
        "tags.usable = 'true'",
        "metrics.`validation_silhouette`",
        [*_QUALITY, *_SIZES, "metrics.`test_macro_silhouette`", *_SETTINGS, _VERSION],
    ),
}


def describe(client: MlflowClient, experiment_id: str) -> None:
    """Give an experiment its kind, unless it has one, and its page, unless somebody has described it."""
    held, page = client.get_experiment(experiment_id).tags, page_tags(experiment_id)
    for tags in (KIND, page):
        if tags.keys().isdisjoint(held):
            for key, value in tags.items():
                client.set_experiment_tag(experiment_id, key, value)


def runs_page(experiment_id: str, *, view: str) -> str:
    """Return the address of an experiment's runs in a view, as the UI's pages link to it.

    Without the type of work, the UI may open it as generative AI, where no run is seen.
    """
    return f"#/experiments/{experiment_id}/runs?viewStateShareKey={view}&workflowType=machine_learning"


def run_page(experiment_id: str, run_id: str) -> str:
    """Return the address of a run, as the UI's pages link to it."""
    return f"#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning"


def page_tags(experiment_id: str) -> dict[str, str]:
    """Return the tags that describe an experiment, and hold the views that its description links to.

    A view is kept as the UI itself keeps a shared one: what it cannot read, it leaves aside.
    """
    views = {f"{_VIEW}{name}": _view(*of) for name, of in _VIEWS.items()}
    return {"mlflow.note.content": _description(experiment_id)} | views


def _description(experiment_id: str) -> str:
    pipelines, models, trials = (
        f"[{text}]({runs_page(experiment_id, view=text.lower())})"
        for text in ("Pipelines", "models", "trials")
    )
    return "\n\n".join(
        [
            f"Clusterings of retail data. {pipelines} · {models} · {trials}",
            "These are three views of the runs: whole pipelines (the latest first), registered models and "
            "usable trials (the best first).",
            "`main` holds every step: `prepare`, `sweep` (with a run for each trial), `register`, `promote`, "
            "`score`. The tag `kind` names the kind of a run.",
            "Sort by `validation_silhouette`, and look at `test_silhouette` last. A silhouette belongs to its "
            "lines and its features: compare only runs of the same `data_digest` and the same features.",
        ]
    )


def _view(runs: str, order: str, columns: Sequence[str]) -> str:
    return json.dumps(
        {
            "searchFilter": runs,
            "orderByKey": order,
            "orderByAsc": False,
            "selectedColumns": list(columns),
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "datasetsFilter": [],
            "modelVersionFilter": "All Runs",
        }
    )
