"""The settings of an experiment: frozen, strict, and checked when they are made."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from retail_clusters.errors import InputError
from retail_clusters.input_settings import Input, of_now
from retail_clusters.question import LINES_BY_LOG, Question, Settings

Objective = Literal["silhouette", "macro_silhouette", "median_silhouette"]
#: YAML reads a bare `off` as false.
Archive = Annotated[
    Literal["off", "move", "delete"], BeforeValidator(lambda how: "off" if how is False else how)
]
Solver = Literal["exact", "spark"]

Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Clusters = Annotated[int, Field(ge=2)]
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Seed = Annotated[int, Field(ge=0, lt=2**32)]

#: The aliases of a registered model's versions.
CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
PREVIOUS: Final = "previous"

#: The page of a report.
REPORT: Final = "report.html"
#: Why lines are in quarantine, on the run that prepared them.
QUARANTINE_TEXT: Final = "quarantine.txt"


class Split(Settings):
    """Lines before `train_until` train, lines before `validate_until` validate, later ones test."""

    train_until: date = date(2011, 7, 1)
    validate_until: date = date(2011, 10, 1)

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.train_until >= self.validate_until:
            raise ValueError(
                f"train_until must come before validate_until, but got {self.train_until} "
                f"and {self.validate_until}: move one of them"
            )
        return self


class Training(Settings):
    """How a clustering is fitted.

    `exact` seeds with weighted k-means++ and gives the same bits anywhere; `spark` is pyspark.ml's own
    KMeans on one row a line, as in the notebook. More rows than `in_memory_rows` stay in Spark; of more than
    `evidence_rows` a sample is kept with the model, for its promotion.
    """

    solver: Solver = "exact"
    in_memory_rows: Count = 2_000_000
    evidence_rows: Annotated[int, Field(ge=1_000)] = 500_000


class Lloyd(Settings):
    """When Lloyd's iterations stop."""

    max_iterations: Count = 100
    tolerance: Annotated[float, Field(ge=0)] = 1e-4


class Guardrails(Settings):
    """What makes a clustering usable, measured on validation lines."""

    max_cluster_share: Share = 0.8
    min_clusters: Clusters = 2


class Sweep(Settings):
    """The search over K and seed; seeds run from 0 to `seeds` - 1, and no `trials` means the whole space."""

    k_min: Clusters = 2
    k_max: Clusters = 60
    seeds: Count = 8
    trials: Count | None = None
    sampler_seed: Seed = 0
    objective: Objective = "silhouette"
    min_seeds: Count = 3

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if self.k_min > self.k_max:
            raise ValueError(
                f"k_min must be at most k_max, but got {self.k_min} and {self.k_max}: swap or move them"
            )
        return self


class Stability(Settings):
    """Whether clusters are stable when days are drawn anew: how many draws, and what counts as stable."""

    draws: Count = 20
    min_jaccard: Share = 0.75
    seed: Seed = 0


class Promotion(Settings):
    """The gates before the alias `champion`, measured on test lines."""

    min_test_silhouette: Annotated[float, Field(ge=-1, le=1)] = 0.2
    max_cluster_share: Share = 0.9
    min_clusters: Clusters = 2
    margin: Annotated[float, Field(ge=0, le=2)] = 0.05
    min_stable_line_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    accept_new_space: bool = False


class Scoring(Settings):
    """How the stream scorer reads and what it watches."""

    max_files_per_trigger: Count = 400
    drift_warning: Annotated[float, Field(gt=0)] = 0.25
    shadow: bool = False
    distance: bool = False
    archive: Archive = "off"


class Purchases(Settings):
    """Spend per customer and day as a stream."""

    max_files_per_trigger: Count = 1


#: Settings and sections that earlier versions had, and what to write instead.
RETIRED: Final[Mapping[str, str]] = {
    "features.scaling": "each feature has its own scale: write features.price.scale, as in experiments/default.yaml",
    "features.unseen_days": (
        "each category has its own rule: write features.weekday.unseen, as in experiments/notebook.yaml"
    ),
    "columns": "it is part of input by now: write input.columns.NAME for a name, input.date_format for the date",
}


class Experiment(Question):
    """Every setting of one experiment file; `model` is registered; `k`, `seed` are a single training's."""

    model: ModelName = "retail-clusters"
    k: Clusters = 20
    seed: Seed = 1
    input: Input = Input()
    split: Split = Split()
    training: Training = Training()
    lloyd: Lloyd = Lloyd()
    guardrails: Guardrails = Guardrails()
    sweep: Sweep = Sweep()
    stability: Stability = Stability()
    promotion: Promotion = Promotion()
    scoring: Scoring = Scoring()
    purchases: Purchases = Purchases()

    @property
    def question(self) -> Question:
        """Return what is clustered, which lines count, and by what."""
        return Question(**{name: getattr(self, name) for name in Question.model_fields})

    def flat(self) -> dict[str, str]:
        """Return every setting under its dotted name, as text; of a feature, what differs from the defaults."""
        return flatten(self.model_dump() | self.declared())

    @classmethod
    def from_flat(cls, flat: Mapping[str, str]) -> "Experiment":
        """Make an experiment again from what `flat` gave; other names are passed over.

        Raises:
            InputError: a value is no longer allowed.
        """
        tree: dict[str, Any] = {}
        for name, value in flat.items():
            path = of_now(name).split(".")
            if path[0] in cls.model_fields:
                put(tree, path, value)
        _read_earlier_features(tree)
        try:
            return cls.model_validate_strings(tree, extra="ignore")
        except ValidationError as invalid:
            raise InputError(f"the run's settings are not allowed: {explain(invalid)}") from invalid


def _read_earlier_features(tree: dict[str, Any]) -> None:
    """Write the features of an earlier release, which had no others, as they are declared by now."""
    held = tree.get("features", {})
    if "scaling" in held:
        price, quantity, weekday = (
            flatten(each.model_dump(exclude_defaults=True)) for each in LINES_BY_LOG.values()
        )
        scale = {"scale": held["scaling"]}
        weekday["unseen"] = held.get("unseen_days", "keep")
        tree["features"] = {"price": price | scale, "quantity": quantity | scale, "weekday": weekday}


def put(tree: dict[str, Any], path: Sequence[str], value: object) -> None:
    """Put a value under a path of names.

    Raises:
        InputError: a name on the way has a value, and no settings of its own.
    """
    *sections, last = path
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise InputError(
                f"{'.'.join(path)} needs a section {section}, but {section} is {tree!r}: "
                "settings are listed in experiments/default.yaml"
            )
    tree[last] = value


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return values as text under their dotted names; what is not given is left out."""
    flat: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        elif value is not None:
            flat[f"{prefix}{name}"] = _as_text(value) if isinstance(value, tuple) else str(value)
    return flat


def _as_text(values: tuple[Any, ...]) -> str:
    """Write a single text as it is, and several as a list."""
    plain = len(values) == 1 and not str(values[0]).startswith("[")
    return str(values[0]) if plain else json.dumps(values, ensure_ascii=False)


def explain(invalid: ValidationError) -> str:
    """Return all that pydantic found, and a user can mend, in one line."""
    # A default that follows from what is wrong is no error of its own.
    errors = [error for error in invalid.errors() if error["type"] != "default_factory_not_called"]
    return "; ".join(_explain_one(dict(error)) for error in errors)


def _explain_one(error: dict[str, Any]) -> str:
    """Return one of pydantic's errors as the rule and what was found."""
    name = ".".join(str(part) for part in error["loc"])
    if name in RETIRED:
        return f"setting {name} is gone: {RETIRED[name]}"
    if error["type"] == "extra_forbidden":
        return f"unknown setting {name}: settings are listed in experiments/default.yaml"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error":
        return f"{name}: {message}" if name else message
    return f"{name}: {message[:1].lower()}{message[1:]}, but got {error['input']!r}"
