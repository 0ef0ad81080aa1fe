"""Small data for the tests of training: literal rows, files of a shop, contexts and trials."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.ml import PipelineModel
from pyspark.ml.feature import OneHotEncoder, SQLTransformer, StringIndexerModel, VectorAssembler
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StringType, StructField, StructType

from retail_clusters import schema
from retail_clusters.clustering.blocks import Floats
from retail_clusters.clustering.evaluation import Evaluation
from retail_clusters.clustering.metrics import Quality
from retail_clusters.data import csv_files, invoices, reduce
from retail_clusters.data.prepare import Prepared, PreparedTable
from retail_clusters.features.model import kmeans_model
from retail_clusters.features.rows import WeightedRows
from retail_clusters.features.rows import weighted_rows as sorted_rows
from retail_clusters.features.stages import NUMBERS
from retail_clusters.search.context import TrainingContext, training_context
from retail_clusters.search.study import Trial
from retail_clusters.settings import Experiment, Split

#: Price, quantity, weekday, lines, and how many of these cancel.
Row = tuple[float, int, str, int, int]

_SAID = (schema.UNIT_PRICE, schema.QUANTITY, schema.DAY_OF_WEEK, schema.WEIGHT, schema.CANCELLATIONS)
_GROUPS = ((2.0, 2), (2.0, 60), (70.0, 2), (70.0, 60))
_DAYS = ("2011-06-06", "2011-06-07", "2011-06-09", "2011-08-01", "2011-08-03", "2011-11-07", "2011-11-10")

# The first version's first and last stage, letter by letter.
_FIRST_FILL = (
    "SELECT * EXCEPT (Quantity, UnitPrice, CustomerID), coalesce(Quantity, 0) AS Quantity, "
    "coalesce(UnitPrice, 0D) AS UnitPrice, coalesce(CustomerID, 0D) AS CustomerID, "
    "element_at(array('Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'), "
    "weekday(InvoiceDate) + 1) AS day_of_week FROM __THIS__"
)
_FIRST_TIDY = "SELECT * EXCEPT (day_of_week, day_of_week_index, day_of_week_encoded, features) FROM __THIS__"


def weighted(*rows: Row) -> WeightedRows:
    """Make weighted rows of literal ones."""
    made = [dict(zip(schema.WEIGHTED_ROW.names, whole(row), strict=True)) for row in rows]
    return sorted_rows(pa.Table.from_pylist(made, schema=to_arrow_schema(schema.WEIGHTED_ROW)))


def whole(row: Row) -> tuple[object, ...]:
    """Return a row in the columns of `schema.WEIGHTED_ROW`; of what it does not say, all lines have a 0."""
    said = dict(zip(_SAID, row, strict=True))
    return tuple(said.get(name, 0) for name in schema.WEIGHTED_ROW.names)


def sort_rows(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Sort vectors by value, first column first, and merge equal ones, so that their weights add up."""
    distinct, positions = np.unique(values, axis=0, return_inverse=True)
    merged: Floats = np.bincount(positions.reshape(-1), weights, len(distinct)).astype(np.float64)
    return distinct, merged


def centres(points: Sequence[Sequence[float]], slots: Sequence[float]) -> Floats:
    """Make centres of (price, quantity), with 0 for any other number and the same slots of the weekday."""
    others = [0.0] * (len(NUMBERS) - 2)
    return np.array([[*point, *others, *slots] for point in points], dtype=float)


def context(
    spark: SparkSession,
    *,
    train: Sequence[Row],
    validation: Sequence[Row],
    test: Sequence[Row],
    experiment: Experiment,
) -> TrainingContext:
    """Make a training context of literal rows, each distinct within its part."""
    parts = dict(zip(schema.SPLITS, (train, validation, test), strict=True))
    columns = StructType([StructField(schema.SPLIT, StringType()), *schema.WEIGHTED_ROW, schema.DAYS_FIELD])
    reduced = spark.createDataFrame(
        [(name, *whole(row), [(at, row[3])]) for name, rows in parts.items() for at, row in enumerate(rows)],
        columns,
    )
    lines = {name: sum(row[3] for row in rows) for name, rows in parts.items()}
    table = _table(
        "some/folder", digest="d" * 32, lines=lines, rows={name: len(parts[name]) for name in parts}
    )
    return training_context(Prepared(table=table, reduced=reduced), experiment=experiment)


def context_of_files(spark: SparkSession, folder: Path, *, experiment: Experiment) -> TrainingContext:
    """Prepare files in memory, without a cache or a run."""
    parsed, _ = invoices.read(spark, csv_files.check_data(str(folder))[1])
    reduced = reduce.reduce_lines(parsed, split=Split()).cache()
    contents = reduce.summarize(reduced)
    table = _table(str(folder), digest=contents.digest, lines=contents.lines, rows=contents.rows)
    context = training_context(Prepared(table=table, reduced=reduced), experiment=experiment)
    reduced.unpersist()
    return context


def _table(data: str, *, digest: str, lines: Mapping[str, int], rows: Mapping[str, int]) -> PreparedTable:
    return PreparedTable(
        folder="none", run_id="unknown", data=data, data_digest=digest, lines=lines, rows=rows, quarantined=0
    )


def write_files(folder: Path, *, lines: int = 60) -> Path:
    """Write a file a day, some in each split, of four groups of lines; some rows occur twice."""
    folder.mkdir()
    for day in _DAYS:
        chance = np.random.default_rng(int(day.replace("-", "")))
        text = [",".join(schema.COLUMNS)]
        for number in range(lines):
            price, quantity = _GROUPS[number % 4]
            unit_price = price * (1 + round(chance.integers(0, 20) / 100, 2))
            customer = "" if number % 5 else "17850.0"
            text.append(
                f"{536000 + number},A{number},CUP,{quantity + chance.integers(0, 4)},"
                f"{day} 10:{number % 60:02}:00,{unit_price:.2f},{customer},United Kingdom"
            )
        (folder / f"{day}.csv").write_text("\n".join(text) + "\n", encoding="utf-8")
    return folder


def first_version(spark: SparkSession, centres: np.ndarray, *, days: Sequence[str]) -> PipelineModel:
    """Make an unscaled model of centres (k x d) in the form in which the first version registered it."""
    indexer = StringIndexerModel.from_labels(
        list(days), inputCol="day_of_week", outputCol="day_of_week_index", handleInvalid="keep"
    )
    encoder = OneHotEncoder(inputCol="day_of_week_index", outputCol="day_of_week_encoded")
    known = spark.createDataFrame([(day,) for day in days], "day_of_week string")
    numbers = ["UnitPrice", "Quantity", "day_of_week_encoded"]
    return PipelineModel(
        [
            SQLTransformer(statement=_FIRST_FILL),
            indexer,
            encoder.fit(indexer.transform(known)),
            VectorAssembler(inputCols=numbers, outputCol="features"),
            kmeans_model(centres, spark=spark),
            SQLTransformer(statement=_FIRST_TIDY),
        ]
    )


def quality(*, sizes: Sequence[int], **metrics: Any) -> Quality:
    """Make a measurement of clusters of these sizes; what a test does not look at has some value."""
    silent = {field.name: 0.0 for field in fields(Quality)} | {"cluster_silhouettes": (0.0,) * len(sizes)}
    return Quality(**{**silent, "sizes": tuple(sizes), **metrics})


def trial(
    number: int,
    k: int,
    seed: int,
    *,
    silhouette: float = 0.5,
    macro: float = 0.5,
    largest_share: float = 0.5,
    centres: Floats | None = None,
) -> Trial:
    """Make a trial with these figures; usable while its largest cluster has at most 80 % of 1,000 lines."""
    largest = round(1000 * largest_share)
    validation = quality(
        silhouette=silhouette,
        macro_silhouette=macro,
        cluster_silhouettes=(silhouette, macro),
        davies_bouldin=0.7,
        calinski_harabasz=1e5 / 3,
        cost=12.5,
        sizes=(largest, 1000 - largest),
    )
    found = Evaluation(
        k=k,
        seed=seed,
        iterations=3,
        train_cost=1000.0 / k,
        validation=validation,
        centres=np.array([[float(k), float(seed)]]) if centres is None else centres,
    )
    violations = {"largest_cluster_share": largest / 1000 - 0.8, "clusters": 0.0}
    return Trial(number=number, evaluation=found, violations=violations)


def bits(trials: Sequence[Trial]) -> list[tuple[object, ...]]:
    """Return everything that trials hold, in a form that compares."""
    return [
        (
            each.number,
            dict(each.violations),
            each.evaluation.validation,
            dict(each.evaluation.metrics),
            (each.k, each.seed),
            each.evaluation.centres.tobytes(),
        )
        for each in trials
    ]
