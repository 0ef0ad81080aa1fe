"""Versions that releases before declared features have registered: they still score lines."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from pyspark.ml import PipelineModel, Transformer
from pyspark.ml.clustering import KMeansModel
from pyspark.ml.feature import OneHotEncoderModel, SQLTransformer, StringIndexerModel, VectorAssembler
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_clusters import schema

_LINE: Final = "_line"
_WEEKDAY: Final = (
    "element_at(array('Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'), "
    "weekday({}) + 1) AS day_of_week"
)
#: The first stage of the first release, and of those after it, each with the date that it reads.
_FILLED: Final = {
    "SELECT * EXCEPT (Quantity, UnitPrice, CustomerID), coalesce(Quantity, 0) AS Quantity, "
    "coalesce(UnitPrice, 0D) AS UnitPrice, coalesce(CustomerID, 0D) AS CustomerID": "InvoiceDate",
    "SELECT * EXCEPT (Quantity, UnitPrice), coalesce(try_cast(Quantity AS INT), 0) AS Quantity, "
    "coalesce(nanvl(try_cast(UnitPrice AS DOUBLE), 0D), 0D) AS UnitPrice": "CAST(InvoiceDate AS TIMESTAMP)",
}
_NUMBER: Final = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_SCALED: Final = (
    r"(?:signum\({0}\) \* log1p\(abs\({0}\)\)|\({0} - \(" + _NUMBER + r"D\)\) / " + _NUMBER + "D) AS {1}"
)


def _with_some(start: str, columns: Iterable[str]) -> str:
    """Match a statement that adds some of the columns: a version may be older than a feature."""
    return rf"{start}(?:, (?:{'|'.join(columns)}))+ FROM __THIS__"


_STATEMENTS: Final = tuple(
    re.compile(form)
    for form in (
        *(
            _with_some(re.escape(start), [re.escape(_WEEKDAY.format(date))])
            for start, date in _FILLED.items()
        ),
        _with_some(
            r"SELECT \*",
            [_SCALED.format("UnitPrice", "unit_price_scaled"), _SCALED.format("Quantity", "quantity_scaled")],
        ),
        r"SELECT \* EXCEPT \([a-z_, ]+\)(?:, element_at\(array\([\d, ]+\), prediction \+ 1\) AS prediction)? "
        r"FROM __THIS__",
    )
)
_STAGES: Final = (KMeansModel, OneHotEncoderModel, SQLTransformer, StringIndexerModel, VectorAssembler)


def foreign(stage: Transformer) -> str | None:
    """Describe a stage that no release has built; None of one that some has."""
    if type(stage) not in _STAGES:
        return f"the stage {type(stage).__name__}"
    if isinstance(stage, SQLTransformer):
        statement = str(stage.getStatement())
        if not any(form.fullmatch(statement) for form in _STATEMENTS):
            return f"the SQL {' '.join(statement.split())[:80]!r}"
    return None


def known_weekdays(model: PipelineModel) -> Sequence[str]:
    """Return the weekdays that a model takes; none when it takes any."""
    for stage in model.stages:
        if isinstance(stage, StringIndexerModel) and stage.getHandleInvalid() == "error":
            return list(stage.labels)
    return ()


def score(lines: DataFrame, model: PipelineModel) -> DataFrame:
    """Add `prediction` to good lines, which stay as they came.

    The model fills missing numbers for itself, so it is given the line once more, whole, and beside it the
    eight columns; those of the first release take the customer for a number.
    """
    number = F.col(schema.CUSTOMER_ID).try_cast("double")
    eight = [number.alias(name) if name == schema.CUSTOMER_ID else F.col(name) for name in schema.COLUMNS]
    scored = model.transform(lines.select(*eight, F.struct("*").alias(_LINE)))
    return scored.select(f"{_LINE}.*", schema.PREDICTION)
