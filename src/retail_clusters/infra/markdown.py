"""Tables for Markdown, and links to what the MLflow UI has a page for."""

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[object]], *, numbers_from: int = 1) -> str:
    """Write a Markdown table; columns from `numbers_from` on are aligned to the right.

    Cells are not padded, as MLflow limits how long a description is.

    >>> print(table(("part", "lines"), [("train|all", "1,200")]))
    | part | lines |
    |---|---:|
    | train\\|all | 1,200 |
    """
    rule = "|".join("---:" if column >= numbers_from else "---" for column in range(len(header)))
    lines = ["| " + " | ".join(map(_cell, line)) + " |" for line in (header, *rows)]
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def version_link(model: str, version: str) -> str:
    """Link to a registered version."""
    return f"[version {version}](#/models/{model}/versions/{version})"


def run_link(experiment_id: str, run_id: str, text: str) -> str:
    """Link to a run."""
    return f"[{text}](#/experiments/{experiment_id}/runs/{run_id})"


def command(text: str) -> str:
    """Write a command of this project as one types it."""
    return f"`python -m retail_clusters {text}`"


def short(digest: str) -> str:
    """Return as much of a digest or run id as a person compares."""
    return digest[:8]


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")
