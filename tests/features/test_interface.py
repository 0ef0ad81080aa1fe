"""What a version must take, and what it may consist of, to be opened."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
from pyspark.ml import PipelineModel, Transformer
from pyspark.ml.feature import SQLTransformer, Tokenizer
from pyspark.sql import SparkSession

from retail_clusters.errors import RegistryError
from retail_clusters.features.interface import RAW_LINES, interface, open_model
from retail_clusters.question import Feature, Question, Unit
from retail_clusters.registry.models import ANY, OPTIONAL, ModelRegistry, OpenedVersion
from tests import examples, shop

OLD_COLUMNS = {name: f"{kind}{OPTIONAL}" for name, kind in RAW_LINES.items()}


@dataclass(frozen=True)
class Holding(ModelRegistry):
    """A registry whose every version is one in memory."""

    opened: OpenedVersion | None = None

    def open_version(self, *, version: str) -> OpenedVersion:
        assert self.opened
        assert self.opened.version == version
        return self.opened


def holding(
    *stages: Transformer, inputs: Mapping[str, str] | None, metadata: Mapping[str, str] | None = None
) -> Holding:
    return Holding("retail", OpenedVersion("7", PipelineModel(list(stages)), inputs, metadata or {}))


WEEKDAY = (
    "element_at(array('Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'), "
    "weekday({}) + 1) AS day_of_week"
)
#: The first stage of a model of the first release, and of those after it.
FILL_STATEMENT = (
    "SELECT * EXCEPT (Quantity, UnitPrice, CustomerID), coalesce(Quantity, 0) AS Quantity, "
    "coalesce(UnitPrice, 0D) AS UnitPrice, coalesce(CustomerID, 0D) AS CustomerID, "
    f"{WEEKDAY.format('InvoiceDate')} FROM __THIS__"
)
LATER_STATEMENT = (
    "SELECT * EXCEPT (Quantity, UnitPrice), coalesce(try_cast(Quantity AS INT), 0) AS Quantity, "
    "coalesce(nanvl(try_cast(UnitPrice AS DOUBLE), 0D), 0D) AS UnitPrice, "
    f"{WEEKDAY.format('CAST(InvoiceDate AS TIMESTAMP)')} FROM __THIS__"
)


def test_signature_names_the_columns_that_the_question_uses_and_no_others():
    lines = interface(Question())
    assert lines.inputs == {"Quantity": ANY, "InvoiceDate": "datetime", "UnitPrice": ANY}
    assert not lines.keyed
    by_country = interface(
        Question(
            unit=Unit(by=("Country",), days=30),
            clean={"cancelled": "invoiceno LIKE 'C%'"},
            features={"lines": Feature(sql="count(*)")},
        )
    )
    assert by_country.inputs == {"InvoiceNo": "string", "InvoiceDate": "datetime", "Country": "string"}
    assert by_country.outputs == {"Country": "string", "prediction": "integer"}
    assert by_country.keyed


def test_version_with_stages_of_its_own_specification_is_opened_and_any_other_is_refused(spark: SparkSession):
    made = shop.model(spark, shop.FAIR)
    inputs = interface(made.space.question).inputs
    stages = made.pipeline(spark=spark).stages
    opened = open_model(holding(*stages, inputs=inputs, metadata=made.metadata), version="7")
    assert opened.model is not None
    assert opened.model.same_clusters_as(made)
    foreign = SQLTransformer(
        statement=f"{stages[0].getStatement()} WHERE reflect('java.lang.System', 'exit', 1) IS NULL"
    )
    with pytest.raises(RegistryError, match="version 7 has 'SELECT"):
        open_model(holding(foreign, *stages[1:], inputs=inputs, metadata=made.metadata), version="7")
    with pytest.raises(RegistryError, match="version 7 has more stages"):
        open_model(holding(*stages, stages[-1], inputs=inputs, metadata=made.metadata), version="7")
    hostile = Question(
        features=examples.lines() | {"price": Feature(sql="reflect('java.lang.System', 'exit', 1)")}
    )
    evil = replace(made, space=replace(made.space, question=hostile))
    with pytest.raises(RegistryError, match=r"version 7 has features\.price"):
        open_model(
            holding(*evil.pipeline(spark=spark).stages, inputs=inputs, metadata=evil.metadata), version="7"
        )


@pytest.mark.parametrize(
    "inputs",
    [
        dict(interface(Question()).inputs),
        OLD_COLUMNS,
        {"Quantity": "integer", "Extra": f"string{OPTIONAL}"},
        {"Quantity": ANY},
    ],
)
def test_version_that_takes_raw_lines_is_opened(spark: SparkSession, inputs: dict[str, str]):
    assert (
        open_model(holding(SQLTransformer(statement=LATER_STATEMENT), inputs=inputs), version="7").version
        == "7"
    )


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        (None, "has no signature"),
        (OLD_COLUMNS | {"Quantity": "string"}, "takes Quantity of type string"),
        (OLD_COLUMNS | {"Extra": "string"}, "needs a column Extra"),
        ({}, "takes none of its columns"),
    ],
)
def test_version_that_takes_other_lines_is_refused(inputs: dict[str, str] | None, problem: str):
    with pytest.raises(RegistryError, match=f"must take raw invoice lines, but version 7 {problem}"):
        open_model(holding(inputs=inputs), version="7")


@pytest.mark.parametrize(
    "statement",
    [
        FILL_STATEMENT,
        LATER_STATEMENT,
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
