"""The registered pipeline of raw lines: built, parsed, renumbered, applied."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast
from uuid import uuid4

import numpy as np
import pandas as pd
from pyspark.ml import PipelineModel, Transformer
from pyspark.ml.clustering import KMeansModel
from pyspark.ml.feature import OneHotEncoderModel, SQLTransformer, StringIndexerModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.clustering import kmeans
from retail_clusters.clustering.blocks import Block, Floats, InMemory, Labels, in_memory
from retail_clusters.errors import RegistryError
from retail_clusters.features import stages as feature_stages
from retail_clusters.features.rows import WeightedRows
from retail_clusters.infra.console import in_short
from retail_clusters.registry import numbering
from retail_clusters.registry.numbering import Migration

UNSEEN_DAY: Final = "the model refuses a weekday that its training lines do not hold"

_AS_IT_CAME: Final = "_line"

_SMOKE: Final = [
    "('536365', '85123A', 'WHITE HANGING HEART', 6, timestamp'2010-12-01 08:26:00', 2.55D, '17850', 'UK')",
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
class ParsedModel:
    """A registered model: feature stages, centres (K x d), and the number that each cluster is given."""

    features: PipelineModel
    centres: Floats
    numbers: tuple[int, ...]
    space: FeatureSpace

    @classmethod
    def of(
        cls, features: PipelineModel, centres: Floats, *, numbers: Sequence[int] | None = None
    ) -> "ParsedModel":
        """Describe fitted feature stages and centres; without numbers, cluster i has number i."""
        given = range(len(centres)) if numbers is None else numbers
        return cls(features, centres, tuple(given), _space(features.stages))

    def rows(self, rows: WeightedRows, *, spark: SparkSession) -> InMemory[Block]:
        """Lay out weighted rows as this model sees them."""
        return in_memory(feature_stages.vectors([rows], pipeline=self.features, spark=spark)[0], rows.weights)

    def labels(self, rows: WeightedRows, *, spark: SparkSession) -> Labels:
        """Return the index of the nearest centre for each row; `numbers` has its number."""
        return kmeans.labels(self.rows(rows, spark=spark), self.centres)

    def refused_days(self, rows: WeightedRows) -> list[str]:
        """Name the weekdays of rows on which this model fails instead of scoring."""
        known = required_weekdays(self.features)
        found = {schema.WEEKDAYS[day] for day in np.unique(rows.weekdays)}
        return [] if known is None else sorted(found - set(known))

    def centres_in(self, space: FeatureSpace) -> Floats:
        """Return the centres with their weekday slots in the order of another, same space."""
        width = self.centres.shape[1] - len(self.space.slots)
        order = [width + self.space.slots.index(day) for day in space.slots]
        return self.centres[:, [*range(width), *order]]

    def same_clusters_as(self, other: "ParsedModel") -> bool:
        """Tell whether two models have the same clusters to the bit, whatever their numbers."""
        if not self.space.same_as(other.space):
            return False
        mine, others = (sorted(each.centres_in(self.space).tolist()) for each in (self, other))
        return mine == others

    def in_trained_order(self, numbers: Sequence[int]) -> "ParsedModel":
        """Put the clusters in the order in which they were trained: the i-th is the one of `numbers[i]`."""
        if sorted(numbers) != sorted(self.numbers):
            return self
        places = [self.numbers.index(number) for number in numbers]
        return replace(self, centres=self.centres[places], numbers=tuple(numbers))

    def match(self, champion: "ParsedModel", moved: Migration, *, used: Sequence[int]) -> pd.DataFrame:
        """Give each cluster the number of the cluster that it matches of a champion in the same space.

        The others get numbers above those of `used`. The table is that of `numbering.match`.
        """
        return numbering.match(
            self.centres_in(champion.space),
            champion.centres,
            numbers=champion.numbers,
            moved=moved,
            unused_from=1 + max([*used, *champion.numbers]),
        )

    def renumbered(self, numbers: Sequence[int], *, spark: SparkSession) -> PipelineModel:
        """Make the model of raw lines that gives cluster i the number `numbers[i]`.

        The centres stand in the order of their numbers, so that 0 to K-1 needs nothing else; numbers with
        gaps are looked up in the last stage.
        """
        pipeline = scoring_pipeline(self.features, self.centres[np.argsort(numbers)], spark=spark)
        return _with_numbers(pipeline, sorted(numbers))


def scoring_pipeline(stages: PipelineModel, centres: Floats, *, spark: SparkSession) -> PipelineModel:
    """Join everything from raw invoice lines to `prediction` in one model, with no other column left."""
    tidy = SQLTransformer(
        statement=f"SELECT * EXCEPT ({', '.join(feature_stages.helpers(stages))}) FROM __THIS__"
    )
    return PipelineModel(
        [feature_stages.fill_stage(), *stages.stages, kmeans_model(centres, spark=spark), tidy]
    )


def kmeans_model(centres: Floats, *, spark: SparkSession) -> KMeansModel:
    """Make the Spark ML model whose cluster i has centre `centres[i]` (K x d).

    pyspark.ml has no constructor from centres; the model's class on the JVM has. Numbers travel as text that
    reads back to the same bits.
    """
    jvm: Any = spark.sparkContext._jvm
    vectors = [jvm.org.apache.spark.mllib.linalg.Vectors.parse(str(centre)) for centre in centres.tolist()]
    trained = jvm.org.apache.spark.mllib.clustering.KMeansModel(vectors)
    java = jvm.org.apache.spark.ml.clustering.KMeansModel(f"kmeans_{uuid4().hex[:12]}", trained)
    java = java.setFeaturesCol(schema.FEATURES).setPredictionCol(schema.PREDICTION)
    model: KMeansModel = KMeansModel(java)._set(k=len(centres))
    return model.setFeaturesCol(schema.FEATURES).setPredictionCol(schema.PREDICTION)


def parse(model: PipelineModel, *, version: str) -> ParsedModel:
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
    centres = np.array(cast("KMeansModel", stages[place]).clusterCenters())
    return ParsedModel.of(PipelineModel(stages[1:place]), centres, numbers=_numbers(stages[-1]))


def centres_digest(centres: Floats) -> str:
    """Hash the centres' shape and bits, in order: 32 hex digits."""
    content = repr(centres.shape).encode() + np.ascontiguousarray(centres, dtype=">f8").tobytes()
    return hashlib.sha256(content).hexdigest()[:32]


def labels_digest(labels: Labels) -> str:
    """Hash the cluster of each row, in canonical order: 32 hex digits."""
    return hashlib.sha256(np.ascontiguousarray(labels, dtype=">i8").tobytes()).hexdigest()[:32]


def centres_table(centres: Floats) -> pd.DataFrame:
    """Return the centres as a table, a row a cluster; written as CSV, the digits give the bits back."""
    return (
        pd.DataFrame(centres, columns=feature_stages.names(centres.shape[1]))
        .rename_axis("cluster")
        .reset_index()
    )


def _numbers(tidy: Transformer) -> tuple[int, ...] | None:
    found = _NUMBERS.search(tidy.getStatement()) if isinstance(tidy, SQLTransformer) else None
    return numbering.from_text(found[1]) if found else None


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

    The model fills missing numbers for itself, so it is given the line once more, whole, and beside it the
    eight columns; those of the first release take the customer for a number.
    """
    others = [name for name in (schema.SOURCE_FILE, schema.REASON) if name in lines.columns]
    whole = F.struct(*(F.col(_quoted(name)) for name in lines.columns if name not in others)).alias(
        _AS_IT_CAME
    )
    number = F.col(schema.CUSTOMER_ID).try_cast("double")
    eight = [number.alias(name) if name == schema.CUSTOMER_ID else F.col(name) for name in schema.COLUMNS]
    return model.transform(lines.select(*eight, whole, *others)).select(
        f"{_AS_IT_CAME}.*", schema.PREDICTION, F.lit(int(version)).alias(schema.MODEL_VERSION), *others
    )


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


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
        raise RegistryError(
            f"a model must score the smoke batch, but version {version} gave: {in_short(failure)}"
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
