"""What a registered model takes and gives, and the only stages that it may consist of."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

import pandas as pd
from pyspark.ml import Transformer
from pyspark.ml.clustering import KMeansModel
from pyspark.ml.feature import OneHotEncoderModel, SQLTransformer, StringIndexerModel, VectorAssembler

from retail_clusters import schema
from retail_clusters.data.reduce import derived
from retail_clusters.errors import RegistryError
from retail_clusters.features import stages
from retail_clusters.registry.models import (
    ANY,
    OPTIONAL,
    Columns,
    ModelInterface,
    ModelRegistry,
    OpenedVersion,
)

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

#: A model needs three columns of a raw line and passes over the others. pandas reads a whole number as int64
#: but as float64 where one is missing, so that numbers have any type; a date is a text or a time.
INTERFACE: Final = ModelInterface(
    inputs={schema.INVOICE_DATE: "datetime", schema.QUANTITY: ANY, schema.UNIT_PRICE: ANY},
    outputs={schema.PREDICTION: "integer"},
    example=_EXAMPLE,
    packages=("mlflow", "pyspark", "pandas", "numpy"),
)

#: Under which name a registered version's metadata holds where its lines came from.
TRAINED_ON: Final = "trained_on"

#: The first stage of the first release.
_FIRST_FILLED: Final = (
    "SELECT * EXCEPT (Quantity, UnitPrice, CustomerID), coalesce(Quantity, 0) AS Quantity, "
    "coalesce(UnitPrice, 0D) AS UnitPrice, coalesce(CustomerID, 0D) AS CustomerID"
)

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
            _with_some(re.escape(filled), map(re.escape, derived(date)))
            for filled, date in (
                (_FIRST_FILLED, schema.INVOICE_DATE),
                (stages.RAW_FILLED, stages.RAW_DATE),
            )
        ),
        _with_some(r"SELECT \*", (_SCALED.format(*names) for names in stages.NUMBERS.items())),
        r"SELECT \* EXCEPT \([a-z_, ]+\)(?:, element_at\(array\([\d, ]+\), prediction \+ 1\) AS prediction)? "
        r"FROM __THIS__",
    )
)
_STAGES: Final = (KMeansModel, OneHotEncoderModel, SQLTransformer, StringIndexerModel, VectorAssembler)


def open_model(registry: ModelRegistry, *, version: str) -> OpenedVersion:
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
    foreign = [text for stage in opened.model.stages if (text := _foreign(stage))]
    if foreign:
        raise RegistryError(
            f"a model must have the stages that train registers, but version {version} has {foreign[0]}: "
            "register one with train, or take the alias off this one"
        )
    return opened


def _lines_problem(columns: Mapping[str, str] | None) -> str | None:
    if columns is None:
        return "has no signature"
    for name, kind in columns.items():
        bare = kind.removesuffix(OPTIONAL)
        if name not in RAW_LINES and bare == kind:
            return f"needs a column {name}"
        if name in RAW_LINES and bare not in {ANY, RAW_LINES[name], _EARLIER.get(name)}:
            return f"takes {name} of type {bare}"
    return None if schema.QUANTITY in columns else f"takes {', '.join(columns)}"


def _foreign(stage: Transformer) -> str | None:
    """Describe a stage that this project does not build; None of one that it does."""
    if type(stage) not in _STAGES:
        return f"the stage {type(stage).__name__}"
    if isinstance(stage, SQLTransformer):
        statement = str(stage.getStatement())
        if not any(form.fullmatch(statement) for form in _STATEMENTS):
            return f"the SQL {' '.join(statement.split())[:80]!r}"
    return None
