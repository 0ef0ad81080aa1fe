"""What a sweep leaves in MLflow: a child run for each trial, tables and charts on the parent."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import optuna
import pandas as pd

from retail_clusters.infra import tracking
from retail_clusters.settings import Experiment
from retail_clusters.training import charts
from retail_clusters.training.candidates import Trial
from retail_clusters.training.context import TrainingContext
from retail_clusters.training.seed_agreement import stability
from retail_clusters.training.study_charts import study_html

NUMBER: Final = "trial"


def write_trials(children: tracking.ChildRuns, trials: Sequence[Trial], *, experiment: Experiment) -> None:
    """Write a child run for each trial that has none yet, or only half of one."""
    children.write(
        [
            tracking.ChildRun(
                name=f"K={trial.k}, seed {trial.seed}",
                params=experiment.flat() | {"k": str(trial.k), "seed": str(trial.seed)},
                metrics=_metrics(trial),
                tags=_tags(trial),
            )
            for trial in trials
        ]
    )


def log_report(bench: TrainingContext, study: optuna.Study, trials: Sequence[Trial]) -> None:
    """Log the table of trials, the stability of seeds and the charts on the open run."""
    guardrails = bench.experiment.guardrails
    tracking.log_metrics(
        {
            "trials_completed": len(trials),
            "trials_infeasible": sum(not trial.usable for trial in trials),
        }
    )
    table = trials_table(trials)
    seeds = stability(trials, bench.evaluation.validation)
    tracking.log_table(table, "trials")
    tracking.log_table(seeds, "stability")
    silhouette = charts.sweep_chart(table, column="silhouette", title="Validation silhouette against K")
    share = charts.sweep_chart(
        table,
        column="largest_cluster_share",
        title="Share of the largest cluster against K",
        bound=guardrails.max_cluster_share,
    )
    tracking.log_figure(silhouette, "charts/silhouette.png")
    tracking.log_figure(share, "charts/largest_cluster_share.png")
    tracking.log_figure(charts.cost_chart(table), "charts/cost.png")
    tracking.log_figure(charts.stability_chart(seeds), "charts/stability.png")
    tracking.log_text(study_html(study), "charts/optuna.html")


def trials_table(trials: Sequence[Trial]) -> pd.DataFrame:
    """Return one row a trial, in the order of asking."""
    rows = [asdict(trial) | {"usable": trial.usable, "why_unusable": trial.why_unusable} for trial in trials]
    return pd.DataFrame(rows).drop(columns=["centres", "violations"])


def _metrics(trial: Trial) -> dict[str, float]:
    return {
        "validation_silhouette": trial.silhouette,
        "train_cost": trial.train_cost,
        "iterations": trial.iterations,
        "largest_cluster_share": trial.largest_cluster_share,
        "effective_clusters": trial.effective_clusters,
        "clusters": trial.clusters,
    }


def _tags(trial: Trial) -> dict[str, str]:
    return {
        NUMBER: str(trial.number),
        "state": "feasible" if trial.usable else "infeasible",
        "why_infeasible": trial.why_unusable,
    }
