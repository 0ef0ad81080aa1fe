"""What a sweep leaves in MLflow: a child run for each trial, tables and charts on the parent."""

from collections.abc import Mapping, Sequence
from typing import Final

import optuna
import pandas as pd

from retail_clusters.infra import tracking
from retail_clusters.settings import Experiment, Guardrails
from retail_clusters.training import charts, seed_agreement
from retail_clusters.training.candidates import Trial
from retail_clusters.training.study_charts import study_html
from retail_clusters.training.trials import Evaluator

_NUMBER: Final = "trial"


def written_trials(parent: str) -> dict[int, tuple[str, bool]]:
    """Find the children of a parent, by trial number: run id, and whether it was written to its end."""
    return {
        int(child.data.tags[_NUMBER]): (child.info.run_id, child.info.status == "FINISHED")
        for child in tracking.children(parent)
        if _NUMBER in child.data.tags
    }


def write_trials(
    parent: str,
    trials: Sequence[Trial],
    written: Mapping[int, tuple[str, bool]],
    *,
    experiment: Experiment,
) -> None:
    """Write a child run for each trial that has none yet, or only half of one."""
    for trial in trials:
        run_id, complete = written.get(trial.number, (None, False))
        if complete:
            continue
        tracking.write_child(
            parent,
            f"K={trial.k}, seed {trial.seed}",
            params=experiment.flat() | {"k": str(trial.k), "seed": str(trial.seed)},
            metrics=trial.evaluation.metrics,
            tags=_tags(trial),
            run_id=run_id,
        )


def log_report(
    study: optuna.Study, trials: Sequence[Trial], *, evaluator: Evaluator, settings: Guardrails
) -> None:
    """Log the table of trials, the agreement of seeds and the charts on the open run."""
    tracking.log_metrics(
        {
            "trials_completed": len(trials),
            "trials_infeasible": sum(not trial.usable for trial in trials),
        }
    )
    table = trials_table(trials)
    groups = seed_agreement.by_k(trials)
    seeds = seed_agreement.table(groups, evaluator.agreements(groups))
    tracking.log_table(table, "trials")
    tracking.log_table(seeds, "stability")
    silhouette = charts.sweep_chart(
        table, column="validation_silhouette", title="Validation silhouette against K"
    )
    share = charts.sweep_chart(
        table,
        column="largest_cluster_share",
        title="Share of the largest cluster against K",
        bound=settings.max_cluster_share,
    )
    tracking.log_figure(silhouette, "charts/silhouette.png")
    tracking.log_figure(share, "charts/largest_cluster_share.png")
    tracking.log_figure(charts.cost_chart(table), "charts/cost.png")
    tracking.log_figure(charts.stability_chart(seeds), "charts/stability.png")
    tracking.log_text(study_html(study), "charts/optuna.html")


def trials_table(trials: Sequence[Trial]) -> pd.DataFrame:
    """Return one row a trial, in the order of asking."""
    return pd.DataFrame(
        [
            {"number": trial.number, "k": trial.k, "seed": trial.seed}
            | dict(trial.evaluation.metrics)
            | {"usable": trial.usable, "why_unusable": trial.why_unusable}
            for trial in trials
        ]
    )


def _tags(trial: Trial) -> dict[str, str]:
    return {
        _NUMBER: str(trial.number),
        "state": "feasible" if trial.usable else "infeasible",
        "why_infeasible": trial.why_unusable,
    }
