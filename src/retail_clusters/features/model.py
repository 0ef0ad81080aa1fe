"""The registered model: from raw invoice lines to the number of a cluster."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final
from uuid import uuid4

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from pyspark.ml import PipelineModel
from pyspark.ml.clustering import KMeansModel
from pyspark.ml.feature import SQLTransformer, VectorAssembler
from pyspark.sql import SparkSession

from retail_clusters import schema
from retail_clusters.clustering import kmeans
from retail_clusters.clustering.blocks import Block, Floats, InMemory, Labels, in_memory
from retail_clusters.features import pipeline, sql
from retail_clusters.features.pipeline import FeatureSpace
from retail_clusters.features.rows import WeightedRows
from retail_clusters.registry import numbering
from retail_clusters.registry.numbering import Migration

#: Under which names a registered version's metadata holds what it is made of.
SPACE: Final = "feature_space"
NUMBERS: Final = "cluster_numbers"
#: Where an empty cluster counts as being: farther than any other, and no infinity.
_FAR: Final = 1e100


@dataclass(frozen=True, eq=False)
class ScoringModel:
    """A feature space, the centres in it as they were trained (K x d), and the number of each cluster."""

    space: FeatureSpace
    centres: Floats
    numbers: tuple[int, ...]

    @classmethod
    def of(cls, space: FeatureSpace, centres: Floats) -> "ScoringModel":
        """Number clusters as they were trained, from 0."""
        return cls(space, centres, tuple(range(len(centres))))

    def rows(self, rows: WeightedRows, *, spark: SparkSession) -> InMemory[Block]:
        """Lay out weighted rows as this model sees them."""
        return in_memory(pipeline.vectors([rows], space=self.space, spark=spark)[0], rows.weights)

    def labels(self, rows: WeightedRows, *, spark: SparkSession) -> Labels:
        """Return the index of the nearest centre for each row; `numbers` has its number."""
        return kmeans.labels(self.rows(rows, spark=spark), self.centres)

    def refused(self, rows: WeightedRows) -> list[str]:
        """Name the values of categories that this model refuses, of weighted rows."""
        return [
            f"{name} = {value}"
            for name, known in self.space.refused.items()
            for value in sorted(set(pc.unique(rows.table[name]).to_pylist()) - set(known))
        ]

    def centres_in(self, space: FeatureSpace) -> Floats:
        """Return the centres with their columns in the order of another, same space."""
        return self.centres[:, self.space.order_in(space)]

    def centres_seen_by(
        self, other: "ScoringModel", rows: WeightedRows, labels: Labels, *, spark: SparkSession
    ) -> Floats:
        """Return the centres in the space of another model of the same question.

        Where its constants differ these are the means of the rows with n labels; of an empty cluster, infinitely
        far.
        """
        if self.space.same_as(other.space):
            return self.centres_in(other.space)
        values = pipeline.vectors([rows], space=other.space, spark=spark)[0]
        weights = np.bincount(labels, rows.weights, len(self.centres))
        sums = [np.bincount(labels, rows.weights * column, len(self.centres)) for column in values.T]
        return np.where(weights, np.stack(sums) / np.maximum(weights, 1), _FAR).T

    def same_clusters_as(self, other: "ScoringModel") -> bool:
        """Tell whether two models have the same clusters to the bit, whatever their numbers."""
        if not self.space.same_as(other.space):
            return False
        mine, others = (sorted(each.centres_in(self.space).tolist()) for each in (self, other))
        return mine == others

    def match(
        self, champion: "ScoringModel", moved: Migration, *, centres: Floats, used: Sequence[int]
    ) -> pd.DataFrame:
        """Give each cluster the number of the cluster that it matches of a champion.

        `centres` are this model's in the champion's space. The others get numbers above those of `used`. The
        table is that of `numbering.match`.
        """
        return numbering.match(
            centres,
            champion.centres,
            numbers=champion.numbers,
            moved=moved,
            unused_from=1 + max([*used, *champion.numbers]),
        )

    def numbered(self, numbers: Sequence[int]) -> "ScoringModel":
        """Give the clusters other numbers."""
        return replace(self, numbers=tuple(numbers))

    def pipeline(self, *, spark: SparkSession, as_of: date | None = None) -> PipelineModel:
        """Return the model of raw lines: it adds `prediction` to lines, or gives the keys of units with it.

        A record that is left out has no prediction. `as_of` ends a unit's window, by default with the day of
        the last line.
        """
        first, *_, last = self._statements(as_of)
        return PipelineModel(
            [
                SQLTransformer(statement=first),
                *self.space.stages.stages,
                kmeans_model(self.centres, spark=spark),
                SQLTransformer(statement=last),
            ]
        )

    @property
    def statements(self) -> list[str]:
        """Return what the stages of the pipeline must be: the SQL of each, or its kind."""
        return self._statements(None)

    def _statements(self, as_of: date | None) -> list[str]:
        numbers = f"element_at(array({', '.join(map(str, self.numbers))}), {schema.PREDICTION} + 1)"
        counts = [f"{sql.LEFT_OUT} IS NULL"]
        counts += [f"{name} IN ({sql.listed(known)})" for name, known in self.space.refused.items()]
        tidy = f"CASE WHEN {' AND '.join(counts)} THEN {numbers} END AS {schema.PREDICTION}"
        return [
            sql.records(self.space.question, as_of=as_of),
            self.space.statement,
            VectorAssembler.__name__,
            KMeansModel.__name__,
            f"SELECT {sql.LINE}.*, {tidy} FROM __THIS__",
        ]

    @property
    def metadata(self) -> dict[str, str]:
        """Return what a version's metadata must hold for `read`."""
        return {SPACE: self.space.to_json(), NUMBERS: numbering.to_text(self.numbers)}


def kmeans_model(centres: Floats, *, spark: SparkSession) -> KMeansModel:
    """Make the Spark ML model whose cluster i has centre `centres[i]` (K x d).

    pyspark.ml has no constructor from centres; the model's class on the JVM has. Numbers travel as text that
    reads back to the same bits.
    """
    jvm: Any = spark.sparkContext._jvm
    vectors = [jvm.org.apache.spark.mllib.linalg.Vectors.parse(str(centre)) for centre in centres.tolist()]
    trained = jvm.org.apache.spark.mllib.clustering.KMeansModel(vectors)
    java = jvm.org.apache.spark.ml.clustering.KMeansModel(f"kmeans_{uuid4().hex[:12]}", trained)
    java = java.setFeaturesCol(schema.FEATURES).setPredictionCol(schema.PREDICTION)
    model: KMeansModel = KMeansModel(java)._set(k=len(centres))
    return model.setFeaturesCol(schema.FEATURES).setPredictionCol(schema.PREDICTION)


def centres_digest(centres: Floats) -> str:
    """Hash the centres' shape and bits, in order: 32 hex digits."""
    content = repr(centres.shape).encode() + np.ascontiguousarray(centres, dtype=">f8").tobytes()
    return hashlib.sha256(content).hexdigest()[:32]


def labels_digest(labels: Labels) -> str:
    """Hash the cluster of each row, in canonical order: 32 hex digits."""
    return hashlib.sha256(np.ascontiguousarray(labels, dtype=">i8").tobytes()).hexdigest()[:32]


def centres_table(model: ScoringModel) -> pd.DataFrame:
    """Return the centres as a table, a row a cluster; written as CSV, the digits give the bits back."""
    return pd.DataFrame(model.centres, columns=model.space.names).rename_axis("cluster").reset_index()
