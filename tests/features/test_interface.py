"""What a version must take, and what it may consist of, to be opened."""

from dataclasses import dataclass

import pytest
from pyspark.ml import PipelineModel, Transformer
from pyspark.ml.feature import SQLTransformer, Tokenizer
from pyspark.sql import SparkSession

from retail_clusters.data.reduce import derived
from retail_clusters.errors import RegistryError
from retail_clusters.features import stages
from retail_clusters.features.interface import INTERFACE, RAW_LINES, open_model
from retail_clusters.registry.models import ANY, OPTIONAL, ModelRegistry, OpenedVersion

OLD_COLUMNS = {name: f"{kind}{OPTIONAL}" for name, kind in RAW_LINES.items()}


@dataclass(frozen=True)
class Holding(ModelRegistry):
    """A registry whose every version is one in memory."""

    opened: OpenedVersion | None = None

    def open_version(self, *, version: str) -> OpenedVersion:
        assert self.opened
        assert self.opened.version == version
        return self.opened


def holding(*stages: Transformer, inputs: dict[str, str] | None) -> Holding:
    return Holding("retail", OpenedVersion("7", PipelineModel(list(stages)), inputs, {}))


#: The first stage of a model of the first release.
FILL_STATEMENT = (
    "SELECT * EXCEPT (Quantity, UnitPrice, CustomerID), coalesce(Quantity, 0) AS Quantity, "
    "coalesce(UnitPrice, 0D) AS UnitPrice, coalesce(CustomerID, 0D) AS CustomerID, "
    f"{', '.join(derived('InvoiceDate'))} FROM __THIS__"
)


@pytest.mark.parametrize(
    "inputs",
    [
        dict(INTERFACE.inputs),
        OLD_COLUMNS,
        {"Quantity": "integer", "Extra": f"string{OPTIONAL}"},
        {"Quantity": ANY},
    ],
)
def test_version_that_takes_raw_lines_is_opened(spark: SparkSession, inputs: dict[str, str]):
    assert open_model(holding(stages.fill_stage(), inputs=inputs), version="7").version == "7"


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        (None, "has no signature"),
        (OLD_COLUMNS | {"Quantity": "string"}, "takes Quantity of type string"),
        (OLD_COLUMNS | {"Extra": "string"}, "needs a column Extra"),
        ({"Country": "string"}, "takes Country"),
    ],
)
def test_version_that_takes_other_lines_is_refused(inputs: dict[str, str] | None, problem: str):
    with pytest.raises(RegistryError, match=f"must take raw invoice lines, but version 7 {problem}"):
        open_model(holding(inputs=inputs), version="7")


@pytest.mark.parametrize(
    "statement",
    [
        FILL_STATEMENT,
        stages.RAW_FILL_STATEMENT,
        "SELECT *, signum(UnitPrice) * log1p(abs(UnitPrice)) AS unit_price_scaled, "
        "signum(Quantity) * log1p(abs(Quantity)) AS quantity_scaled FROM __THIS__",
        "SELECT *, signum(Quantity) * log1p(abs(Quantity)) AS quantity_scaled FROM __THIS__",
        "SELECT *, (UnitPrice - (4.61e-05D)) / 96.75D AS unit_price_scaled, "
        "(Quantity - (-9.5D)) / 218.0D AS quantity_scaled FROM __THIS__",
        "SELECT * EXCEPT (day_of_week, features) FROM __THIS__",
        "SELECT * EXCEPT (day_of_week, prediction), element_at(array(3, 0), prediction + 1) AS prediction "
        "FROM __THIS__",
    ],
)
def test_sql_that_this_project_writes_or_wrote_before_a_feature_was_new_is_opened(
    spark: SparkSession, statement: str
):
    registry = holding(SQLTransformer(statement=statement), inputs=OLD_COLUMNS)

    assert open_model(registry, version="7").version == "7"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT *, reflect('java.lang.Runtime', 'getRuntime') AS day_of_week FROM __THIS__",
        "SELECT * EXCEPT (day_of_week) FROM __THIS__ WHERE reflect('java.lang.System', 'exit', 1) IS NULL",
        f"{FILL_STATEMENT} UNION SELECT * FROM secrets",
        "SELECT * FROM parquet.`/etc`",
        "SELECT *, log1p(Quantity) AS quantity_scaled FROM __THIS__",
        f"{FILL_STATEMENT.removesuffix(' FROM __THIS__')}, version() AS day_of_week FROM __THIS__",
    ],
)
def test_any_other_sql_is_refused(spark: SparkSession, statement: str):
    with pytest.raises(RegistryError, match="the stages that train registers, but version 7 has the"):
        open_model(holding(SQLTransformer(statement=statement), inputs=OLD_COLUMNS), version="7")


def test_any_other_stage_is_refused(spark: SparkSession):
    with pytest.raises(RegistryError, match="version 7 has the stage Tokenizer"):
        open_model(holding(Tokenizer(), inputs=OLD_COLUMNS), version="7")
