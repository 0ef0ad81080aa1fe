"""A registered model taken apart, to measure and compare it, and put together with other numbers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from pyspark.ml import PipelineModel, Transformer
from pyspark.ml.clustering import KMeansModel
from pyspark.ml.feature import OneHotEncoderModel, SQLTransformer, StringIndexerModel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.errors import RegistryError
from retail_clusters.training import features, lloyd
from retail_clusters.training.clustering import Clustering
from retail_clusters.training.seeding import Floats

UNSEEN_DAY: Final = "the model refuses a weekday that its training lines do not hold"

_AS_IT_CAME: Final = "_line"

_SMOKE: Final = [
    "('536365', '85123A', 'WHITE HANGING HEART', 6, timestamp'2010-12-01 08:26:00', 2.55D, 17850D, 'UK')",
    "('C536379', 'D', null, -1, timestamp'2010-12-02 09:41:00', 27.5D, null, null)",
    "('536544', '21773', null, null, timestamp'2010-12-03 14:32:00', null, null, 'UK')",
]

_NUMBERS: Final = re.compile(r"element_at\(array\(([\d, ]+)\), prediction \+ 1\) AS prediction")


@dataclass(frozen=True)
class FeatureSpace:
    """What decides how far two lines are apart: the stages but for the weekdays, and their slots."""

    stages: tuple[str, ...]
    slots: tuple[str, ...]
    no_slot: tuple[str, ...]

    def same_as(self, other: "FeatureSpace") -> bool:
        """Tell whether any two lines are as far apart in one as in the other; the slots' order is free."""
        mine, others = (sorted(space.slots) for space in (self, other))
        return (self.stages, mine, self.no_slot) == (other.stages, others, other.no_slot)


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A registered model's feature stages, clusters, and the number that `prediction` gives each cluster."""

    features: PipelineModel
    clustering: Clustering
    numbers: tuple[int, ...]
    space: FeatureSpace

    def rows(self, weighted: DataFrame) -> DataFrame:
        """Add `features` and `values` to weighted rows, as this model sees them."""
        return features.with_features(weighted, self.features)

    def assign(self, weighted: DataFrame) -> DataFrame:
        """Add `prediction`, this model's number of the cluster, to weighted rows."""
        assigned = self.clustering.assign(self.rows(weighted))
        return assigned.withColumn(schema.PREDICTION, number_of(F.col(schema.PREDICTION), self.numbers))

    def refused_days(self, weighted: DataFrame) -> list[str]:
        """Name the weekdays of rows on which this model fails instead of scoring."""
        indexers = [stage for stage in self.features.stages if isinstance(stage, StringIndexerModel)]
        known = {day for stage in indexers if stage.getHandleInvalid() == "error" for day in stage.labels}
        if not known:
            return []
        found = weighted.select(schema.DAY_OF_WEEK).distinct().collect()
        return sorted(row[0] for row in found if row[0] not in known)

    def centres_in(self, space: FeatureSpace) -> Floats:
        """Return the centres with their weekday slots in the order of another, same space."""
        width = self.clustering.centres.shape[1] - len(self.space.slots)
        order = [width + self.space.slots.index(day) for day in space.slots]
        return self.clustering.centres[:, [*range(width), *order]]

    def same_clusters_as(self, other: "Anatomy") -> bool:
        """Tell whether two models have the same clusters to the bit, whatever their numbers."""
        if not self.space.same_as(other.space):
            return False
        mine, others = (sorted(each.centres_in(self.space).tolist()) for each in (self, other))
        return mine == others

    def renumbered(self, numbers: Sequence[int], *, spark: SparkSession) -> PipelineModel:
        """Make the model of raw lines that gives cluster i the number `numbers[i]`.

        The centres stand in the order of their numbers, so that 0 to K-1 needs nothing else; numbers with
        gaps are looked up in the last stage.
        """
        ordered = sorted(numbers)
        model = lloyd.kmeans_model(self.clustering.centres[np.argsort(numbers)], spark=spark)
        pipeline = features.scoring_pipeline(self.features, model)
        return _with_numbers(pipeline, ordered)


def parse(model: PipelineModel, *, version: str) -> Anatomy:
    """Find the parts of a registered model: what fills, its feature stages, its KMeans, what tidies up.

    Raises:
        RegistryError: it has other parts.
    """
    stages = list(model.stages)
    places = [place for place, stage in enumerate(stages) if isinstance(stage, KMeansModel)]
    if len(places) != 1 or len(stages) != places[0] + 2:
        names = ", ".join(type(stage).__name__ for stage in stages)
        raise RegistryError(
            f"a version must be a pipeline of raw lines as train registers it, but version {version} has "
            f"the stages {names}: register one with train, or take the alias off this one"
        )
    place = places[0]
    kmeans = cast("KMeansModel", stages[place])
    centres = np.array(kmeans.clusterCenters())
    return Anatomy(
        features=PipelineModel(stages[1:place]),
        clustering=Clustering(k=len(centres), seed=0, centres=centres, iterations=0, model=kmeans),
        numbers=_numbers(stages[-1], k=len(centres)),
        space=_space(stages[1:place]),
    )


def number_of(index: Column, numbers: Sequence[int]) -> Column:
    """Look up the number of a cluster from the index of its centre."""
    if list(numbers) == list(range(len(numbers))):
        return index
    return F.element_at(F.array(*(F.lit(number) for number in numbers)), index + 1)


def _numbers(tidy: Transformer, *, k: int) -> tuple[int, ...]:
    found = _NUMBERS.search(tidy.getStatement()) if isinstance(tidy, SQLTransformer) else None
    return tuple(int(number) for number in found[1].split(",")) if found else tuple(range(k))


def _with_numbers(pipeline: PipelineModel, numbers: Sequence[int]) -> PipelineModel:
    """Let the last stage give cluster i `numbers[i]`, in a statement that `_numbers` reads."""
    if list(numbers) == list(range(len(numbers))):
        return pipeline
    *stages, tidy = pipeline.stages
    looked_up = f"element_at(array({', '.join(map(str, numbers))}), {schema.PREDICTION} + 1)"
    statement = cast("SQLTransformer", tidy).getStatement().removesuffix(") FROM __THIS__")
    renumbering = f"{statement}, {schema.PREDICTION}), {looked_up} AS {schema.PREDICTION} FROM __THIS__"
    return PipelineModel([*stages, SQLTransformer(statement=renumbering)])


def _space(stages: Sequence[Transformer]) -> FeatureSpace:
    days: list[str] = []
    slots = 0
    texts = []
    for stage in stages:
        params = {param.name: value for param, value in stage.extractParamMap().items()}
        if isinstance(stage, StringIndexerModel):
            days = list(stage.labels)
        if isinstance(stage, OneHotEncoderModel):
            slots = stage.categorySizes[0] - 1
        texts.append(f"{type(stage).__name__} {sorted(params.items())}")
    return FeatureSpace(stages=tuple(texts), slots=tuple(days[:slots]), no_slot=tuple(days[slots:]))


def refuse_unseen_days(parsed: DataFrame, *, model: PipelineModel) -> DataFrame:
    """Return lines that would fail the model a reason; a model with `unseen_days: keep` fails on none."""
    known = required_weekdays(model)
    if known is None:
        return parsed
    unseen = ~F.date_format(schema.INVOICE_DATE, "EEEE").isin(known)
    reason = F.coalesce(F.col(schema.REASON), F.when(unseen, UNSEEN_DAY))
    return parsed.withColumn(schema.REASON, reason)


def score_lines(lines: DataFrame, *, model: PipelineModel, version: str) -> DataFrame:
    """Add `prediction` and `model_version` to good lines, which stay as they came.

    The model fills missing numbers for itself, so it is given the line once more, whole.
    """
    whole = F.struct(*schema.COLUMNS).alias(_AS_IT_CAME)
    others = [name for name in lines.columns if name not in schema.COLUMNS]
    return model.transform(lines.select("*", whole)).select(
        f"{_AS_IT_CAME}.*", schema.PREDICTION, F.lit(int(version)).alias(schema.MODEL_VERSION), *others
    )


def check_model(spark: SparkSession, model: PipelineModel, *, version: str) -> None:
    """Score a smoke batch of three lines, one of them with nulls.

    Raises:
        RegistryError: the model fails on it, drops a line, or names no cluster of its own.
    """
    lines = spark.sql(f"SELECT * FROM VALUES {', '.join(_SMOKE)} AS lines({', '.join(schema.COLUMNS)})")
    parsed = lines.withColumn(schema.REASON, F.lit(None).cast("string"))
    usable = refuse_unseen_days(parsed, model=model).where(F.col(schema.REASON).isNull())
    try:
        expected = usable.count()
        found = [
            row[0] for row in score_lines(usable, model=model, version=version).select("prediction").collect()
        ]
    except Exception as failure:
        reason = " ".join(str(failure).split())[:200]
        raise RegistryError(
            f"a model must score the smoke batch, but version {version} gave: {reason}"
        ) from failure
    if len(found) != expected or not all(isinstance(number, int) and number >= 0 for number in found):
        raise RegistryError(
            f"a model must give each line a cluster, but version {version} gave {found} for "
            f"{expected} lines: register one that does"
        )


def required_weekdays(model: PipelineModel) -> list[str] | None:
    """Return the weekdays that a model takes; None when it takes any."""
    for stage in model.stages:
        if isinstance(stage, StringIndexerModel) and stage.getHandleInvalid() == "error":
            return list(stage.labels)
    return None
