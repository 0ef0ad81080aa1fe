"""A registered model applied to lines: what it gives, what it refuses, and whether it works at all."""

from typing import Final

from pyspark.ml import PipelineModel
from pyspark.ml.feature import StringIndexerModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.errors import RegistryError

UNSEEN_DAY: Final = "the model refuses a weekday that its training lines do not hold"

_SMOKE: Final = [
    "('536365', '85123A', 'WHITE HANGING HEART', 6, timestamp'2010-12-01 08:26:00', 2.55D, 17850D, 'UK')",
    "('C536379', 'D', null, -1, timestamp'2010-12-02 09:41:00', 27.5D, null, null)",
    "('536544', '21773', null, null, timestamp'2010-12-03 14:32:00', null, null, 'UK')",
]


def refuse_unseen_days(parsed: DataFrame, *, model: PipelineModel) -> DataFrame:
    """Give lines that would fail the model a reason; a model with `unseen_days: keep` fails on none."""
    known = _days_it_needs(model)
    if known is None:
        return parsed
    unseen = ~F.date_format(schema.INVOICE_DATE, "EEEE").isin(known)
    reason = F.coalesce(F.col(schema.REASON), F.when(unseen, UNSEEN_DAY))
    return parsed.withColumn(schema.REASON, reason)


def score(lines: DataFrame, *, model: PipelineModel, version: str) -> DataFrame:
    """Add `prediction` and `model_version` to good lines; missing numbers come out as 0."""
    return model.transform(lines).select(
        *schema.COLUMNS, schema.PREDICTION, F.lit(int(version)).alias(schema.MODEL_VERSION)
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
        found = [row[0] for row in score(usable, model=model, version=version).select("prediction").collect()]
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


def _days_it_needs(model: PipelineModel) -> list[str] | None:
    for stage in model.stages:
        if isinstance(stage, StringIndexerModel) and stage.getHandleInvalid() == "error":
            return list(stage.labels)
    return None
