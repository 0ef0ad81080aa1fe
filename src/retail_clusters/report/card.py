"""A model card: what a registered version is, was made of, measured as, and is not fit for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from retail_clusters.clustering.guardrails import Gate
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
    "**previous** where a rollback goes. A version's page is its card: its data, clusters, figures and "
    "gates, and how to score with it. Cluster numbers keep their meaning from one champion to the next; "
    "`python -m retail_clusters history` prints every move."
)


@dataclass(frozen=True, eq=False)
class Card:
    """The facts of a model card; `clusters` is a profile table in the numbers that the model gives."""

    model: str
    version: str
    renumbered_from: str | None
    run_id: str
    data: str
    data_digest: str
    model_digest: str
    lines: Mapping[str, int]
    settings: Mapping[str, str]
    metrics: Mapping[str, float]
    clusters: pd.DataFrame
    gates: Sequence[Gate]

    def to_markdown(self, *, clusters: int = 100) -> str:
        """Write the card, with a row for each of the largest clusters."""
        settings = _section("Settings", _table(("setting", "value"), self._shaping()))
        return "\n\n".join([*self._parts(clusters), settings]) + "\n"

    def _parts(self, clusters: int) -> list[str]:
        return [
            self._head(),
            self._data(),
            _section("Clusters of the training lines", profile.to_markdown(self.clusters, rows=clusters)),
            _section(
                "Metrics",
                _table(("metric", "value"), [(name, f"{each:.6g}") for name, each in self.metrics.items()]),
            ),
            _section("Guardrails and gates", _gates(self.gates)),
            self._use(),
            self._limits(),
        ]

    def to_description(self) -> str:
        """Write the card as short as a version's description must be: fewer clusters, no settings."""
        settings = "Settings: the params of the source run."
        for clusters in (25, 12, 6, 3):
            text = pad_table("\n\n".join([*self._parts(clusters), settings])) + "\n"
            if len(text) <= LONGEST:
                return text
        shortened = text[: LONGEST - 80].rpartition("\n")[0]
        return f"{shortened}\n\nThe whole card: `model_card.md` of the promotion.\n"

    def _shaping(self) -> list[tuple[str, str]]:
        """Return the settings that shaped the model."""
        later = ("promotion.", "scoring.", "purchases.")
        return sorted((name, value) for name, value in self.settings.items() if not name.startswith(later))

    def _head(self) -> str:
        made = (
            f" It is version {self.renumbered_from} numbered after the champion before."
            if (self.renumbered_from)
            else ""
        )
        return (
            f"# {self.model}, version {self.version}\n\n"
            f"KMeans clusters of retail invoice lines by {ROW_KEY_IN_WORDS}.{made} "
            f"Trained by run `{self.run_id}`; digest of the centres `{self.model_digest}`."
        )

    def _data(self) -> str:
        first, second = (
            self.settings.get(f"split.{name}", "a day unknown") for name in ("train_until", "validate_until")
        )
        lines = ", ".join(f"{name} {count:,}" for name, count in self.lines.items())
        return _section(
            "Data",
            f"`{self.data}`, digest `{self.data_digest}`. Lines before {first} train, lines before {second} "
            f"validate, later ones test: {lines}.",
        )

    def _use(self) -> str:
        return _section(
            "How to score",
            "With pyspark and mlflow alone, on raw invoice lines:\n\n"
            "```python\n"
            f'model = mlflow.spark.load_model("models:/{self.model}/{self.version}")  # or @champion\n'
            "scored = model.transform(lines)  # adds prediction, the number of the cluster\n"
            "```\n\n"
            "With pandas, on a daily file as it is:\n\n"
            "```python\n"
            f'model = mlflow.pyfunc.load_model("models:/{self.model}/{self.version}")\n'
            'clusters = model.predict(pandas.read_csv("2011-12-08.csv"))\n'
            "```",
        )

    def _limits(self) -> str:
        largest = self.clusters["share"].max()
        unseen = {
            "keep": "A weekday that the training lines do not hold counts as none.",
            "error": "A weekday that the training lines do not hold fails the job.",
        }.get(self.settings.get("features.unseen_days", ""), "")
        scaling = {
            "none": "Price and quantity are not scaled, so a few enormous lines hold clusters of their own.",
        }.get(self.settings.get("features.scaling", ""), "")
        return _section(
            "Limits",
            f"- The largest cluster holds {percent(largest)} of the training lines.\n"
            "- A line counts, not a customer or an order; description, customer and country play no part.\n"
            "- Missing prices and quantities count as 0. Days are days in UTC.\n"
            "- The silhouette compares only with models that scale features alike.\n"
            + "".join(f"- {limit}\n" for limit in (unseen, scaling) if limit),
        ).rstrip()


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _gates(gates: Sequence[Gate]) -> str:
    if not gates:
        return "No promotion has judged this version."
    return _table(
        ("gate", "value", "bound", "verdict"),
        [(gate.name, gate.value, gate.bound, gate.verdict) for gate in gates],
    )
