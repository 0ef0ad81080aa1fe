"""From records to vectors: what is fitted on the training records, and the stages that it makes."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyspark.ml import PipelineModel
from pyspark.ml.feature import SQLTransformer, VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.clustering.blocks import Floats
from retail_clusters.errors import InputError
from retail_clusters.features import sql
from retail_clusters.features.rows import RECORDS, VALUES, WeightedRows, vectors_of
from retail_clusters.question import Feature, Question

#: The columns of a vector, before they are one.
_SLOT: Final = "_x"


@dataclass(frozen=True)
class Fitted:
    """The constants of a feature.

    Attributes:
        clip: the two values at its quantiles.
        mean: of what is standardized.
        deviation: of what is standardized, over n - 1 records.
        categories: the values that have a column, most records first, then by name.
        known: every value that a record may have; none where any may come.
    """

    clip: tuple[float, float] | None = None
    mean: float = 0.0
    deviation: float = 1.0
    categories: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


@dataclass(frozen=True)
class FeatureSpace:
    """A question and the constants of its features: all that decides how far two records are apart."""

    question: Question
    fitted: Mapping[str, Fitted]

    @property
    def names(self) -> list[str]:
        """Name the columns of a vector."""
        return [name for names in self._columns.values() for name in names]

    @property
    def feature_columns(self) -> Mapping[str, tuple[int, ...]]:
        """Return the columns of each feature in a vector."""
        ends = np.cumsum([len(names) for names in self._columns.values()]).tolist()
        return {
            name: tuple(range(end - len(names), end))
            for end, (name, names) in zip(ends, self._columns.items(), strict=True)
        }

    @property
    def statement(self) -> str:
        """Return the query that adds the columns of a vector to records."""
        columns = ", ".join(f"{slot} AS {_SLOT}{at}" for at, slot in enumerate(self._slots))
        return f"SELECT *, {columns} FROM __THIS__"

    @property
    def stages(self) -> PipelineModel:
        """Return the stages that add `features` to records."""
        inputs = [f"{_SLOT}{at}" for at in range(len(self._slots))]
        assembler = VectorAssembler(inputCols=inputs, outputCol=schema.FEATURES)
        return PipelineModel([SQLTransformer(statement=self.statement), assembler])

    @property
    def refused(self) -> Mapping[str, tuple[str, ...]]:
        """Return the values that each category with `unseen: error` takes; no other record is scored."""
        return {name: constants.known for name, constants in self.fitted.items() if constants.known}

    def same_as(self, other: "FeatureSpace") -> bool:
        """Tell whether any two records are as far apart in one as in the other; the order of slots is free."""
        return self.asks_the_same_as(other) and _comparable(self.fitted) == _comparable(other.fitted)

    def asks_the_same_as(self, other: "FeatureSpace") -> bool:
        """Tell whether both have the same records and features; constants may differ."""
        return _asked(self.question) == _asked(other.question)

    def order_in(self, other: "FeatureSpace") -> list[int]:
        """Return where each column of another, same space stands in a vector of this one."""
        return [self.names.index(name) for name in other.names]

    def to_json(self) -> str:
        """Return what a version's metadata holds."""
        fitted = {name: asdict(constants) for name, constants in self.fitted.items()}
        return json.dumps({"question": self.question.declared(), "fitted": fitted})

    @classmethod
    def from_json(cls, text: str) -> "FeatureSpace":
        """Read what `to_json` gave."""
        found = json.loads(text, object_hook=_with_tuples)
        fitted = {name: Fitted(**constants) for name, constants in found["fitted"].items()}
        return cls(Question.model_validate(found["question"]), fitted)

    @property
    def _columns(self) -> Mapping[str, list[str]]:
        columns = {}
        for name, feature in self.question.features.items():
            columns[name] = [name]
            if feature.is_category:
                columns[name] = [f"{name} = {value}" for value in self.fitted[name].categories]
                columns[name] += [f"{name} = (other)"] if feature.top else []
        return columns

    @property
    def _slots(self) -> list[str]:
        """Return the columns of a vector as SQL."""
        return [slot for name in self.question.features for slot in self._slots_of(name)]

    def _slots_of(self, name: str) -> list[str]:
        """Return the columns of a feature as SQL; 0 where a record is left out."""
        feature, constants = self.question.features[name], self.fitted[name]
        if not feature.is_category:
            scaled = _scaled(feature, constants, name)
            return [f"coalesce({scaled if feature.weight == 1 else f'{feature.weight!r}D * {scaled}'}, 0D)"]
        tests = [f"{name} = {sql.quoted(value)}" for value in constants.categories]
        tests += [f"{name} NOT IN ({sql.listed(constants.categories)})"] if feature.top else []
        return [f"CASE WHEN {test} THEN {feature.weight!r}D ELSE 0D END" for test in tests]


def fit_space(rows: WeightedRows, question: Question, *, spark: SparkSession) -> FeatureSpace:
    """Fit the constants of a question's features on the weighted rows that train.

    Sums are rounded once (`math.fsum`), so that the order of rows does not matter; what a logarithm comes before
    is computed by Spark, as it will be in scoring.

    Raises:
        InputError: a feature has the same value in every record.
    """
    fitted = {
        name: _categories(rows, name, feature)
        if feature.is_category
        else Fitted(clip=quantiles(rows, name, feature.clip) if feature.clip else None)
        for name, feature in question.features.items()
    }
    standardized = [name for name in question.numbers if "standard" in question.features[name].scale]
    if standardized:
        before = [
            f"CAST({_scaled(question.features[name], fitted[name], name, until='standard')} AS DOUBLE) AS {name}"
            for name in standardized
        ]
        values = spark.createDataFrame(rows.keys).selectExpr(*before).toArrow()
        for name in standardized:
            mean, deviation = _moments(np.asarray(values[name]), rows.weights)
            fitted[name] = Fitted(clip=fitted[name].clip, mean=mean, deviation=deviation)
    return FeatureSpace(question, fitted)


def check_varies(rows: WeightedRows, question: Question) -> None:
    """Refuse a number that is the same in every record.

    Raises:
        InputError: there is one, or there is no record.
    """
    if not len(rows):
        raise InputError(
            f"training needs records, but no {question.noun} has every feature: look at clean and fill"
        )
    for name in question.numbers:
        values = rows.numbers(name)
        if values.min() == values.max():
            raise InputError(
                f"features.{name} must differ between records, but is {values[0]:g} in each of the "
                f"{int(rows.weights.sum()):,} that train: leave it out, or change its sql"
            )


def with_values(rows: DataFrame, space: FeatureSpace) -> DataFrame:
    """Add `_values`, the feature vector as an array of double, to weighted rows."""
    vectors = space.stages.transform(rows).select(*rows.columns, schema.FEATURES)
    return vectors.withColumn(VALUES, vector_to_array(F.col(schema.FEATURES))).drop(schema.FEATURES)


def vectors(parts: Sequence[WeightedRows], *, space: FeatureSpace, spark: SparkSession) -> list[Floats]:
    """Return the feature vectors of weighted rows, n x d for each part, made by the stages that score.

    One Spark job for all parts.
    """
    keys = pa.concat_tables([part.keys for part in parts])
    made = with_values(spark.createDataFrame(keys), space).select(VALUES).toArrow()
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return np.split(vectors_of(made[VALUES]), ends)


def _scaled(feature: Feature, constants: Fitted, value: str, *, until: str = "") -> str:
    """Return a number clipped and scaled as SQL, up to a step of `scale`."""
    if constants.clip:
        value = f"least(greatest({value}, {_literal(constants.clip[0])}), {_literal(constants.clip[1])})"
    for step in feature.scale:
        if step == until:
            break
        if step == "log":
            value = f"signum({value}) * log1p(abs({value}))"
        elif step == "standard":
            value = f"({value} - {_literal(constants.mean)}) / {_literal(constants.deviation)}"
    return value


def _literal(number: float) -> str:
    return f"({number!r}D)"


def quantiles(rows: WeightedRows, name: str, at: tuple[float, float]) -> tuple[float, float]:
    """Return two quantiles of a feature over records: values that occur."""
    found = np.quantile(rows.numbers(name), at, weights=rows.weights, method="inverted_cdf")
    return float(found[0]), float(found[1])


def _moments(values: Floats, weights: Floats) -> tuple[float, float]:
    pairs = list(zip(values.tolist(), weights.tolist(), strict=True))
    records = math.fsum(weight for _, weight in pairs)
    mean = math.fsum(value * weight for value, weight in pairs) / records
    squares = math.fsum((value - mean) ** 2 * weight for value, weight in pairs)
    return mean, math.sqrt(squares / max(records - 1, 1)) or 1.0


def _categories(rows: WeightedRows, name: str, feature: Feature) -> Fitted:
    """Return the values of a category; with `unseen: error` the rarest is all zeros, as in the notebook."""
    counted = rows.table.group_by(name).aggregate([(RECORDS, "sum")])
    ordered = [
        value
        for _, value in sorted(
            zip((-np.asarray(counted[f"{RECORDS}_sum"])).tolist(), counted[name].to_pylist(), strict=True)
        )
    ]
    if feature.unseen == "error":
        return Fitted(categories=tuple(ordered[:-1]), known=tuple(ordered))
    return Fitted(categories=tuple(ordered[: feature.top]))


def _comparable(fitted: Mapping[str, Fitted]) -> Mapping[str, Any]:
    return {
        name: (asdict(each) | {"categories": set(each.categories), "known": set(each.known)})
        for name, each in fitted.items()
    }


def _asked(question: Question) -> tuple[Any, ...]:
    return question.unit, tuple(question.clean.items()), tuple(question.features.items())


def _with_tuples(found: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
