"""What a sweep leaves in MLflow: a child run for each trial, tables and charts on the parent."""

from collections.abc import Mapping, Sequence
from typing import Final, get_args

import optuna
import pandas as pd

from retail_clusters.errors import NoUsableClusteringError
from retail_clusters.infra import tracking
from retail_clusters.settings import Experiment, Guardrails, Objective, Sweep
from retail_clusters.training import charts, seed_agreement, study
from retail_clusters.training.candidates import Trial
from retail_clusters.training.study_charts import study_html
from retail_clusters.training.trials import Evaluator

NUMBER: Final = "trial"


def write_trials(
    children: tracking.ChildRuns,
    trials: Sequence[Trial],
    *,
    experiment: Experiment,
    tags: Mapping[str, str],
) -> None:
    """Write a child run for each trial that has none yet, or only half of one.

    A trial has the params that tell it from others; its parent has every setting.
    """
    children.write([_child(trial, experiment, tags) for trial in trials])


def _child(trial: Trial, experiment: Experiment, tags: Mapping[str, str]) -> tracking.ChildRun:
    scaling = experiment.features.scaling
    return tracking.ChildRun(
        name=f"K={trial.k} seed {trial.seed}",
        params={"k": str(trial.k), "seed": str(trial.seed), "features.scaling": scaling},
        metrics=trial.evaluation.metrics,
        tags=_tags(trial) | dict(tags),
    )


def log_report(
    opened: optuna.Study,
    trials: Sequence[Trial],
    *,
    evaluator: Evaluator,
    sweep: Sweep,
    guardrails: Guardrails,
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
    tracking.log_table(winners_table(trials, settings=sweep), "winners")
    tracking.log_table(seeds, "seed_agreement")
    silhouette = charts.sweep_chart(
        table, column="validation_silhouette", title="Validation silhouette against K"
    )
    share = charts.sweep_chart(
        table,
        column="largest_cluster_share",
        title="Share of the largest cluster against K",
        bound=guardrails.max_cluster_share,
    )
    tracking.log_figure(silhouette, "charts/silhouette.png")
    tracking.log_figure(share, "charts/largest_cluster_share.png")
    tracking.log_figure(charts.cost_chart(table), "charts/cost.png")
    tracking.log_figure(charts.stability_chart(seeds), "charts/seed_agreement.png")
    tracking.log_text(study_html(opened), "charts/optuna.html")


def winners_table(trials: Sequence[Trial], *, settings: Sweep) -> pd.DataFrame:
    """Return the trial that each objective would choose, so that a reader sees where they disagree.

    Columns: `objective`, `chosen` (the sweep's own), `k`, `seed`, and the trial's metrics; an objective that
    no K fulfils has no row.
    """
    rows = []
    for objective in get_args(Objective):
        try:
            best = study.best(trials, settings=settings.model_copy(update={"objective": objective}))
        except NoUsableClusteringError:
            continue
        names = {
            "objective": objective,
            "chosen": objective == settings.objective,
            "k": best.k,
            "seed": best.seed,
        }
        rows.append(names | dict(best.evaluation.metrics))
    return pd.DataFrame(rows)


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
        NUMBER: str(trial.number),
        "state": "feasible" if trial.usable else "infeasible",
        "why_infeasible": trial.why_unusable,
    }
