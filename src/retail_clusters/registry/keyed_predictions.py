"""Travels with a model of units, and answers for it with keys: MLflow's own loader gives a bare list.

This file is copied into each such model, so it imports nothing of the project.
"""

import re
from typing import Any

import mlflow.spark
import pandas as pd
from pyspark.ml import PipelineModel
from pyspark.ml.feature import SQLTransformer

_LAST_DAY = re.compile(r"\(SELECT date_add\(max\(.*?FROM __THIS__\) AS as_of")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class KeyedPredictions:
    """A model of units as a Python function: lines in, a row a unit out."""

    def __init__(self, model: PipelineModel, spark: Any) -> None:
        """Take the Spark model, and the session that it was loaded in."""
        self.model, self.spark = model, spark

    def predict(self, lines: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return the key of each unit in the lines, and its `prediction`, null where it is left out.

        `params["as_of"]`, such as 2011-12-10, ends the window, exclusive; by default the day of the last line is
        the last in it.
        """
        as_of = (params or {}).get("as_of") or ""
        if as_of and not _DATE.fullmatch(as_of):
            raise ValueError(f"as_of must be a date such as 2011-12-10, but got {as_of!r}")
        model = self._as_of(as_of) if as_of else self.model
        return model.transform(self.spark.createDataFrame(lines)).toPandas()

    def _as_of(self, day: str) -> PipelineModel:
        first, *others = self.model.stages
        statement = _LAST_DAY.sub(f"DATE'{day}' AS as_of", str(first.getOrDefault("statement")))
        return PipelineModel([SQLTransformer(statement=statement), *others])


def _load_pyfunc(path: str) -> KeyedPredictions:
    """Load the Spark model at `path`, as MLflow asks a loader module to."""
    loaded = mlflow.spark._load_pyfunc(path)
    return KeyedPredictions(loaded.spark_model, loaded.spark)
