"""What a promotion says of its verdict: printed, recorded in MLflow, and the way out of a refusal."""

import click

from retail_clusters.errors import PromotionRefusedError
from retail_clusters.promotion.evaluate import Evaluated
from retail_clusters.promotion.gates import Verdict
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.settings import Experiment


def print_verdict(held: Evaluated) -> None:
    """Print who stood against whom, and the table of gates."""
    against = f"version {held.champion}, the champion" if held.champion else "no champion"
    click.echo(f"promote: version {held.challenger} against {against}")
    if held.measured and held.measured.other_data:
        click.echo("promote: the champion was trained on other data; both are measured on the challenger's")
    click.echo(held.verdict.to_text())


def record_verdict(registry: ModelRegistry, held: Evaluated) -> None:
    """Keep the verdict on the open run and on the version."""
    tracking.log_table(held.verdict.table(), "gates")
    registry.tag(version=held.challenger, tags=verdict_tags(held.verdict, held.champion))
    if held.measured:
        for name, each in (("challenger", held.measured.challenger), ("champion", held.measured.champion)):
            if each and each.test:
                tracking.log_metrics({f"{name}_test_silhouette": each.test.silhouette})


def verdict_tags(verdict: Verdict, champion: str | None) -> dict[str, str]:
    """Return a verdict as tags of a version, one for each gate."""
    gates = {
        f"gate.{gate.name}": f"{gate.verdict}: {gate.value}, must be {gate.bound}" for gate in verdict.gates
    }
    return gates | {
        "verdict": "passed" if verdict.passed else "refused",
        "held_against": champion or "none",
    }


def refusal(held: Evaluated, *, experiment: Experiment) -> PromotionRefusedError:
    """Say what refused a version, and the command that would promote it all the same, if there is one."""
    failing = "; ".join(str(gate) for gate in held.verdict.failing)
    return PromotionRefusedError(
        f"version {held.challenger} is refused: {failing}; champion stays as it is: "
        f"{way_out(held, experiment=experiment)}"
    )


def way_out(held: Evaluated, *, experiment: Experiment) -> str:
    """Return the command by which a person overrules the gates that refuse a version."""
    failing = held.verdict.failing
    if not all(gate.overrule for gate in failing):
        return "no setting lets it pass; train another version, and promote that"
    named = "" if experiment.model == Experiment().model else f" --model {experiment.model}"
    options = " ".join(gate.overrule for gate in failing)
    return f"promote another version, or this one with promote{named} --version {held.challenger} {options}"
