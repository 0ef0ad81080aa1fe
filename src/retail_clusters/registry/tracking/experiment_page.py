"""How an experiment looks in the MLflow UI: opened as model training, described, with views of its runs."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from retail_clusters.schema import ROW_KEY_IN_WORDS

#: Without the kind, the UI shows an experiment as one of generative AI.
KIND: Final = {"mlflow.experimentKind": "custom_model_development"}

_VIEW: Final = "mlflow.sharedViewState."
_METRICS: Final = ("validation_silhouette", "test_silhouette", "largest_cluster_share", "stable_line_share")


def page_tags(experiment_id: str) -> dict[str, str]:
    """Return the tags that describe an experiment, and hold the views that its description links to.

    A view is kept as the UI itself keeps a shared one: what it cannot read, it leaves aside.
    """
    return {
        "mlflow.note.content": _description(experiment_id),
        f"{_VIEW}pipelines": _view(
            "tags.kind = 'main'",
            order="attributes.start_time",
            columns=(
                *_metrics(_METRICS),
                "tags.`model_version`",
                "attributes.`Dataset`",
            ),
        ),
        f"{_VIEW}trials": _view(
            "tags.kind = 'trial' and tags.state = 'feasible'",
            order="metrics.`validation_silhouette`",
            columns=(
                *_metrics(("validation_silhouette", "validation_macro_silhouette", "largest_cluster_share")),
                *_metrics(("clusters", "train_cost")),
                *("params.`k`", "params.`seed`", "params.`features.scaling`", "tags.`data_digest`"),
            ),
        ),
        f"{_VIEW}models": _view(
            "tags.usable = 'true'",
            order="metrics.`validation_silhouette`",
            columns=(
                *_metrics((*_METRICS, "test_macro_silhouette")),
                *("params.`k`", "params.`seed`", "params.`features.scaling`", "tags.`model_version`"),
            ),
        ),
    }


def _description(experiment_id: str) -> str:
    def link(text: str, view: str) -> str:
        where = f"#/experiments/{experiment_id}/runs?viewStateShareKey={view}&workflowType=machine_learning"
        return f"[{text}]({where})"

    return "\n\n".join(
        [
            f"Invoice lines clustered by {ROW_KEY_IN_WORDS}. "
            f"{link('Pipelines', 'pipelines')} · {link('models', 'models')} · {link('trials', 'trials')}",
            "These three are views of the runs: whole pipelines, the latest first; what was registered, and "
            "the usable trials, the best first.",
            "`main` holds every step: `prepare`, `sweep` (with a run for each trial), `register`, `promote`, "
            "`score`. `tags.kind` names the kind of a run.",
            "Sort by `validation_silhouette`, look at `test_silhouette` last, and compare only runs of one "
            "`data_digest` and one `features.scaling`: a silhouette belongs to its lines and its features.",
        ]
    )


def _metrics(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"metrics.`{name}`" for name in names)


def _view(runs: str, *, order: str, columns: Sequence[str]) -> str:
    """Return a view of the list of runs: which runs, the largest or latest first, with which columns."""
    state: Mapping[str, object] = {
        "searchFilter": runs,
        "orderByKey": order,
        "orderByAsc": False,
        "selectedColumns": list(columns),
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
    }
    return json.dumps(state)
