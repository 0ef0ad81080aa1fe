"""The user's own query over the table `customer_purchases`."""

import logging
from typing import Final

import pandas as pd
from pyspark.errors import AnalysisException, ParseException
from pyspark.logger import PySparkLogger
from pyspark.sql import DataFrame, SparkSession

from retail_clusters import schema
from retail_clusters.errors import InputError
from retail_clusters.purchases.spend import spend

TABLE: Final = "customer_purchases"


def register(result: DataFrame) -> None:
    """Name a result `customer_purchases` in its session."""
    result.createOrReplaceTempView(TABLE)


def check_sql(spark: SparkSession, sql: str) -> None:
    """Refuse what is not one query over the table, before there is anything in it.

    Raises:
        InputError: says what Spark finds wrong with it.
    """
    register(spend(spark.createDataFrame([], schema.INVOICE_LINE)))
    log = PySparkLogger.getLogger("SQLQueryContextLogger")  # would show the stack trace of a wrong query
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        # As a query within a query it cannot be a command, which Spark would carry out at once.
        ask(spark, f"SELECT * FROM (\n{sql.strip().rstrip(';')}\n)")
    except (ParseException, AnalysisException) as wrong:
        said = " ".join(str(wrong).split("\n\n")[0].split("; line")[0].split("(line")[0].split())
        raise InputError(
            f"sql must be one query over {TABLE} (columns CustomerID, window, total_cost, lines, "
            f"cancellations), but Spark says: {said[:400]}"
        ) from wrong
    finally:
        log.setLevel(level)
        spark.catalog.dropTempView(TABLE)


def ask(spark: SparkSession, sql: str) -> DataFrame:
    """Return the answer to a query."""
    return spark.sql(sql.strip().rstrip(";"))


def answer(spark: SparkSession, sql: str, *, top: int) -> pd.DataFrame:
    """Return the first rows of the answer."""
    return ask(spark, sql).limit(top).toPandas()


def for_display(found: pd.DataFrame) -> str:
    """Return rows of an answer as a table of text."""
    return found.to_string(index=False) if len(found) else "(no rows)"
