"""Small data for the tests of training: literal rows, files of a shop, contexts and trials."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.ml import PipelineModel
from pyspark.ml.feature import OneHotEncoder, SQLTransformer, StringIndexerModel, VectorAssembler
from pyspark.sql import SparkSession

from retail_clusters import schema
from retail_clusters.clustering.blocks import Floats
from retail_clusters.clustering.evaluation import Evaluation
from retail_clusters.clustering.metrics import Quality
from retail_clusters.data import prepare
from retail_clusters.data.prepare import Prepared, PreparedTable
from retail_clusters.features.model import kmeans_model
from retail_clusters.features.rows import CELL, RECORDS, WeightedRows
from retail_clusters.features.rows import weighted_rows as sorted_rows
from retail_clusters.question import Feature
from retail_clusters.search.context import TrainingContext, training_context
from retail_clusters.search.study import Trial
from retail_clusters.settings import Experiment

#: Price, quantity, weekday, lines.
Row = tuple[float, int, str, int]

#: A Monday in each part of the split.
_MONDAYS = {"train": date(2011, 6, 6), "validation": date(2011, 8, 1), "test": date(2011, 11, 7)}
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
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


def lines(*, scale: str = "none", unseen: str = "keep") -> dict[str, Feature]:
    """Declare the features of lines: price, quantity and weekday, with numbers scaled alike."""
    return {
        "price": Feature(sql="UnitPrice", scale=(scale,), fill=0.0),
        "quantity": Feature(sql="Quantity", scale=(scale,), fill=0.0),
        "weekday": Feature(sql="date_format(InvoiceDate, 'EEEE')", encode="onehot", unseen=unseen),
    }


#: Lines by price, quantity and weekday as they are.
UNSCALED = Experiment(features=lines())


def weighted(*rows: Row) -> WeightedRows:
    """Make weighted rows of literal ones, each a cell of its own, of the first day that is such a weekday."""
    names = ("price", "quantity", "weekday", RECORDS)
    made = [dict(zip(names, (float(row[0]), float(row[1]), *row[2:]), strict=True)) for row in rows]
    cells = [row | {CELL: WEEKDAYS.index(str(row["weekday"]))} for row in made]
    return sorted_rows(pa.Table.from_pylist(cells), names[:3])


def sort_rows(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Sort vectors by value, first column first, and merge equal ones, so that their weights add up."""
    distinct, positions = np.unique(values, axis=0, return_inverse=True)
    merged: Floats = np.bincount(positions.reshape(-1), weights, len(distinct)).astype(np.float64)
    return distinct, merged


def centres(points: Sequence[Sequence[float]], slots: Sequence[float]) -> Floats:
    """Make centres of (price, quantity), with the same columns of the weekday."""
    return np.array([[*point, *slots] for point in points], dtype=float)


def context(
    spark: SparkSession,
    *,
    train: Sequence[Row],
    validation: Sequence[Row],
    test: Sequence[Row],
    experiment: Experiment,
) -> TrainingContext:
    """Make a training context of literal rows, each so many lines of its part."""
    made = [
        (
            "1",
            "A",
            "CUP",
            row[1],
            _MONDAYS[part] + timedelta(WEEKDAYS.index(row[2])),
            float(row[0]),
            None,
            "UK",
        )
        for part, rows in zip(_MONDAYS, (train, validation, test), strict=True)
        for row in rows
        for _ in range(row[3])
    ]
    dated = [(*line[:4], datetime.combine(line[4], time(10)), *line[5:]) for line in made]
    frame = spark.createDataFrame(dated, schema.INVOICE_LINE)
    days = Counter(line[4].isoformat() for line in made)
    return training_context(Prepared(_table("some/folder", "d" * 32, days), frame), experiment=experiment)


def context_of_files(spark: SparkSession, folder: Path, *, experiment: Experiment) -> TrainingContext:
    """Prepare files and make their training context, without a run."""
    made = prepare.make(spark, prepare.source(str(folder), experiment.input), run_id="unknown")
    return training_context(made, experiment=experiment)


def _table(data: str, digest: str, days: Mapping[str, int]) -> PreparedTable:
    return PreparedTable(
        folder="none", run_id="unknown", data=data, data_digest=digest, days=days,
        quarantined=0,
    )  # fmt: skip


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
