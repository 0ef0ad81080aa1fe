"""What the run `main` shows: its champion's figures, its data sets, every step, what is next."""

from retail_clusters.errors import PromotionRefusedError
from retail_clusters.infra import markdown
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.report.page import log_report
from retail_clusters.search import cluster_report, descriptions
from retail_clusters.search.context import TrainingContext
from retail_clusters.search.publish import Published
from retail_clusters.serving.score import ScoreSummary


def log_result(
    context: TrainingContext,
    published: Published,
    *,
    champion: str,
    scored: ScoreSummary,
    refusal: PromotionRefusedError | None,
    run_id: str,
) -> None:
    """Log on the open run `run_id` what its champion is and how it measured, and describe the run."""
    version = ModelRegistry(published.model).read_version(version=champion)
    trained = str(version.run_id)
    if tracking.is_active(trained):
        tracking.log_metrics(tracking.metrics_of(tracking.read_run(trained)))
    tracking.use_model(str(version.source))
    cluster_report.log_inputs(context)
    flat = context.experiment.flat()
    tracking.log_settings({name: value for name, value in flat.items() if name not in {"k", "seed"}})
    tracking.set_tags(
        {
            "model_version": champion,
            "data_digest": context.prepared.table.data_digest,
            "refused": str(refusal is not None).lower(),
        }
    )
    tracking.describe(
        "\n\n".join(
            [
                f"{descriptions.result(published)} {_champion(published, champion, refusal)}",
                _way(context, scored),
                f"{published.clustering.stability.sentence}.",
                descriptions.metrics_table(published),
                f"## Steps\n\n{_steps(run_id)}",
                "`report.html`, among the artifacts, puts all of it on one page.",
                _next(published, champion, refusal),
            ]
        )
    )
    if tracking.is_active(trained):
        log_report(run_id)


def _way(context: TrainingContext, scored: ScoreSummary) -> str:
    table, sweep = context.prepared.table, context.experiment.sweep
    return (
        f"{table.total_lines:,} lines of `{table.data}` prepared, K {sweep.k_min} to {sweep.k_max} searched, "
        f"the best registered, {scored.rows_scored:,} lines scored, {scored.rows_quarantined:,} quarantined."
    )


def _champion(published: Published, champion: str, refusal: PromotionRefusedError | None) -> str:
    named = markdown.version_link(published.model, champion)
    if refusal:
        return f"**It was refused**, and the champion stays {named}: {refusal}."
    if champion == published.version:
        return "It is **champion**."
    return f"The **champion** is {named}: the same clusters, under the numbers that they had before."


def _steps(run_id: str) -> str:
    rows = [
        (
            markdown.run_link(step.info.experiment_id, step.info.run_id, step.info.run_name),
            f"{((step.info.end_time or step.info.start_time) - step.info.start_time) / 1000:.0f} s",
        )
        for step in tracking.children(run_id)
    ]
    return markdown.table(["step", "took"], rows)


def _next(published: Published, champion: str, refusal: PromotionRefusedError | None) -> str:
    if refusal:
        return descriptions.next_command(
            f"promote --version {published.version} --dry-run true", "shows the gates again"
        )
    return descriptions.next_command("score --once false", f"scores what arrives with version {champion}")
