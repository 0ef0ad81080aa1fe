"""A query that is built and optimized once, and then run over many frames.

Building a query costs a call into the JVM for each column, and an analysis for each step: for a small batch
that is more than running it. Operators are immutable and know columns by number, so those of one query hold
over any frame whose columns carry the numbers of its leaf. Private classes of Spark stand here alone.
"""

from collections.abc import Callable, Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType


class Template:
    """A query over frames of one schema, in which each operator has one input."""

    def __init__(
        self, spark: SparkSession, schema: StructType, query: Callable[[DataFrame], DataFrame]
    ) -> None:
        """Build the query over a frame of `schema` without rows."""
        self._spark = spark
        self._query = query(spark.createDataFrame(spark.sparkContext.emptyRDD(), schema))
        plan = self._query._jdf.queryExecution().optimizedPlan()
        self._operators: list[Any] = []
        while plan.children().size() == 1:
            self._operators.insert(0, plan)
            plan = plan.children().head()
        if plan.children().size():
            raise ValueError(f"each operator of a template must have one input, but got {plan.nodeName()}")
        self._leaf = _elements(plan.output())

    @property
    def schema(self) -> StructType:
        """Return the columns of the query's result."""
        return self._query.schema

    def over(self, frame: DataFrame) -> DataFrame:
        """Return the query over a frame that has the template's columns, in their order."""
        plan = self._renumbered(frame._jdf.queryExecution().analyzed())
        for operator in self._operators:
            plan = operator.withNewChildren(_sequence(self._spark, [plan]))
        plan.setAnalyzed()
        dataset = self._spark._jvm.org.apache.spark.sql.classic.Dataset  # type: ignore[union-attr]
        return DataFrame(dataset.ofRows(self._spark._jsparkSession, plan), self._spark)

    def _renumbered(self, plan: Any) -> Any:
        """Give a plan's columns the numbers of the leaf's."""
        jvm: Any = self._spark._jvm
        catalyst = jvm.org.apache.spark.sql.catalyst
        nothing, none = _sequence(self._spark, []), jvm.scala.Option.empty()
        aliases = [
            catalyst.expressions.Alias(found, wanted.name(), wanted.exprId(), nothing, none, nothing)
            for found, wanted in zip(_elements(plan.output()), self._leaf, strict=True)
        ]
        return catalyst.plans.logical.Project(_sequence(self._spark, aliases), plan)


def _elements(sequence: Any) -> list[Any]:
    return [sequence.apply(at) for at in range(sequence.size())]


def _sequence(spark: SparkSession, elements: Sequence[Any]) -> Any:
    jvm: Any = spark._jvm
    collected = jvm.java.util.ArrayList()
    for element in elements:
        collected.add(element)
    return jvm.org.apache.spark.api.python.PythonUtils.toSeq(collected)
