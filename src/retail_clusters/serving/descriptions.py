"""The description of a scorer's run, as the MLflow UI shows it."""

from retail_clusters.infra import markdown
from retail_clusters.infra.locations import for_display
from retail_clusters.serving.metrics import Totals
from retail_clusters.serving.request import ScoreRequest


def of_score(request: ScoreRequest, totals: Totals | None = None) -> str:
    """Say what is scored with what, what came of it, and how to go on; no totals while it runs."""
    what = (
        f"Files that arrive in `{for_display(request.source)}`, scored with the version of `{request.model}` that "
        f"`{request.alias}` names. Lines go to `{for_display(request.output)}`: `scored/` and `quarantine/`."
    )
    watched = (
        "Each batch is a step of the metrics: `rows_in` = `rows_scored` + `rows_quarantined`; `drift_psi` is "
        "the largest of `drift/…`, drawn in `drift.png`."
    )
    return "\n\n".join([what, _so_far(request, totals), watched])


def _so_far(request: ScoreRequest, totals: Totals | None) -> str:
    if totals is None:
        return "It runs; the metrics grow with every batch."
    versions = [markdown.version_link(request.model, version) for version in totals.model_versions]
    table = markdown.table(
        ["batches", "files", "lines in", "scored", "quarantined"],
        [
            [
                f"{number:,}"
                for number in (
                    totals.batches,
                    totals.files,
                    totals.rows_in,
                    totals.rows_scored,
                    totals.rows_quarantined,
                )
            ]
        ],
        numbers_from=0,
    )
    scored = f"The latest process scored with {', '.join(versions)}:" if versions else "Nothing new came in:"
    again = markdown.command(
        f"score --source {for_display(request.source)} --output {for_display(request.output)}"
    )
    return f"{scored}\n\n{table}\n\nNext: {again} takes what has arrived since."
