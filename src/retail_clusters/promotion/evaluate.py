"""A challenger held against the champion: both from the registry, on the same test lines."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.data import prepared
from retail_clusters.data.prepare import Prepared
from retail_clusters.infra import registry
from retail_clusters.promotion import gates, matching
from retail_clusters.promotion.gates import Verdict
from retail_clusters.promotion.matching import Migration
from retail_clusters.settings import Experiment
from retail_clusters.training import model as anatomy
from retail_clusters.training import quality
from retail_clusters.training.guardrails import Gate
from retail_clusters.training.model import Anatomy
from retail_clusters.training.quality import Quality


@dataclass(frozen=True, eq=False)
class Contender:
    """A version with its parts, and how it measured on the test lines; None when it cannot score them."""

    name: str
    tags: Mapping[str, str]
    metadata: Mapping[str, Any]
    anatomy: Anatomy
    test: Quality | None


@dataclass(frozen=True, eq=False)
class Measured:
    """Two contenders, and the prepared table that they were measured on."""

    challenger: Contender
    champion: Contender | None
    prepared: Prepared

    @property
    def same_space(self) -> bool:
        """Tell whether silhouettes and centres of the two compare."""
        return self.champion is not None and self.challenger.anatomy.space.same_as(
            self.champion.anatomy.space
        )

    @property
    def same_clusters(self) -> bool:
        """Tell whether the challenger is the champion to the bit, whatever their numbers."""
        return self.champion is not None and self.challenger.anatomy.same_clusters_as(self.champion.anatomy)


@dataclass(frozen=True, eq=False)
class Evaluated:
    """Who stood against whom, and the verdict; nothing is measured when the papers fail already."""

    challenger: str
    champion: str | None
    verdict: Verdict
    measured: Measured | None


def evaluate(
    spark: SparkSession, *, challenger: str, champion: str | None, experiment: Experiment
) -> Evaluated:
    """Judge the papers of a challenger, then both models on the test lines of its prepared table.

    Raises:
        RegistryError: there is no such version, or one of the two is no model of this project.
    """
    tags = registry.read_version(challenger).tags
    table = find_prepared(spark, tags)
    reference = registry.input_columns(champion) if champion else None
    papers = [
        gates.digest_gate(tags.get("data_digest"), known=table is not None),
        gates.signature_gate(
            registry.input_columns(challenger), champion=reference or registry.INPUT_COLUMNS
        ),
    ]
    if table is None or not all(gate.passed for gate in papers):
        return Evaluated(challenger, champion, Verdict(tuple(papers)), measured=None)
    test = table.rows(schema.TEST).cache()
    measured = Measured(
        challenger=_contender(challenger, test),
        champion=_contender(champion, test) if champion else None,
        prepared=table,
    )
    test.unpersist()
    judged = _judge(measured, experiment=experiment)
    return Evaluated(challenger, champion, Verdict((*papers, *judged)), measured=measured)


def find_prepared(spark: SparkSession, tags: Mapping[str, str]) -> Prepared | None:
    """Find the prepared table that a version with these tags was trained on; None when none is at hand.

    Data of the same digest, cut into as many train, validation and test lines, was cut at the same times.
    """
    digest, lines = tags.get("data_digest"), tags.get("prepared_lines")
    if not digest or not lines:
        return None
    table = prepared.find_by_content(digest, json.loads(lines))
    return Prepared(table=table, reduced=prepared.read_rows(spark, table)) if table else None


def migration(measured: Measured) -> Migration | None:
    """Count the test lines that go from each cluster of the champion's to each of the challenger's.

    Cluster i of the challenger stands under i, whatever number its model gives. None without a champion,
    or with one that cannot score the lines.
    """
    champion, challenger = measured.champion, measured.challenger.anatomy
    if champion is None or champion.test is None:
        return None
    rows = measured.prepared.rows(schema.TEST)
    old = champion.anatomy.assign(rows).select(*rows.columns, F.col(schema.PREDICTION).alias("old"))
    both = challenger.clustering.assign(challenger.rows(old))
    counts = both.groupBy("old", schema.PREDICTION).agg(F.sum(schema.WEIGHT)).collect()
    return matching.migration(
        [(row[0], row[1], row[2]) for row in counts],
        old=champion.anatomy.numbers,
        new=range(challenger.clustering.k),
    )


def _contender(name: str, test: DataFrame) -> Contender:
    opened = registry.open_version(name)
    parts = anatomy.parse(opened.model, version=name)
    scores = not parts.refused_days(test)
    measured = quality.measure(parts.rows(test), clustering=parts.clustering) if scores else None
    tags = registry.read_version(name).tags
    return Contender(name=name, tags=tags, metadata=opened.metadata, anatomy=parts, test=measured)


def _judge(measured: Measured, *, experiment: Experiment) -> list[Gate]:
    parts, test, rows = measured.challenger.anatomy, measured.challenger.test, measured.prepared
    weekdays = gates.weekday_gate(parts.refused_days(rows.rows(*schema.SPLITS)))
    if test is None or not weekdays.passed:
        return [weekdays]
    validation = quality.measure(parts.rows(rows.rows(schema.VALIDATION)), clustering=parts.clustering)
    found = [
        weekdays,
        *gates.absolute_gates(test, settings=experiment.promotion),
        *gates.usable_gates(validation, settings=experiment.guardrails),
    ]
    if measured.champion:
        found += gates.comparing_gates(
            test,
            champion=measured.champion.test,
            same_space=measured.same_space,
            settings=experiment.promotion,
        )
    return found
