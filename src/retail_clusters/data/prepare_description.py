"""The description of a preparation, as its run shows it in the MLflow UI."""

from retail_clusters import schema
from retail_clusters.data.prepared import PreparedTable
from retail_clusters.infra import markdown
from retail_clusters.settings import Split


def description(table: PreparedTable, *, split: Split, reused: bool) -> str:
    """Say what came in, what it was cut and reduced to, and what to type next."""
    days = {
        schema.TRAIN: f"before {split.train_until}",
        schema.VALIDATION: f"from then on, before {split.validate_until}",
        schema.TEST: "from then on",
    }
    rows = [[name, days[name], f"{table.lines[name]:,}", f"{table.rows[name]:,}"] for name in schema.SPLITS]
    found = (
        f"Files and settings are unchanged: the rows of run `{markdown.short(table.run_id)}` are used again."
        if reused
        else f"{table.quarantined:,} lines are quarantined, each with its reason."
    )
    return "\n\n".join(
        [
            f"{table.total_lines:,} invoice lines of `{table.data}`, checked, cut by day, and reduced to "
            f"distinct rows of {schema.ROW_KEY_IN_WORDS}. {found}",
            markdown.table(["part", "days", "lines", "rows"], rows, numbers_from=2),
            f"Content digest `{markdown.short(table.data_digest)}`: the same lines in other files or another "
            "order have the same.",
            f"Next: {markdown.command('sweep')} chooses K and seed on these rows.",
        ]
    )
