"""Settings under their dotted names, and what is wrong with one in a sentence."""

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError

#: Settings and sections that earlier versions had, and what to write instead.
RETIRED: Final[Mapping[str, str]] = {
    "features.scaling": "each feature has its own scale: write features.price.scale, as in experiments/default.yaml",
    "features.unseen_days": (
        "each category has its own rule: write features.weekday.unseen, as in experiments/notebook.yaml"
    ),
    "columns": "it is part of input by now: write input.columns.NAME for a name, input.date_format for the date",
    "sweep.sampler": "leave it out, as the whole space is searched in a shuffled order, and trials cuts it off",
    "sweep.batch_size": "leave it out, as the whole space is searched in a shuffled order, and trials cuts it off",
    "purchases.allowed_lateness_days": (
        "leave it out, as the appending stream of purchases is gone; spend in an output that grows is a "
        "GROUP BY over OUTPUT/scored (docs/scoring.md)"
    ),
}


def put(tree: dict[str, Any], names: list[str], value: object) -> None:
    """Put a value under a path of names."""
    for name in names[:-1]:
        tree = tree.setdefault(name, {})
    tree[names[-1]] = value


def explain(invalid: ValidationError) -> str:
    """Return all that pydantic found, in one line."""
    return "; ".join(explain_one(dict(error)) for error in told(invalid))


def told(invalid: ValidationError) -> list[Any]:
    """Return the errors that a user can mend: a default that follows from what is wrong is none."""
    return [error for error in invalid.errors() if error["type"] != "default_factory_not_called"]


def explain_one(error: dict[str, Any]) -> str:
    """Return one of pydantic's errors as the law and what was found."""
    name = ".".join(str(part) for part in error["loc"])
    if name in RETIRED:
        return f"setting {name} is gone: {RETIRED[name]}"
    if error["type"] == "extra_forbidden":
        return f"unknown setting {name}: settings are listed in experiments/default.yaml"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error":
        return f"{name}: {message}" if name else message
    return f"{name}: {message[:1].lower()}{message[1:]}, but got {error['input']!r}"


def names_of(of: type[BaseModel], prefix: str = "") -> set[str]:
    """Return the dotted names of all settings."""
    names: set[str] = set()
    for name, field in of.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            names |= names_of(inner, f"{prefix}{name}.")
        else:
            names.add(f"{prefix}{name}")
    return names


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return values as text under their dotted names; what is not given is left out."""
    flat: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        elif value is not None:
            flat[f"{prefix}{name}"] = _listed(value) if isinstance(value, tuple) else str(value)
    return flat


def _listed(values: tuple[Any, ...]) -> str:
    """Write a single text as it is, and several as a list."""
    plain = len(values) == 1 and not str(values[0]).startswith("[")
    return str(values[0]) if plain else json.dumps(values, ensure_ascii=False)
