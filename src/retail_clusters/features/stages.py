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
from retail_clusters.clustering.blocks import Floats
from retail_clusters.data.reduce import DERIVED, derived
from retail_clusters.features.rows import VALUES, WeightedRows, vectors_of
from retail_clusters.settings import Features

_INDEX: Final = "day_of_week_index"
_ENCODED: Final = "day_of_week_encoded"
#: The numbers in a vector, before the slots of the weekday, each with its name once it is scaled.
NUMBERS: Final = {schema.UNIT_PRICE: "unit_price_scaled", schema.QUANTITY: "quantity_scaled"}

#: What the first stage does with raw lines, whoever reads them: pandas has 6 as a long or, where another is
#: missing, as a double, and the date as a text. A good line comes out as `reduce.fill` has it.
RAW_FILLED: Final = (
    "SELECT * EXCEPT (Quantity, UnitPrice), coalesce(try_cast(Quantity AS INT), 0) AS Quantity, "
    "coalesce(nanvl(try_cast(UnitPrice AS DOUBLE), 0D), 0D) AS UnitPrice"
)
RAW_DATE: Final = "CAST(InvoiceDate AS TIMESTAMP)"
RAW_FILL_STATEMENT: Final = f"{', '.join([RAW_FILLED, *derived(RAW_DATE)])} FROM __THIS__"


def fill_stage() -> SQLTransformer:
    """Fill missing numbers with 0 and derive the others: raw invoice lines in, more columns out."""
    return SQLTransformer(statement=RAW_FILL_STATEMENT)


def fit_features(rows: WeightedRows, *, features: Features, spark: SparkSession) -> PipelineModel:
    """Fit scaling and weekday encoding on weighted rows; the result adds `features` to them.

    The vector is `NUMBERS`, then the weekday one-hot. Weekdays are ordered as a StringIndexer
    fitted on the lines would order them: most lines first, then by name. With `unseen_days: keep` each
    known weekday has a slot and an unseen one is all zeros; with `error` the rarest weekday is all
    zeros, as in the notebook, and an unseen one fails.
    """
    indexer = StringIndexerModel.from_labels(
        _weekdays(rows), inputCol=schema.DAY_OF_WEEK, outputCol=_INDEX, handleInvalid=features.unseen_days
    )
    encoder = OneHotEncoder(inputCol=_INDEX, outputCol=_ENCODED)
    scaling = _scaling_stages(rows, features=features)
    numbers = NUMBERS.values() if scaling else NUMBERS
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


def feature_columns(width: int) -> tuple[tuple[int, ...], ...]:
    """Return the columns of each feature in vectors of `width`: of each number, then of the weekday."""
    numbers = len(NUMBERS)
    return (*((column,) for column in range(numbers)), tuple(range(numbers, width)))


def names(width: int) -> list[str]:
    """Name the columns of vectors of `width`."""
    return [*NUMBERS, *(f"weekday_{position}" for position in range(width - len(NUMBERS)))]


def helpers(pipeline: PipelineModel) -> list[str]:
    """Name the columns that the feature stages add to lines, and that a score does not need."""
    scaled = NUMBERS.values() if any(isinstance(each, SQLTransformer) for each in pipeline.stages) else ()
    return [*DERIVED, _INDEX, _ENCODED, schema.FEATURES, *scaled]


def _weekdays(rows: WeightedRows) -> list[str]:
    lines = np.bincount(rows.weekdays, rows.weights, len(schema.WEEKDAYS))
    seen = [(-count, day) for count, day in zip(lines, schema.WEEKDAYS, strict=True) if count]
    return [day for _, day in sorted(seen)]


def _scaling_stages(rows: WeightedRows, *, features: Features) -> list[Transformer]:
    if features.scaling == "none":
        return []
    if features.scaling == "log":
        scaled = [f"signum({name}) * log1p(abs({name}))" for name in NUMBERS]
    else:
        scaled = [_standardized(rows, name) for name in NUMBERS]
    columns = ", ".join(f"{how} AS {name}" for how, name in zip(scaled, NUMBERS.values(), strict=True))
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
