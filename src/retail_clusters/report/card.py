"""A model card: what a registered version is, was made of, measured as, and is not fit for."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import jinja2
import pandas as pd

from retail_clusters import schema
from retail_clusters.infra import markdown
from retail_clusters.question import Question
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.registry.names import ClusterNames
from retail_clusters.report import profile
from retail_clusters.report.rules import Rules
from retail_clusters.settings import flatten
from retail_clusters.wording import pad_table, percent, plural

#: What the model registry holds of a description.
LONGEST: Final = 5_000


def about_model(question: Question) -> str:
    """Say what a registered model is, to those who find it in the registry."""
    return (
        f"{_what(question)}: a Spark pipeline that takes raw invoice lines and gives `prediction`, the number of the "
        "cluster.\n\n"
        "**champion** is the version that scores, **challenger** the latest that a sweep found best, "
        "**previous** where a rollback goes. A version's page is its card: its data, clusters, metrics and "
        "gates, and how to score with it. Cluster numbers keep their meaning from one champion to the next; "
        "`python -m retail_clusters history` prints every promotion."
    )


def record_of(question: Question, tags: Mapping[str, str]) -> str:
    """Say what is clustered, and which lines count."""
    unit = question.unit
    what = f"all lines of one {' and '.join(unit.by)}" if unit else "an invoice line"
    window = f" within {unit.days} days" if unit and unit.days else ""
    rules = ", ".join(f"{name} ({sql})" for name, sql in question.clean.items())
    counts = f"Left out, the first rule that holds counts: {rules}" if rules else "Every line counts"
    here = f"; here {tags['left_out']}" if tags.get("left_out") else ""
    return f"A record is {what}{window}. {counts}{here}"


def columns_of(question: Question) -> list[tuple[str, str, str]]:
    """Return a row for each feature and description: its name, its SQL, and how it is made a number."""
    rows = []
    for name, feature in question.features.items():
        steps = flatten(feature.model_dump(exclude_defaults=True, exclude={"sql"})).items()
        rows.append((name, feature.sql, "; ".join(f"{step}: {how}" for step, how in steps) or "as it is"))
    shown = "described, not clustered on"
    return rows + [(name, each.sql, shown) for name, each in question.describe.items()]


def parts_of(
    question: Question, settings: Mapping[str, str], tags: Mapping[str, str]
) -> list[tuple[str, str, str]]:
    """Return a row for train, validation and test: which records are in it, and how many."""
    first, second = (settings.get(f"split.{name}", "?") for name in ("train_until", "validate_until"))
    days = [f"before {first}", f"{first} to before {second}", f"from {second} on"]
    if question.unit and question.unit.days:
        window = f"{question.unit.days} days before"
        never = f"{percent(question.unit.holdout)} that never train"
        shared = f" {tags['shared_with_training']} train, too" if tags.get("shared_with_training") else ""
        later = f"{window} the end of the data: do segments hold over time?{shared}"
        days = [f"{window} {first}", f"{window} {first}, {never}", later]
    counted = json.loads(tags.get("records", tags.get("prepared_lines", "{}")))
    parts = [part for part in schema.SPLITS if part in counted]
    return [(part, days[schema.SPLITS.index(part)], f"{counted[part]:,}") for part in parts]


@dataclass(frozen=True, eq=False)
class Card:
    """What a model card tells: the question and tags of the version, the settings and metrics of its training run.

    `clusters` is a profile table in the numbers that the model gives.
    """

    model: str
    version: str
    run_id: str
    tags: Mapping[str, str]
    settings: Mapping[str, str]
    metrics: Mapping[str, float]
    clusters: pd.DataFrame
    question: Question
    rules: Rules | None = None

    @classmethod
    def of_version(
        cls,
        registry: ModelRegistry,
        version: str,
        trained: tracking.Run | None,
        clusters: pd.DataFrame,
        question: Question,
        rules: Rules | None,
    ) -> "Card":
        """Make the card of a version from its tags, and what is known of its training run and its clusters."""
        found = registry.read_version(version=version)
        settings = tracking.settings_of(trained) if trained else {}
        metrics = tracking.metrics_of(trained) if trained else {}
        run_id = str(found.run_id)
        return cls(registry.name, version, run_id, found.tags, settings, metrics, clusters, question, rules)

    def to_markdown(self) -> str:
        """Write the whole card."""
        later = ("promotion.", "scoring.", "purchases.")
        shaping = sorted(item for item in self.settings.items() if not item[0].startswith(later))
        return self._text(100, markdown.table(("setting", "value"), shaping, numbers_from=2))

    def to_description(self) -> str:
        """Write the card as short as a version's description must be: fewer clusters, no settings."""
        for clusters in (25, 12, 6, 3):
            text = pad_table(self._text(clusters, "The params of the source run."))
            if len(text) <= LONGEST:
                return text
        shortened = text[: LONGEST - 80].rpartition("\n")[0]
        return f"{shortened}\n\nThe whole card: `model_card.md` of the promotion.\n"

    def _text(self, clusters: int, settings: str) -> str:
        question, names = self.question, ClusterNames.of(self.tags).names
        return template("card.md").render(
            card=self,
            question=question,
            what=_what(question),
            nouns=plural(question.noun),
            record=record_of(question, self.tags),
            columns=[(name, f"`{sql}`", how) for name, sql, how in columns_of(question)],
            parts=parts_of(question, self.settings, self.tags),
            clusters=profile.to_markdown(
                profile.named(self.clusters, names), noun=question.noun, rows=clusters
            ),
            rules=self.rules.lines(names, question.noun) if self.rules else [],
            rules_say=self.rules.sentence(question.noun) if self.rules else "",
            metrics=[(name, f"{value:.6g}") for name, value in self.metrics.items()],
            gates=gates_of(self.tags),
            settings=settings,
            table=markdown.table,
        )


def gates_of(tags: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return each gate that a promotion held a version against, and what it found."""
    return [(name.removeprefix("gate."), found) for name, found in sorted(tags.items()) if "gate." in name]


def template(name: str) -> jinja2.Template:
    """Open a template that stands beside this module; what is put into HTML is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("retail_clusters", "report"),
        autoescape=jinja2.select_autoescape(),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": lambda share: percent(float(share)),
        "base64": lambda content: base64.b64encode(content).decode(),
    }
    return environment.get_template(name)


def _what(question: Question) -> str:
    return f"KMeans clusters of {plural(question.noun)} by {', '.join(question.features)}"
