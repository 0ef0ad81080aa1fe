"""The model card of a version that stood before the gates, kept on the version."""

from collections.abc import Sequence

import numpy as np
from pyspark.sql import SparkSession

from retail_clusters import schema
from retail_clusters.clustering.blocks import Labels
from retail_clusters.features.model import labels_digest
from retail_clusters.promotion.evaluate import Measured
from retail_clusters.promotion.gates import Verdict
from retail_clusters.promotion.renumber import text_of
from retail_clusters.report import profile
from retail_clusters.report.card import Card


def describe(
    spark: SparkSession, held: Measured, *, version: str, numbers: Sequence[int], verdict: Verdict
) -> Card:
    """Make the card of the challenger, or of the version with its clusters renumbered, and keep it there.

    The version's tags say how its clusters are numbered.
    """
    labels = _numbered(spark, held, numbers)
    registry, challenger = held.registry, held.challenger
    tags = registry.read_version(version=version).tags
    card = Card(
        model=registry.name,
        version=version,
        renumbered_from=tags.get("renumbered_from"),
        run_id=challenger.run_id,
        data=held.prepared.table.data,
        data_digest=held.prepared.table.data_digest,
        model_digest=tags.get("model_digest", ""),
        lines=held.prepared.table.lines,
        settings=challenger.settings,
        metrics=challenger.metrics,
        clusters=profile.profile(held.rows[schema.TRAIN], labels),
        gates=verdict.gates,
    )
    registry.tag(
        version=version, tags={"cluster_numbers": text_of(numbers), "labels_digest": labels_digest(labels)}
    )
    registry.describe(version=version, markdown=card.to_description())
    return card


def _numbered(spark: SparkSession, held: Measured, numbers: Sequence[int]) -> Labels:
    """Return the number that the version gives each training row."""
    labels = held.challenger.parsed.labels(held.rows[schema.TRAIN], spark=spark)
    return np.take(np.array(numbers), labels)
