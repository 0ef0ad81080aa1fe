"""The description of a promotion's run: who stood against whom, at which gates, and what came of it."""

from retail_clusters.infra import markdown
from retail_clusters.promotion.evaluate import Contender, Evaluated
from retail_clusters.wording import percent


def of_promotion(held: Evaluated, *, model: str, reason: str, champion: str | None = None) -> str:
    """Describe a promotion; `champion` is the version that it made champion, None where a gate refused."""
    before = markdown.version_link(model, held.champion) if held.champion else "no champion"
    outcome = (
        f"**Champion is {markdown.version_link(model, champion)}.**"
        if champion
        else "**Refused**: " + "; ".join(str(gate) for gate in held.verdict.failing) + "."
    )
    gates = [(gate.name, gate.value, gate.bound, gate.verdict) for gate in held.verdict.gates]
    parts = [
        f"{outcome} {markdown.version_link(model, held.challenger)} of `{model}` was held against {before}.",
        f"Reason: {reason}" if reason else "",
        _figures(held),
        "## Gates\n\n" + markdown.table(["gate", "value", "must be", "verdict"], gates, numbers_from=4),
        _next(held, champion),
    ]
    return "\n\n".join(part for part in parts if part)


def _figures(held: Evaluated) -> str:
    if held.measured is None:
        return ""
    contenders = {"challenger": held.measured.challenger, "champion before": held.measured.champion}
    rows = [_row(name, each) for name, each in contenders.items() if each is not None]
    header = [
        "on the test lines",
        "version",
        "silhouette",
        "mean over clusters",
        "largest cluster",
        "clusters",
    ]
    return markdown.table(header, rows)


def _row(name: str, of: Contender) -> list[str]:
    test = of.test
    if test is None:
        return [name, of.name, "cannot score them", "", "", ""]
    return [
        name,
        of.name,
        f"{test.silhouette:.4f}",
        f"{test.macro_silhouette:.4f}",
        percent(test.largest_cluster_share),
        f"{test.clusters}",
    ]


def _next(held: Evaluated, champion: str | None) -> str:
    if champion is None:
        again = markdown.command(f"promote --version {held.challenger} --dry-run true")
        return f"Next: {again} shows this again."
    return (
        f"`model_card.md` says what the champion is, `migration.png` where the lines went. Next: "
        f"{markdown.command('score')}, or {markdown.command('rollback')} to go back."
    )
