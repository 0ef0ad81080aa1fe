"""A model card: what a registered version is, was made of, measured as, and is not fit for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from retail_clusters.clustering.guardrails import Gate
from retail_clusters.infra import markdown
from retail_clusters.report import profile
from retail_clusters.schema import ROW_KEY_IN_WORDS
from retail_clusters.wording import pad_table, percent

#: What the model registry holds of a description.
LONGEST: Final = 5_000

#: What a registered model is, for those who find it in the registry.
ABOUT_MODEL: Final = (
    f"Clusters of retail invoice lines by {ROW_KEY_IN_WORDS}: a Spark pipeline that takes raw lines and adds "
    "`prediction`, the number of the cluster.\n\n"
    "**champion** is the version that scores, **challenger** the latest that a sweep found best, "
    "**previous** where a rollback goes. A version's page is its card: its data, clusters, metrics and "
    "gates, and how to score with it. Cluster numbers keep their meaning from one champion to the next; "
    "`python -m retail_clusters history` prints every promotion."
)

_LIMITS: Final = {
    ("features.unseen_days", "keep"): "A weekday that the training lines do not hold counts as none.",
    ("features.unseen_days", "error"): "A weekday that the training lines do not hold fails the job.",
    (
        "features.scaling",
        "none",
    ): "Price and quantity are not scaled, so a few enormous lines hold clusters of their own.",
}


def prepared_lines(tags: Mapping[str, str]) -> dict[str, int]:
    """Return the lines of train, validation and test, as a training notes them in a tag."""
    return dict(json.loads(tags.get("prepared_lines", "{}")))


@dataclass(frozen=True, eq=False)
class Card:
    """What a model card tells: the tags of the version, the settings and metrics of its training run.

    `clusters` is a profile table in the numbers that the model gives.
    """

    model: str
    version: str
    run_id: str
    tags: Mapping[str, str]
    settings: Mapping[str, str]
    metrics: Mapping[str, float]
    clusters: pd.DataFrame
    gates: Sequence[Gate]

    def to_markdown(self) -> str:
        """Write the whole card."""
        later = ("promotion.", "scoring.", "purchases.")
        shaping = sorted(item for item in self.settings.items() if not item[0].startswith(later))
        return self._text(
            clusters=100, settings=markdown.table(("setting", "value"), shaping, numbers_from=2)
        )

    def to_description(self) -> str:
        """Write the card as short as a version's description must be: fewer clusters, no settings."""
        for clusters in (25, 12, 6, 3):
            text = pad_table(self._text(clusters=clusters, settings="The params of the source run."))
            if len(text) <= LONGEST:
                return text
        shortened = text[: LONGEST - 80].rpartition("\n")[0]
        return f"{shortened}\n\nThe whole card: `model_card.md` of the promotion.\n"

    def _text(self, *, clusters: int, settings: str) -> str:
        first, second = (
            self.settings.get(f"split.{name}", "a day unknown") for name in ("train_until", "validate_until")
        )
        lines = ", ".join(f"{name} {count:,}" for name, count in prepared_lines(self.tags).items())
        metrics = [(name, f"{value:.6g}") for name, value in self.metrics.items()]
        return f"""\
# {self.model}, version {self.version}

KMeans clusters of retail invoice lines by {ROW_KEY_IN_WORDS}. \
Trained by run `{self.run_id}`; digest of the centres `{self.tags.get("model_digest", "")}`.

## Data

`{self.settings.get("data", "unknown")}`, digest `{self.tags.get("data_digest", "")}`. \
Lines before {first} train, lines before {second} validate, later ones test: {lines}.

## Clusters of the training lines

{profile.to_markdown(self.clusters, rows=clusters)}

## Metrics

{markdown.table(("metric", "value"), metrics)}

## Guardrails and gates

{self._gates()}

## How to score

With pyspark and mlflow alone, on raw invoice lines:

```python
model = mlflow.spark.load_model("models:/{self.model}/{self.version}")  # or @champion
scored = model.transform(lines)  # adds prediction, the number of the cluster
```

With pandas, on a daily file as it is:

```python
model = mlflow.pyfunc.load_model("models:/{self.model}/{self.version}")
clusters = model.predict(pandas.read_csv("2011-12-08.csv"))
```

## Limits

{self._limits()}

## Settings

{settings}
"""

    def _gates(self) -> str:
        if not self.gates:
            return "No promotion has judged this version."
        rows = [(gate.name, gate.value, gate.bound, gate.verdict) for gate in self.gates]
        return markdown.table(("gate", "value", "must be", "verdict"), rows, numbers_from=4)

    def _limits(self) -> str:
        limits = [
            f"The largest cluster holds {percent(self.clusters['share'].max())} of the training lines.",
            "A line counts, not a customer or an order; description, customer and country play no part.",
            "Missing prices and quantities count as 0. Days are days in UTC.",
            "The silhouette compares only with models that scale features alike.",
            *(text for (name, value), text in _LIMITS.items() if self.settings.get(name) == value),
        ]
        return "\n".join(f"- {limit}" for limit in limits)
