"""From invoice lines to vectors: the one definition of a feature, for training and for scoring."""

import math
from typing import Final

from pyspark.ml import PipelineModel, Transformer
from pyspark.ml.clustering import KMeansModel
from pyspark.ml.feature import OneHotEncoder, SQLTransformer, StringIndexerModel, VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.data.weighted_rows import FILL_STATEMENT
from retail_clusters.settings import Features

VALUES: Final = "values"
_INDEX: Final = "day_of_week_index"
_ENCODED: Final = "day_of_week_encoded"
_SCALED: Final = ("unit_price_scaled", "quantity_scaled")
_NUMBERS: Final = (schema.UNIT_PRICE, schema.QUANTITY)


def fill_stage() -> SQLTransformer:
    """Fill missing numbers with 0 and name the weekday: raw invoice lines in, more columns out."""
    return SQLTransformer(statement=FILL_STATEMENT)


def fit_features(rows: DataFrame, *, features: Features) -> PipelineModel:
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
    return PipelineModel([*scaling, indexer, encoder.fit(indexer.transform(rows)), assembler])


def with_features(rows: DataFrame, pipeline: PipelineModel) -> DataFrame:
    """Add `features` (vector) and `values` (the same as an array of double) to weighted rows."""
    vectors = pipeline.transform(rows).select(*rows.columns, schema.FEATURES)
    return vectors.withColumn(VALUES, vector_to_array(F.col(schema.FEATURES)))


def scoring_pipeline(pipeline: PipelineModel, model: KMeansModel) -> PipelineModel:
    """Join everything from raw invoice lines to `prediction` in one model, with no other column left."""
    helpers = [schema.DAY_OF_WEEK, _INDEX, _ENCODED, schema.FEATURES]
    if any(isinstance(stage, SQLTransformer) for stage in pipeline.stages):
        helpers += _SCALED
    tidy = SQLTransformer(statement=f"SELECT * EXCEPT ({', '.join(helpers)}) FROM __THIS__")
    return PipelineModel([fill_stage(), *pipeline.stages, model, tidy])


def _weekdays(rows: DataFrame) -> list[str]:
    counts = rows.groupBy(schema.DAY_OF_WEEK).agg(F.sum(schema.WEIGHT).alias(schema.WEIGHT)).collect()
    return [day for day, _ in sorted(counts, key=lambda row: (-row[1], row[0]))]


def _scaling_stages(rows: DataFrame, *, features: Features) -> list[Transformer]:
    if features.scaling == "none":
        return []
    if features.scaling == "log":
        scaled = [f"signum({name}) * log1p(abs({name}))" for name in _NUMBERS]
    else:
        scaled = [_standardized(rows, name) for name in _NUMBERS]
    columns = ", ".join(f"{how} AS {name}" for how, name in zip(scaled, _SCALED, strict=True))
    return [SQLTransformer(statement=f"SELECT *, {columns} FROM __THIS__")]


def _standardized(rows: DataFrame, name: str) -> str:
    """Write (x - mean) / standard deviation over lines as SQL, with the sums taken exactly.

    `math.fsum` over the distinct values rounds once, so neither order nor partitions matter.
    """
    values = rows.groupBy(name).agg(F.sum(schema.WEIGHT)).collect()
    lines = sum(weight for _, weight in values)
    mean = math.fsum(value * weight for value, weight in values) / lines
    squares = math.fsum((value - mean) ** 2 * weight for value, weight in values)
    deviation = math.sqrt(squares / max(lines - 1, 1)) or 1.0
    return f"({name} - ({mean!r}D)) / {deviation!r}D"
