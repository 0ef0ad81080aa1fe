"""The descriptions of training runs: what was done, what came out, where to look, what to type next."""

from collections.abc import Sequence
from typing import Final

import pandas as pd

from retail_clusters.infra import markdown
from retail_clusters.report import profile
from retail_clusters.search.candidates import Trial
from retail_clusters.search.publish import Published
from retail_clusters.settings import Sweep
from retail_clusters.wording import percent

#: Clusters in a description; a tag of MLflow holds 8,000 characters.
_CLUSTERS: Final = 15
#: Begins what is known of a search only once its winner is registered.
OUTCOME: Final = "## The winner, registered"


def of_version(published: Published) -> str:
    """Describe a run that trained and registered a version."""
    return "\n\n".join(
        [
            f"{result(published)}\n\n{published.clustering.stability.sentence}.",
            figures(published),
            "## Clusters of the training lines",
            profile.to_markdown(published.clustering.profile, rows=_CLUSTERS),
            "The pictures are in `charts`; the evaluation view compares `profile.json` across runs.",
            next_command("promote --dry-run true", "shows how it stands against the champion"),
        ]
    )


def result(published: Published) -> str:
    """Say in one sentence what a version is."""
    found, test = published.measured.evaluation, published.measured.test
    gap = found.validation.silhouette - test.silhouette
    return (
        f"K={found.k} seed {found.seed}: silhouette **{found.validation.silhouette:.4f}** on validation "
        f"lines, **{test.silhouette:.4f}** on test lines (gap {gap:+.4f}); the largest cluster holds "
        f"{percent(found.validation.largest_cluster_share)} of the validation lines. Registered as "
        f"{markdown.version_link(published.model, published.version)} of `{published.model}`."
    )


def figures(published: Published) -> str:
    """Return the figures of a version as a table, a column for each part of the lines."""
    measured = published.measured
    parts = {"validation": measured.evaluation.validation, "test": measured.test, "holdout": measured.holdout}
    columns = [
        (
            f"{q.silhouette:.4f}",
            f"{q.macro_silhouette:.4f}",
            f"{q.davies_bouldin:.3f}",
            f"{q.calinski_harabasz:,.0f}",
            percent(q.largest_cluster_share),
            f"{q.clusters}",
            f"{q.lines:,}",
        )
        for q in parts.values()
    ]
    names = (
        "silhouette",
        "mean over clusters",
        "Davies-Bouldin (lower is better)",
        "Calinski-Harabasz (higher is better)",
        "largest cluster",
        "clusters that hold a line",
        "lines",
    )
    rows = list(zip(names, *columns, strict=True))
    return markdown.table(["", *parts], rows)


def of_trial(trial: Trial) -> str:
    """Describe a trial of a search in two sentences."""
    why = "" if trial.usable else f" **Not usable**: {trial.why_unusable}."
    return (
        f"K={trial.k} seed {trial.seed}: silhouette **{trial.silhouette:.4f}** on the validation lines, of "
        f"which the largest cluster holds {percent(trial.evaluation.validation.largest_cluster_share)}.{why}"
    )


def of_search(
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
        _edge(best, sweep),
        f"## What each objective would choose\n\n{_winners(winners)}",
        f"## What the seed does\n\nThe {seed['seeds']:.0f} seeds of K={best.k} have silhouettes from "
        f"{seed['silhouette_min']:.4f} to {seed['silhouette_max']:.4f}, and their clusterings agree to "
        f"{seed['agreement']:.2f} (adjusted Rand index: 1 is the same clusters, 0 chance).",
        "Every trial is in `trials.csv` and, to look into, in `charts/sweep.html`. Sort the runs below this "
        "one by `validation_silhouette`, and keep to those with `tags.state = 'feasible'`.",
    ]
    return "\n\n".join(part for part in parts if part)


def of_outcome(published: Published) -> str:
    """Describe what a search ended in: its winner on lines that chose nothing, and whether it comes back."""
    return "\n\n".join(
        [
            f"{OUTCOME}\n\n{result(published)}\n\n{published.clustering.stability.sentence}.",
            figures(published),
            next_command("promote --dry-run true", "shows how it stands against the champion"),
        ]
    )


def next_command(text: str, what: str) -> str:
    """Say what to type next."""
    return f"Next: {markdown.command(text)} {what}."


def _edge(best: Trial, sweep: Sweep) -> str:
    if best.k != sweep.k_max or sweep.k_min == sweep.k_max:
        return ""
    return (
        f"**The best K is the largest that was tried**: raise `sweep.k_max`, which is "
        f"{sweep.k_max}; a larger K may be better."
    )


def _winners(winners: pd.DataFrame) -> str:
    rows = [
        [
            f"**{row['objective']}**" if row["chosen"] else row["objective"],
            f"{row['k']}",
            f"{row['seed']}",
            f"{row['validation_silhouette']:.4f}",
            f"{row['validation_macro_silhouette']:.4f}",
            percent(row["largest_cluster_share"]),
        ]
        for _, row in winners.iterrows()
    ]
    header = ["objective", "K", "seed", "silhouette", "mean over clusters", "largest cluster"]
    return markdown.table(header, rows)
