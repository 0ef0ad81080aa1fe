"""What a sweep leaves in MLflow: a child run for each trial; tables, charts and a description on the parent."""

from collections.abc import Sequence
from typing import Final

import pandas as pd

from retail_clusters.errors import NoUsableClusteringError
from retail_clusters.registry import tracking
from retail_clusters.registry.tracking import ChildRun
from retail_clusters.report import charts, plots
from retail_clusters.search import study
from retail_clusters.search.context import TrainingContext
from retail_clusters.search.study import Trial
from retail_clusters.search.trials import Evaluator
from retail_clusters.settings import Experiment, Sweep

NUMBER: Final = "trial"


def child_run(trial: Trial, context: TrainingContext) -> ChildRun:
    """Return the run of a trial, with the params that tell it from others: its parent has every setting."""
    usable = (
        {"state": "feasible"}
        if trial.usable
        else {"state": "infeasible", "why_infeasible": trial.why_unusable}
    )
    own = {"kind": "trial", NUMBER: str(trial.number), "data_digest": context.prepared.table.data_digest}
    return ChildRun(
        name=f"K={trial.k} seed {trial.seed}",
        params={"k": str(trial.k), "seed": str(trial.seed)},
        metrics=trial.evaluation.metrics,
        tags=own | usable,
    )


def log_report(trials: Sequence[Trial], *, evaluator: Evaluator, experiment: Experiment) -> str:
    """Log metrics, tables and charts of the trials on the open run; describe it, and return that description."""
    unusable = sum(not trial.usable for trial in trials)
    tracking.log_metrics({"trials_completed": len(trials), "trials_infeasible": unusable})
    table, best = trials_table(trials), _best(trials, experiment.sweep)
    seeds = seeds_table(table, evaluator.agreements(trials))
    tracking.log_table(table, "trials")
    tracking.log_table(seeds, "seed_agreement")
    chart = charts.choice_chart(
        table,
        chosen=(best.k, best.seed) if best else None,
        guardrail=experiment.guardrails.max_cluster_share,
        noun=experiment.noun,
    )
    tracking.log_files(plots.to_pngs({"charts/choice_of_k.png": chart}))
    page = description(trials, best=best, seeds=seeds, sweep=experiment.sweep)
    tracking.describe(page)
    return page


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


def seeds_table(trials: pd.DataFrame, agreements: Sequence[float]) -> pd.DataFrame:
    """Describe the seeds tried for each K: one row a K, in order.

    `agreement` is the mean adjusted Rand index over pairs of seeds, on validation lines (missing for one seed).
    """
    silhouettes = {f"silhouette_{how}": ("validation_silhouette", how) for how in ("median", "min", "max")}
    table = trials.groupby("k").agg(seeds=("seed", "size"), usable=("usable", "sum"), **silhouettes)
    return table.assign(agreement=agreements).reset_index()


def description(trials: Sequence[Trial], *, best: Trial | None, seeds: pd.DataFrame, sweep: Sweep) -> str:
    """Describe a search: what was tried, what is chosen, what the seed does."""
    tried = (
        f"{len(trials)} trials of K {sweep.k_min} to {sweep.k_max} and {sweep.seeds} seeds, measured on "
        f"{trials[0].evaluation.validation.lines:,} validation lines; {sum(each.usable for each in trials)} are usable."
    )
    if best is None:
        return f"{tried} **So there is nothing to register**: `trials.csv` says why each is not."
    seed = seeds[seeds["k"] == best.k].iloc[0]
    edge = f" **The best K is the largest that was tried**: raise `sweep.k_max`, which is {sweep.k_max}."
    return (
        f"{tried} By `{sweep.objective}`, **K={best.k} seed {best.seed}** is chosen: silhouette "
        f"**{best.silhouette:.4f}**.{edge if best.k == sweep.k_max > sweep.k_min else ''}\n\n"
        f"The {seed['seeds']:.0f} seeds of K={best.k} have silhouettes from {seed['silhouette_min']:.4f} to "
        f"{seed['silhouette_max']:.4f}, and their clusterings agree to {seed['agreement']:.2f} (adjusted Rand index: 1 "
        "is the same clusters, 0 chance).\n\n"
        "Every trial is in `trials.csv`, and a run below this one: sort these by `validation_silhouette`, and keep to "
        "those with `tags.state = 'feasible'`."
    )


def _best(trials: Sequence[Trial], settings: Sweep) -> Trial | None:
    """Return the best trial; None where none is usable."""
    try:
        return study.best(trials, settings=settings)
    except NoUsableClusteringError:
        return None
