"""From invoice lines to vectors: the one definition of a feature, for training and for scoring."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
from pyspark.ml import PipelineModel, Transformer
from pyspark.ml.feature import OneHotEncoder, SQLTransformer, StringIndexerModel, VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.settings import Features
from retail_clusters.training.blocks import Floats
from retail_clusters.training.rows import VALUES, WeightedRows, vectors_of

_INDEX: Final = "day_of_week_index"
_ENCODED: Final = "day_of_week_encoded"
_SCALED: Final = ("unit_price_scaled", "quantity_scaled")
_NUMBERS: Final = (schema.UNIT_PRICE, schema.QUANTITY)


#: What the first stage does with raw lines, whoever reads them: pandas has 6 as a long or, where another is
#: missing, as a double, and the date as a text. A good line comes out as `weighted_rows.fill` has it.
RAW_FILL_STATEMENT: Final = (
    "SELECT * EXCEPT (Quantity, UnitPrice), coalesce(try_cast(Quantity AS INT), 0) AS Quantity, "
    "coalesce(nanvl(try_cast(UnitPrice AS DOUBLE), 0D), 0D) AS UnitPrice, "
    f"element_at(array({', '.join(map(repr, schema.WEEKDAYS))}), "
    "weekday(CAST(InvoiceDate AS TIMESTAMP)) + 1) AS day_of_week FROM __THIS__"
)


def fill_stage() -> SQLTransformer:
    """Fill missing numbers with 0 and name the weekday: raw invoice lines in, more columns out."""
    return SQLTransformer(statement=RAW_FILL_STATEMENT)


def fit_features(rows: WeightedRows, *, features: Features, spark: SparkSession) -> PipelineModel:
    """Fit scaling and weekday encoding on weighted rows; the result adds `features` to them.

    The vector is (UnitPrice, Quantity, weekday one-hot). Weekdays are ordered as a StringIndexer
    fitted on the lines would order them: most lines first, then by name. With `unseen_days: keep` each
    known weekday has a slot and an unseen one is all zeros; with `error` the rarest weekday is all
    zeros, as in the notebook, and an unseen one fails.
    """
    indexer = StringIndexerModel.from_labels(
        _weekdays(rows), inputCol=schema.DAY_OF_WEEK, outputCol=_INDEX, handleInvalid=features.unseen_days
    )
    encoder = OneHotEncoder(inputCol=_INDEX, outputCol=_ENCODED)
    scaling = _scaling_stages(rows, features=features)
    numbers = _SCALED if scaling else _NUMBERS
    assembler = VectorAssembler(inputCols=[*numbers, _ENCODED], outputCol=schema.FEATURES)
    no_days = spark.createDataFrame([], f"{schema.DAY_OF_WEEK} string")
    return PipelineModel([*scaling, indexer, encoder.fit(indexer.transform(no_days)), assembler])


def with_values(rows: DataFrame, pipeline: PipelineModel) -> DataFrame:
    """Add `values`, the feature vector as an array of double, to weighted rows."""
    vectors = pipeline.transform(rows).select(*rows.columns, schema.FEATURES)
    return vectors.withColumn(VALUES, vector_to_array(F.col(schema.FEATURES))).drop(schema.FEATURES)


def vectors(parts: Sequence[WeightedRows], *, pipeline: PipelineModel, spark: SparkSession) -> list[Floats]:
    """Return the feature vectors of weighted rows, n x d for each part, made by the pipeline's own stages.

    One Spark job for all parts.
    """
    keys = pa.concat_tables([part.table.select(list(schema.ROW_KEY)) for part in parts])
    made = with_values(spark.createDataFrame(keys), pipeline).select(VALUES).toArrow()
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return np.split(vectors_of(made[VALUES]), ends)


def facts(width: int) -> tuple[tuple[int, ...], ...]:
    """Return the columns of each fact in vectors of `width`: price, quantity, the slots of the weekday."""
    numbers = len(_NUMBERS)
    return (*((column,) for column in range(numbers)), tuple(range(numbers, width)))


def helpers(pipeline: PipelineModel) -> list[str]:
    """Name the columns that the feature stages add to lines, and that a score does not need."""
    scaled = _SCALED if any(isinstance(stage, SQLTransformer) for stage in pipeline.stages) else ()
    return [schema.DAY_OF_WEEK, _INDEX, _ENCODED, schema.FEATURES, *scaled]


def _weekdays(rows: WeightedRows) -> list[str]:
    lines = np.bincount(rows.weekdays, rows.weights, len(schema.WEEKDAYS))
    seen = [(-count, day) for count, day in zip(lines, schema.WEEKDAYS, strict=True) if count]
    return [day for _, day in sorted(seen)]


def _scaling_stages(rows: WeightedRows, *, features: Features) -> list[Transformer]:
    if features.scaling == "none":
        return []
    if features.scaling == "log":
        scaled = [f"signum({name}) * log1p(abs({name}))" for name in _NUMBERS]
    else:
        scaled = [_standardized(rows, name) for name in _NUMBERS]
    columns = ", ".join(f"{how} AS {name}" for how, name in zip(scaled, _SCALED, strict=True))
    return [SQLTransformer(statement=f"SELECT *, {columns} FROM __THIS__")]


def _standardized(rows: WeightedRows, name: str) -> str:
    """Write (x - mean) / standard deviation over lines as SQL, with the sums taken exactly.

    `math.fsum` rounds once, so the order of rows does not matter.
    """
    pairs = list(zip(rows.numbers(name).tolist(), rows.weights.tolist(), strict=True))
    lines = math.fsum(weight for _, weight in pairs)
    mean = math.fsum(value * weight for value, weight in pairs) / lines
    squares = math.fsum((value - mean) ** 2 * weight for value, weight in pairs)
    deviation = math.sqrt(squares / max(lines - 1, 1)) or 1.0
    return f"({name} - ({mean!r}D)) / {deviation!r}D"
