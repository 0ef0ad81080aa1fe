"""The description of a version on the runs that made it: what it is, how it measured, what to type next."""

from typing import Final

from retail_clusters.clustering.metrics import Quality
from retail_clusters.infra import markdown
from retail_clusters.report import profile
from retail_clusters.search.publish import Published
from retail_clusters.wording import percent

#: Clusters in a description; a tag of MLflow holds 8,000 characters.
_CLUSTERS: Final = 15


def of_version(published: Published) -> str:
    """Describe a run that trained and registered a version."""
    clusters = profile.to_markdown(published.clustering.profile, rows=_CLUSTERS)
    charts = "The charts are in `charts`; the evaluation view compares `profile.json` across runs."
    return measured(published, f"## Clusters of the training lines\n\n{clusters}\n\n{charts}")


def measured(published: Published, *more: str) -> str:
    """Say what a version is, how stable its clusters are, how it measured, then `more`, and what to type next."""
    return "\n\n".join(
        [
            result(published),
            f"{published.clustering.stability.sentence}.",
            metrics_table(published),
            *more,
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


def metrics_table(published: Published) -> str:
    """Return the metrics of a version as a table, a column for each part of the lines."""
    found = published.measured
    parts = {"validation": found.evaluation.validation, "test": found.test, "holdout": found.holdout}
    columns = [_column(quality) for quality in parts.values()]
    rows = [[name, *(column[name] for column in columns)] for name in columns[0]]
    return markdown.table(["", *parts], rows)


def next_command(text: str, what: str) -> str:
    """Say what to type next."""
    return f"Next: {markdown.command(text)} {what}."


def _column(quality: Quality) -> dict[str, str]:
    return {
        "silhouette": f"{quality.silhouette:.4f}",
        "mean over clusters": f"{quality.macro_silhouette:.4f}",
        "Davies-Bouldin (lower is better)": f"{quality.davies_bouldin:.3f}",
        "Calinski-Harabasz (higher is better)": f"{quality.calinski_harabasz:,.0f}",
        "largest cluster": percent(quality.largest_cluster_share),
        "clusters that hold a line": f"{quality.clusters}",
        "lines": f"{quality.lines:,}",
    }
