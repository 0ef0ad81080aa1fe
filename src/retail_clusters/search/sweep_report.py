"""What a sweep leaves in MLflow: a child run for each trial; tables, charts and a description on the parent."""

import statistics
from collections.abc import Sequence
from typing import Final, get_args

import pandas as pd

from retail_clusters.errors import NoUsableClusteringError
from retail_clusters.infra import markdown
from retail_clusters.registry import tracking
from retail_clusters.registry.child_runs import ChildRun
from retail_clusters.report import charts, plots
from retail_clusters.report.page import WINNERS, winner_rows
from retail_clusters.report.sweep_page import SWEEP_PAGE, sweep_page
from retail_clusters.search import publish, study
from retail_clusters.search.context import TrainingContext
from retail_clusters.search.publish import Published
from retail_clusters.search.study import Study, Trial
from retail_clusters.search.trials import Evaluator
from retail_clusters.settings import Experiment, Objective, Sweep
from retail_clusters.wording import percent

NUMBER: Final = "trial"
#: Begins what is known of a search only once its winner is registered.
_OUTCOME: Final = "## The winner, registered"


def child_run(trial: Trial, context: TrainingContext) -> ChildRun:
    """Return the run of a trial, with the params that tell it from others: its parent has every setting."""
    usable = (
        {"state": "feasible"}
        if trial.usable
        else {"state": "infeasible", "why_infeasible": trial.why_unusable}
    )
    why = "" if trial.usable else f" **Not usable**: {trial.why_unusable}."
    share = percent(trial.evaluation.validation.largest_cluster_share)
    return ChildRun(
        name=f"K={trial.k} seed {trial.seed}",
        params={"k": str(trial.k), "seed": str(trial.seed)},
        metrics=trial.evaluation.metrics,
        tags={NUMBER: str(trial.number), "data_digest": context.prepared.table.data_digest} | usable,
        description=f"K={trial.k} seed {trial.seed}: silhouette **{trial.silhouette:.4f}** on the validation "
        f"records, of which the largest cluster holds {share}.{why}",
    )


def log_report(
    opened: Study, trials: Sequence[Trial], *, evaluator: Evaluator, experiment: Experiment
) -> None:
    """Log metrics, tables and charts of the trials on the open run, and describe it."""
    unusable = sum(not trial.usable for trial in trials)
    tracking.log_metrics({"trials_completed": len(trials), "trials_infeasible": unusable})
    table, winners = trials_table(trials), winners_table(trials, settings=experiment.sweep)
    tracking.log_table(table, "trials")
    tracking.log_table(winners, "winners")
    best, guardrail = _best(trials, experiment.sweep), experiment.guardrails.max_cluster_share
    chosen = (best.k, best.seed) if best else None
    groups = by_k(trials)
    seeds = seeds_table(groups, evaluator.agreements(groups))
    tracking.log_table(seeds, "seed_agreement")
    drawn = {
        "charts/choice_of_k.png": charts.choice_chart(
            table, chosen=chosen, guardrail=guardrail, noun=experiment.noun
        ),
        "charts/seed_agreement.png": charts.seed_agreement_chart(seeds),
    }
    tracking.log_files(plots.to_pngs(drawn))
    page = sweep_page(opened.study_name, table, chosen=chosen, guardrail=guardrail)
    tracking.log_text(page, SWEEP_PAGE)
    tracking.describe(description(trials, best=best, winners=winners, seeds=seeds, sweep=experiment.sweep))


def add_outcome(run_id: str, published: Published) -> None:
    """Add to a sweep's page how its winner measured on later lines, and how stable its clusters are."""
    run = tracking.read_run(run_id)
    new = {name: value for name, value in published.metrics.items() if name not in run.data.metrics}
    tracking.log_metrics(new, run_id=run_id)
    told = tracking.description_of(run).partition(f"\n\n{_OUTCOME}")[0]
    tracking.describe(f"{told}\n\n{_OUTCOME}\n\n{publish.description(published)}", run_id=run_id)


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


def winners_table(trials: Sequence[Trial], *, settings: Sweep) -> pd.DataFrame:
    """Return the trial that each objective would choose, so that a reader sees where they disagree.

    Columns: `objective`, `chosen` (the sweep's own), `k`, `seed`, and the trial's metrics; an objective that
    no K fulfils has no row.
    """
    objectives: tuple[Objective, ...] = get_args(Objective)
    found = {each: _best(trials, settings.model_copy(update={"objective": each})) for each in objectives}
    return pd.DataFrame(
        [
            {
                "objective": objective,
                "chosen": objective == settings.objective,
                "k": best.k,
                "seed": best.seed,
            }
            | dict(best.evaluation.metrics)
            for objective, best in found.items()
            if best
        ]
    )


def by_k(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Group trials by their K, smallest first."""
    return [[trial for trial in trials if trial.k == k] for k in sorted({trial.k for trial in trials})]


def seeds_table(groups: Sequence[Sequence[Trial]], agreements: Sequence[float]) -> pd.DataFrame:
    """Describe the seeds tried for each K: one row a K, in order.

    Columns: `k`, `seeds`, `usable`, `silhouette_median`, `silhouette_min`, `silhouette_max`, and
    `agreement`: the mean adjusted Rand index over pairs of seeds, on validation lines (missing for one seed).
    """
    rows = []
    for group, agreement in zip(groups, agreements, strict=True):
        silhouettes = [trial.silhouette for trial in group]
        rows.append(
            {
                "k": group[0].k,
                "seeds": len(group),
                "usable": sum(trial.usable for trial in group),
                "silhouette_median": statistics.median(silhouettes),
                "silhouette_min": min(silhouettes),
                "silhouette_max": max(silhouettes),
                "agreement": agreement,
            }
        )
    return pd.DataFrame(rows)


def description(
    trials: Sequence[Trial], *, best: Trial | None, winners: pd.DataFrame, seeds: pd.DataFrame, sweep: Sweep
) -> str:
    """Describe a search: what was tried, what each objective would choose, what the seed does."""
    usable = sum(trial.usable for trial in trials)
    lines = trials[0].evaluation.validation.lines
    tried = (
        f"{len(trials)} trials of K {sweep.k_min} to {sweep.k_max} and {sweep.seeds} seeds, measured on "
        f"{lines:,} validation lines; {usable} are usable."
    )
    if best is None:
        return f"{tried} **So there is nothing to register**: `trials.csv` says why each is not."
    seed = seeds[seeds["k"] == best.k].iloc[0]
    parts = [
        f"{tried} By `{sweep.objective}`, **K={best.k} seed {best.seed}** is chosen: silhouette "
        f"**{best.silhouette:.4f}**.",
        f"**The best K is the largest that was tried**: raise `sweep.k_max`, which is {sweep.k_max}; "
        "a larger K may be better."
        if best.k == sweep.k_max > sweep.k_min
        else "",
        f"## What each objective would choose\n\n{markdown.table(WINNERS, winner_rows(winners))}",
        f"## What the seed does\n\nThe {seed['seeds']:.0f} seeds of K={best.k} have silhouettes from "
        f"{seed['silhouette_min']:.4f} to {seed['silhouette_max']:.4f}, and their clusterings agree to "
        f"{seed['agreement']:.2f} (adjusted Rand index: 1 is the same clusters, 0 chance).",
        "Every trial is in `trials.csv` and, to look into, in `charts/sweep.html`. Sort the runs below this "
        "one by `validation_silhouette`, and keep to those with `tags.state = 'feasible'`.",
    ]
    return "\n\n".join(part for part in parts if part)


def _best(trials: Sequence[Trial], settings: Sweep) -> Trial | None:
    """Return the best trial; None where none is usable."""
    try:
        return study.best(trials, settings=settings)
    except NoUsableClusteringError:
        return None
