"""A query that is built and optimized once, and then run over many frames.

Building a query costs a call into the JVM for each column, and an analysis for each step: for a small batch
that is more than running it. Operators are immutable and know columns by number, so those of one query hold
over any frame whose columns carry the numbers of its leaf. Private classes of Spark stand here alone.
"""

from collections.abc import Callable
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType


class Template:
    """A query over frames of one schema, in which each operator has one input."""

    def __init__(self, leaf: DataFrame, query: Callable[[DataFrame], DataFrame]) -> None:
        """Build the query over a frame without rows: one of `empty`, or another template's `result`."""
        self._spark = leaf.sparkSession
        self._query = query(leaf)
        self._spark_classes = _SparkClasses(self._spark)
        plan = self._query._jdf.queryExecution().optimizedPlan()
        self._result = plan.output()
        self._operators: list[Any] = []
        while plan.children().size() == 1:
            self._operators.insert(0, plan)
            plan = plan.children().head()
        if plan.children().size():
            raise ValueError(f"each operator of a template must have one input, but got {plan.nodeName()}")
        self._leaf_plan = plan
        self._columns = plan.outputSet()
        self._leaf = [(column.name(), column.exprId()) for column in _elements(plan.output())]

    @property
    def result(self) -> DataFrame:
        """Return a frame without rows that has the columns of the query's result, numbers included."""
        spark = self._spark_classes
        return spark.frame(spark.with_columns(self._leaf_plan, self._result))

    def over(self, frame: DataFrame) -> DataFrame:
        """Return the query over a frame that has the template's columns, in their order."""
        plan = frame._jdf.queryExecution().analyzed()
        if not plan.outputSet().equals(self._columns):
            plan = self._renumbered(plan)
        for operator in self._operators:
            plan = operator.withNewChildren(self._spark_classes.sequence(plan))
        plan.setAnalyzed()
        return self._spark_classes.frame(plan)

    def _renumbered(self, plan: Any) -> Any:
        """Give a plan's columns the numbers of the leaf's."""
        spark = self._spark_classes
        aliases = [
            spark.alias(found, name, number)
            for found, (name, number) in zip(_elements(plan.output()), self._leaf, strict=True)
        ]
        return spark.project(spark.sequence(*aliases), plan)


def empty(spark: SparkSession, schema: StructType) -> DataFrame:
    """Return a frame of a schema without rows."""
    return spark.createDataFrame(spark.sparkContext.emptyRDD(), schema)


class _SparkClasses:
    """What is called of Spark's private classes, looked up once: to find a class takes a call a package."""

    def __init__(self, spark: SparkSession) -> None:
        jvm: Any = spark._jvm
        catalyst = jvm.org.apache.spark.sql.catalyst
        self._spark = spark
        self._alias = catalyst.expressions.Alias
        self._none = jvm.scala.Option.empty()
        self._nil = getattr(getattr(jvm.scala.collection.immutable, "Nil$"), "MODULE$")
        self._of_rows = jvm.org.apache.spark.sql.classic.Dataset.ofRows
        self.project = catalyst.plans.logical.Project

    def sequence(self, *elements: Any) -> Any:
        """Return a Scala list."""
        found = self._nil
        for element in reversed(elements):
            found = getattr(found, "$colon$colon")(element)
        return found

    def alias(self, column: Any, name: str, number: Any) -> Any:
        """Return a column under a name and a number."""
        return self._alias(column, name, number, self._nil, self._none, self._nil)

    def with_columns(self, leaf: Any, columns: Any) -> Any:
        """Return a leaf without rows that has these very columns."""
        parts = (leaf.rdd(), leaf.outputPartitioning(), self._nil, False, self._none)
        return leaf.copy(columns, *parts, self._spark._jsparkSession, self._none, self._none, False)

    def frame(self, plan: Any) -> DataFrame:
        """Return the frame of a plan."""
        return DataFrame(self._of_rows(self._spark._jsparkSession, plan), self._spark)


def _elements(sequence: Any) -> list[Any]:
    return [sequence.apply(at) for at in range(sequence.size())]
