"""What a sweep leaves in MLflow: a child run for each trial, tables and charts on the parent."""

from collections.abc import Mapping, Sequence
from typing import Final, get_args

import optuna
import pandas as pd

from retail_clusters.errors import NoUsableClusteringError
from retail_clusters.registry import tracking
from retail_clusters.registry.child_runs import ChildRun, ChildRuns
from retail_clusters.report import charts, plots
from retail_clusters.report.charts import SWEEP_CHARTS
from retail_clusters.report.sweep_page import SWEEP_PAGE, sweep_page
from retail_clusters.search import descriptions, seed_agreement, study
from retail_clusters.search.candidates import Trial
from retail_clusters.search.publish import Published
from retail_clusters.search.trials import Evaluator
from retail_clusters.settings import Experiment, Objective, Sweep

NUMBER: Final = "trial"


def write_trials(
    children: ChildRuns,
    trials: Sequence[Trial],
    *,
    experiment: Experiment,
    tags: Mapping[str, str],
) -> None:
    """Write a child run for each trial that has none yet, or only half of one.

    A trial has the params that tell it from others; its parent has every setting.
    """
    children.write([_child(trial, experiment, tags) for trial in trials])


def _child(trial: Trial, experiment: Experiment, tags: Mapping[str, str]) -> ChildRun:
    scaling = experiment.features.scaling
    return ChildRun(
        name=f"K={trial.k} seed {trial.seed}",
        params={"k": str(trial.k), "seed": str(trial.seed), "features.scaling": scaling},
        metrics=trial.evaluation.metrics,
        tags=_tags(trial) | dict(tags),
        description=descriptions.of_trial(trial),
    )


def log_report(
    opened: optuna.Study,
    trials: Sequence[Trial],
    *,
    evaluator: Evaluator,
    experiment: Experiment,
) -> None:
    """Log tables and charts of the trials on the open run, and describe it."""
    tracking.log_metrics(
        {
            "trials_completed": len(trials),
            "trials_infeasible": sum(not trial.usable for trial in trials),
        }
    )
    table, winners = trials_table(trials), winners_table(trials, settings=experiment.sweep)
    tracking.log_table(table, "trials")
    tracking.log_table(winners, "winners")
    best, guardrail = _best(trials, experiment.sweep), experiment.guardrails.max_cluster_share
    chosen = (best.k, best.seed) if best else None
    with plots.drawing() as draw:
        drawn = [draw(lambda: charts.choice_chart(table, chosen=chosen, guardrail=guardrail))]
        groups = seed_agreement.by_k(trials)
        seeds = seed_agreement.table(groups, evaluator.agreements(groups))
        drawn.append(draw(lambda: charts.seed_agreement_chart(seeds)))
        tracking.log_table(seeds, "seed_agreement")
        page = sweep_page(opened.study_name, table, chosen=chosen, guardrail=guardrail)
        tracking.log_text(page, SWEEP_PAGE)
        pictures = zip(SWEEP_CHARTS, drawn, strict=True)
        tracking.log_pictures({name: picture.result() for name, picture in pictures})
    tracking.describe(
        descriptions.of_search(trials, best=best, winners=winners, seeds=seeds, sweep=experiment.sweep)
    )


def add_outcome(run_id: str, published: Published) -> None:
    """Add to a sweep's page how its winner measured on later lines, and whether its clusters are stable."""
    run = tracking.read_run(run_id)
    new = {name: value for name, value in published.metrics.items() if name not in run.data.metrics}
    tracking.log_metrics(new, run_id=run_id)
    told = tracking.description_of(run).partition(f"\n\n{descriptions.OUTCOME}")[0]
    tracking.describe(f"{told}\n\n{descriptions.of_outcome(published)}", run_id=run_id)


def winners_table(trials: Sequence[Trial], *, settings: Sweep) -> pd.DataFrame:
    """Return the trial that each objective would choose, so that a reader sees where they disagree.

    Columns: `objective`, `chosen` (the sweep's own), `k`, `seed`, and the trial's metrics; an objective that
    no K fulfils has no row.
    """
    rows = []
    for objective in get_args(Objective):
        best = _best(trials, settings.model_copy(update={"objective": objective}))
        if best is None:
            continue
        names = {
            "objective": objective,
            "chosen": objective == settings.objective,
            "k": best.k,
            "seed": best.seed,
        }
        rows.append(names | dict(best.evaluation.metrics))
    return pd.DataFrame(rows)


def _best(trials: Sequence[Trial], settings: Sweep) -> Trial | None:
    """Return the best trial; None where none is usable."""
    try:
        return study.best(trials, settings=settings)
    except NoUsableClusteringError:
        return None


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
    } | ({} if trial.usable else {"why_infeasible": trial.why_unusable})
