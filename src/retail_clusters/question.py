"""The question that an experiment asks: what is clustered, which lines count, and by what."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

#: Columns that lines can be grouped by.
KeyColumn = Literal["InvoiceNo", "StockCode", "Description", "CustomerID", "Country"]
Scale = Literal["none", "log", "standard"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
Sql = Annotated[str, Field(min_length=1, max_length=2_000)]
Quantile = Annotated[float, Field(ge=0, le=1)]


def listed(given: object) -> object:
    """Take one value, a list, or a list as text."""
    if isinstance(given, str):
        try:
            given = json.loads(given) if given.startswith("[") else [given]
        except ValueError:
            given = [given]
    return tuple(given) if isinstance(given, list) else given


Scales = Annotated[tuple[Scale, ...], BeforeValidator(listed)]
Keys = Annotated[tuple[KeyColumn, ...], BeforeValidator(listed), Field(min_length=1)]
Quantiles = Annotated[tuple[Quantile, Quantile], BeforeValidator(listed)]


class Settings(BaseModel):
    """Frozen, strict, and checked when they are made."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", validate_default=True)


class Unit(Settings):
    """What is clustered: the lines that share the values of `by`, within a window of `days`.

    A share `holdout` of the keys never trains. A key that lasts, such as a customer, needs a window: features
    of windows of different length differ.
    """

    by: Keys
    days: Annotated[int, Field(ge=1)] | None = None
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.2

    @model_validator(mode="after")
    def _check_window(self) -> Self:
        if len(set(self.by)) < len(self.by):
            raise ValueError(f"by must name each column once, but got {', '.join(self.by)}")
        if self.days is None and "InvoiceNo" not in self.by:
            raise ValueError(
                f"a unit by {', '.join(self.by)} lasts, and needs a window, as features of windows of different "
                "length differ: add days, such as days: 180"
            )
        return self


class Feature(Settings):
    """A number, or with `encode: onehot` a category, that records are compared by.

    `clip` cuts a number at two quantiles of the training records, then `scale` goes over it in order, then
    `weight` stretches it. A record without the number is left out, unless `fill` says what stands for it. Of a
    category the `top` most frequent values have a column, and one more is for the others; a value that no
    training record has is all zeros, or with `unseen: error` refused.
    """

    sql: Sql
    clip: Quantiles | None = None
    scale: Scales = ("none",)
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    fill: Annotated[float, Field(allow_inf_nan=False)] | None = None
    encode: Literal["onehot"] | None = None
    top: Annotated[int, Field(ge=1, le=100)] | None = None
    unseen: Literal["keep", "error"] = "keep"

    @property
    def is_category(self) -> bool:
        """Tell whether it is one of several values rather than a number."""
        return self.encode is not None

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        given = self.model_fields_set
        if self.is_category and (wrong := sorted(given & {"clip", "scale", "fill"})):
            raise ValueError(f"{wrong[0]} is for numbers, but encode makes it a category: leave one out")
        if not self.is_category and (wrong := sorted(given & {"top", "unseen"})):
            raise ValueError(f"{wrong[0]} is for categories: add encode: onehot, or leave it out")
        if self.clip and self.clip[0] >= self.clip[1]:
            raise ValueError(f"clip is two quantiles, the lower first, but got {list(self.clip)}")
        if len(self.scale) != len(set(self.scale)) or (len(self.scale) > 1 and "none" in self.scale):
            raise ValueError(f"scale names each step once, or none alone, but got {', '.join(self.scale)}")
        if not self.scale:
            raise ValueError("scale names at least one step: none, log or standard")
        if self.top and self.unseen == "error":
            raise ValueError("unseen: error refuses values, but top puts all others together: leave one out")
        return self


class Description(Settings):
    """What profiles show of a cluster beside its features: a number, a yes or no, or a text."""

    sql: Sql


#: What is clustered where an experiment does not say: lines, by price, quantity and weekday.
LINES_BY_LOG: Final[Mapping[str, Feature]] = {
    "price": Feature(sql="UnitPrice", scale=("log",), fill=0.0),
    "quantity": Feature(sql="Quantity", scale=("log",), fill=0.0),
    "weekday": Feature(sql="date_format(InvoiceDate, 'EEEE')", encode="onehot", unseen="keep"),
}
ABOUT_LINES: Final[Mapping[str, Description]] = {
    "spend": Description(sql="cost"),
    "cancelled": Description(sql="InvoiceNo LIKE 'C%'"),
    "country": Description(sql="Country"),
}


def _usual_features(given: dict[str, Any]) -> dict[str, Feature]:
    return {} if given.get("unit") else dict(LINES_BY_LOG)


def _usual_descriptions(given: dict[str, Any]) -> dict[str, Description]:
    return dict(ABOUT_LINES) if given.get("features") == LINES_BY_LOG else {}


class Question(Settings):
    """What is clustered (`unit`: lines, or groups of them), which lines count (`clean`), and by what (`features`).

    `clean` holds conditions for lines to be left out, under a name each, the first that holds counts. `describe`
    is shown of each cluster, and not clustered on.
    """

    unit: Unit | None = None
    clean: dict[Name, Sql] = Field(default_factory=dict)
    features: dict[Name, Feature] = Field(default_factory=_usual_features, min_length=1)
    describe: dict[Name, Description] = Field(default_factory=_usual_descriptions)

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        twice = sorted(self.features.keys() & self.describe.keys())
        if twice:
            raise ValueError(f"features and describe need different names, but both have {', '.join(twice)}")
        return self

    def declared(self) -> dict[str, Any]:
        """Return what is declared, as a file would hold it: of a feature, what differs from the defaults."""
        features = {name: each.model_dump(exclude_defaults=True) for name, each in self.features.items()}
        return Question.model_dump(self, include=set(Question.model_fields)) | {"features": features}

    @property
    def digest(self) -> str:
        """Return a digest of what is clustered, which lines count, and by what: 16 hex digits."""
        asked = {name: part for name, part in self.declared().items() if name != "describe"}
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]

    @property
    def numbers(self) -> Sequence[str]:
        """Name the features that are numbers."""
        return [name for name, feature in self.features.items() if not feature.is_category]

    @property
    def categories(self) -> Sequence[str]:
        """Name the features that are categories."""
        return [name for name, feature in self.features.items() if feature.is_category]

    @property
    def noun(self) -> str:
        """Return what a person calls a record: line, customer, invoice, country, or else record."""
        nouns = {"CustomerID": "customer", "InvoiceNo": "invoice", "Country": "country", "StockCode": "item"}
        if self.unit is None:
            return "line"
        return nouns.get(self.unit.by[0], "record") if len(self.unit.by) == 1 else "record"
