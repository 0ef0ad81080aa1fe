"""What a registered model takes and gives; a version is opened, and lines are scored by it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from pyspark.ml import PipelineModel
from pyspark.ml.clustering import KMeansModel
from pyspark.ml.feature import SQLTransformer
from pyspark.ml.functions import vector_to_array
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.errors import InputError, RegistryError
from retail_clusters.features import earlier, sql
from retail_clusters.features.check import check_question
from retail_clusters.features.model import NUMBERS, SPACE, ScoringModel
from retail_clusters.features.pipeline import FeatureSpace
from retail_clusters.features.rows import VALUES
from retail_clusters.infra.console import in_short
from retail_clusters.question import Question
from retail_clusters.registry import numbering
from retail_clusters.registry.models import ANY, OPTIONAL, Columns, ModelInterface, ModelRegistry

#: How far a record is from its centre, and how much farther the next one is.
DISTANCE: Final = "distance"
MARGIN: Final = "margin"

#: Under which name a registered version's metadata holds where its lines came from.
TRAINED_ON: Final = "trained_on"

_MLFLOW_TYPES: Final = {"string": "string", "int": "integer", "timestamp": "datetime", "double": "double"}
#: The columns of raw invoice lines, and their types as MLflow writes them.
RAW_LINES: Final[Columns] = {
    field.name: _MLFLOW_TYPES[field.dataType.simpleString()] for field in schema.INVOICE_LINE
}
#: Types that an earlier release gave columns, which no model of its looks at.
_EARLIER: Final[Columns] = {schema.CUSTOMER_ID: "double"}

_EXAMPLE: Final = pd.DataFrame(
    [
        ("536365", "85123A", "WHITE HANGING HEART T-LIGHT HOLDER", 6, "2010-12-01 08:26:00", 2.55, "17850"),
        ("C536379", "D", "Discount", -1, "2010-12-01 09:41:00", 27.5, "14527"),
    ],
    columns=list(schema.COLUMNS[:-1]),
).assign(Country="United Kingdom")

_SMOKE: Final = [
    "('536365', '85123A', 'WHITE HANGING HEART', 6, timestamp'2010-12-01 08:26:00', 2.55D, '17850', 'UK')",
    "('C536379', 'D', null, -1, timestamp'2010-12-02 09:41:00', 27.5D, null, null)",
    "('536544', '21773', null, null, timestamp'2010-12-03 14:32:00', null, null, 'UK')",
]


def interface(question: Question) -> ModelInterface:
    """Return what a client of a model must know.

    A model needs the columns that its question uses, and passes over the others. pandas reads a whole number as
    int64 but as float64 where one is missing, so that numbers have any type; a date is a text or a time.
    """
    free = {schema.QUANTITY, schema.UNIT_PRICE}
    inputs = {name: ANY if name in free else RAW_LINES[name] for name in sql.used_columns(question)}
    keys = dict.fromkeys(sql.keys_of(question), "string")
    return ModelInterface(
        inputs=inputs,
        outputs=keys | {schema.PREDICTION: "integer"},
        example=_EXAMPLE[list(inputs)],
        packages=("mlflow", "pyspark", "pandas", "numpy"),
        keyed=question.unit is not None,
    )


@dataclass(frozen=True, eq=False)
class ScoringVersion:
    """A version in memory: what scores, and its parts; None where an earlier release has registered it."""

    version: str
    pipeline: PipelineModel
    model: ScoringModel | None
    metadata: Mapping[str, Any]

    @property
    def question(self) -> Question | None:
        """Return what the version asks; None where an earlier release has registered it."""
        return self.model.space.question if self.model else None

    @property
    def scores_lines(self) -> bool:
        """Tell whether it gives each line a cluster, rather than each unit."""
        return self.question is None or self.question.unit is None

    def score(self, lines: DataFrame, *, distance: bool = False) -> DataFrame:
        """Add `prediction` and `model_version` to good lines, which stay as they came.

        With `distance`, `distance` and `margin`, too: see `label`.
        """
        more = [DISTANCE, MARGIN] if distance else []
        if self.model is None:
            scored = earlier.score(lines, self.pipeline)
        elif distance:
            scored = self.label(self.pipeline.stages[0].transform(lines)).drop(VALUES)
        else:
            scored = self.pipeline.transform(lines)
        last = [name for name in (schema.SOURCE_FILE,) if name in lines.columns]
        version = F.lit(int(self.version)).alias(schema.MODEL_VERSION)
        others = [name for name in scored.columns if name not in {*last, *more, schema.PREDICTION}]
        return scored.select(*map(_quoted, others), schema.PREDICTION, version, *more, *last)

    def label(self, records: DataFrame) -> DataFrame:
        """Let the stages after the first label records: what `_line` holds, `prediction`, and how sure it is.

        `distance` is that to the centre, in scaled units; `margin` the distance to the next centre less this one,
        over the sum: 1 at the centre, 0 between two. `_values` is the record's vector. The number is null where
        the version leaves a record out.

        Raises:
            RegistryError: an earlier release has registered the version.
        """
        *middle, last = self.pipeline.stages[1:]
        found = PipelineModel(middle).transform(records)
        found = found.withColumn(VALUES, vector_to_array(F.col(schema.FEATURES)))
        distances = F.expr(sql.distances(parts_of(self).centres.tolist(), to=VALUES))
        found = found.withColumn("_distances", distances)
        own = F.get("_distances", F.col(schema.PREDICTION))
        following = F.expr(f"array_min(filter(_distances, (d, i) -> i <> {schema.PREDICTION}))")
        sure = F.try_divide(following - own, following + own)
        line = F.struct(f"{sql.LINE}.*", VALUES, own.alias(DISTANCE), sure.alias(MARGIN))
        labelled = last.transform(found.withColumn(sql.LINE, line))
        counts = F.col(schema.PREDICTION).isNotNull()
        return labelled.withColumns({name: F.when(counts, F.col(name)) for name in (DISTANCE, MARGIN)})

    def refuse(self, parsed: DataFrame) -> DataFrame:
        """Give lines whose categories the model refuses a reason; most models refuse none.

        A unit with such a category is left out instead.
        """
        if self.model is None:
            weekdays = {"a weekday": tuple(earlier.known_weekdays(self.pipeline))}
            day = F.expr("date_format(InvoiceDate, 'EEEE')")
            return parsed.withColumn(schema.REASON, _refusal(schema.REASON, weekdays, lambda _: day))
        space = self.model.space
        if space.question.unit or not space.refused:
            return parsed
        held = f"{sql.LINE}.{schema.REASON}"
        question = space.question.model_copy(
            update={"clean": {"_bad": f"{held} IS NOT NULL"} | space.question.clean}
        )
        made = SQLTransformer(statement=sql.records(question)).transform(parsed)
        counts = F.col(sql.LEFT_OUT).isNull()
        reason = _refusal(held, space.refused, lambda name: F.when(counts, F.col(name)))
        line = {name: F.col(f"{sql.LINE}.{_quoted(name)}") for name in parsed.columns}
        return made.select(*({**line, schema.REASON: reason}[name].alias(name) for name in parsed.columns))


def _refusal(reason: str, known: Mapping[str, Sequence[str]], value: Callable[[str], Column]) -> Column:
    """Return the reason that a line has, else that a category has a value that is not known."""
    found = [
        F.when(
            ~value(name).isin(*values), f"{name} is none that the model was trained on, and it refuses others"
        )
        for name, values in known.items()
        if values
    ]
    return F.coalesce(F.col(reason), *found)


def open_model(registry: ModelRegistry, *, version: str) -> ScoringVersion:
    """Load a version that scores raw invoice lines, and is made of this project's stages alone.

    Raises:
        RegistryError: the registry does not give it, it takes other lines, or holds another stage: a stage
            of SQL can call any code.
    """
    opened = registry.open_version(version=version)
    problem = _lines_problem(opened.inputs)
    if problem:
        raise RegistryError(
            f"a model to score with must take raw invoice lines, but version {version} {problem}: "
            "register one that does"
        )
    model = _read(opened.model, opened.metadata)
    foreign = _unlike(opened.model, model) if model else _foreign(opened.model)
    if foreign:
        raise RegistryError(
            f"a model must have the stages that train registers, but version {version} has {foreign}: "
            "register one with train, or take the alias off this one"
        )
    return ScoringVersion(version, opened.model, model, opened.metadata)


def parts_of(version: ScoringVersion) -> ScoringModel:
    """Return the parts of a version.

    Raises:
        RegistryError: an earlier release has registered it.
    """
    if version.model is None:
        raise RegistryError(
            f"version {version.version} is of a release before declared features, which scores lines and cannot be "
            "compared: train again"
        )
    return version.model


def check_model(spark: SparkSession, version: ScoringVersion) -> None:
    """Score a smoke batch of three lines, one of them with nulls.

    Raises:
        RegistryError: the model fails on it, drops a line, or names no cluster of its own.
    """
    lines = spark.sql(f"SELECT * FROM VALUES {', '.join(_SMOKE)} AS lines({', '.join(schema.COLUMNS)})")
    usable = version.refuse(lines.withColumn(schema.REASON, F.lit(None).cast("string")))
    usable = usable.where(F.col(schema.REASON).isNull()).drop(schema.REASON)
    try:
        expected = usable.count()
        found = [row[0] for row in version.score(usable).select(schema.PREDICTION).collect()]
    except Exception as failure:
        raise RegistryError(
            f"a model must score the smoke batch, but version {version.version} gave: {in_short(failure)}"
        ) from failure
    unlike = len(found) != expected and version.scores_lines
    if unlike or not all(number is None or number >= 0 for number in found):
        raise RegistryError(
            f"a model must give each line a cluster, but version {version.version} gave {found} for "
            f"{expected} lines: register one that does"
        )


def _read(pipeline: PipelineModel, metadata: Mapping[str, Any]) -> ScoringModel | None:
    centres = [stage.clusterCenters() for stage in pipeline.stages if isinstance(stage, KMeansModel)]
    if SPACE not in metadata or len(centres) != 1:
        return None
    numbers = numbering.from_text(metadata[NUMBERS])
    return ScoringModel(FeatureSpace.from_json(metadata[SPACE]), np.array(centres[0]), numbers)


def _unlike(pipeline: PipelineModel, model: ScoringModel) -> str | None:
    """Describe what a pipeline has that its own specification does not give; None where it has nothing."""
    try:
        check_question(model.space.question)
    except InputError as problem:
        return str(problem)
    expected = model.statements
    found = [
        str(stage.getStatement()) if isinstance(stage, SQLTransformer) else type(stage).__name__
        for stage in pipeline.stages
    ]
    other = [one for one, due in zip(found, expected, strict=False) if one != due]
    return (
        f"{' '.join(other[0].split())[:80]!r}"
        if other
        else None
        if len(found) == len(expected)
        else "more stages"
    )


def _lines_problem(columns: Mapping[str, str] | None) -> str | None:
    if columns is None:
        return "has no signature"
    for name, kind in columns.items():
        bare = kind.removesuffix(OPTIONAL)
        if name not in RAW_LINES and bare == kind:
            return f"needs a column {name}"
        if name in RAW_LINES and bare not in {ANY, RAW_LINES[name], _EARLIER.get(name)}:
            return f"takes {name} of type {bare}"
    return None if columns else "takes none of its columns"


def _foreign(pipeline: PipelineModel) -> str | None:
    return next((text for stage in pipeline.stages if (text := earlier.foreign(stage))), None)


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"
