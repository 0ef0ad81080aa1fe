"""A challenger held against the champion: both from the registry, on the same test lines."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from retail_clusters import schema
from retail_clusters.clustering import metrics
from retail_clusters.clustering.guardrails import Gate
from retail_clusters.clustering.metrics import Quality
from retail_clusters.clustering.stability import contingency
from retail_clusters.data import prepare
from retail_clusters.data.prepare import Prepared
from retail_clusters.features.interface import given_lines, open_model
from retail_clusters.features.model import ParsedModel, parse
from retail_clusters.features.rows import WeightedRows
from retail_clusters.promotion import gates
from retail_clusters.promotion.gates import Verdict
from retail_clusters.registry import numbering, tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.registry.numbering import Migration
from retail_clusters.search.context import load_parts
from retail_clusters.settings import Experiment


@dataclass(frozen=True, eq=False)
class Contender:
    """A version with its parts, the training it came from, and how it measured on the test lines.

    Attributes:
        settings: of its training run; empty when the store no longer holds it, as `metrics` is.
        test: None when it cannot score the test lines.
    """

    name: str
    run_id: str
    settings: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    metadata: Mapping[str, Any]
    parsed: ParsedModel
    test: Quality | None


@dataclass(frozen=True, eq=False)
class Measured:
    """Two contenders of a registered model, and the rows of each split that they were measured on."""

    registry: ModelRegistry
    challenger: Contender
    champion: Contender | None
    prepared: Prepared
    rows: Mapping[str, WeightedRows]

    @property
    def same_space(self) -> bool:
        """Tell whether silhouettes and centres of the two compare."""
        return self.champion is not None and self.challenger.parsed.space.same_as(self.champion.parsed.space)

    @property
    def other_data(self) -> bool:
        """Tell whether the champion was trained on other data than the challenger."""
        mine = self.challenger.tags.get("data_digest")
        return self.champion is not None and self.champion.tags.get("data_digest") != mine

    @property
    def same_clusters(self) -> bool:
        """Tell whether the challenger is the champion to the bit, whatever their numbers."""
        return self.champion is not None and self.challenger.parsed.same_clusters_as(self.champion.parsed)


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
    registry = ModelRegistry(experiment.model)
    tags = registry.read_version(version=challenger).tags
    table = find_prepared(spark, tags)
    takes = registry.input_columns(version=champion) if champion else None
    papers = [
        gates.digest_gate(tags.get("data_digest"), known=table is not None),
        gates.signature_gate(registry.input_columns(version=challenger), champion=given_lines(takes)),
    ]
    if table is None or not all(gate.passed for gate in papers):
        return Evaluated(challenger, champion, Verdict(tuple(papers)), measured=None)
    rows = load_parts(table)
    measured = Measured(
        registry=registry,
        challenger=_contender(spark, registry, challenger, rows[schema.TEST]),
        champion=_contender(spark, registry, champion, rows[schema.TEST]) if champion else None,
        prepared=table,
        rows=rows,
    )
    judged = _judge(spark, measured, experiment=experiment)
    return Evaluated(challenger, champion, Verdict((*papers, *judged)), measured=measured)


def find_prepared(spark: SparkSession, tags: Mapping[str, str]) -> Prepared | None:
    """Find the prepared table that a version with these tags was trained on; None when none is at hand.

    Data of the same digest, cut into as many train, validation and test lines, was cut at the same times.
    """
    digest, lines = tags.get("data_digest"), tags.get("prepared_lines")
    if not digest or not lines:
        return None
    return prepare.find_by_content(spark, digest, json.loads(lines))


def migration(spark: SparkSession, measured: Measured) -> Migration | None:
    """Count the test lines that go from each cluster of the champion's to each of the challenger's.

    Cluster i of the challenger stands under i, whatever number its model gives. None without a champion,
    or with one that cannot score the lines.
    """
    champion, challenger = measured.champion, measured.challenger.parsed
    if champion is None or champion.test is None:
        return None
    rows = measured.rows[schema.TEST]
    before, after = (each.labels(rows, spark=spark) for each in (champion.parsed, challenger))
    lines = contingency(before, after, rows.weights)
    counts = [
        (champion.parsed.numbers[old], new, int(lines[old, new]))
        for old, new in zip(*(axis.tolist() for axis in lines.nonzero()), strict=True)
    ]
    return numbering.migration(counts, old=champion.parsed.numbers, new=range(len(challenger.centres)))


def _contender(spark: SparkSession, registry: ModelRegistry, name: str, test: WeightedRows) -> Contender:
    opened = open_model(registry, version=name)
    parts = parse(opened.model, version=name)
    scores = not parts.refused_days(test)
    measured = metrics.measure(parts.rows(test, spark=spark), parts.centres) if scores else None
    version = registry.read_version(version=name)
    settings, logged = _training(str(version.run_id))
    return Contender(
        name=name,
        run_id=str(version.run_id),
        settings=settings,
        metrics=logged,
        tags=version.tags,
        metadata=opened.metadata,
        parsed=parts,
        test=measured,
    )


def _training(run_id: str) -> tuple[Mapping[str, str], Mapping[str, float]]:
    """Return settings and metrics of a training run; nothing when the store no longer holds it."""
    if not tracking.is_active(run_id):
        return {}, {}
    run = tracking.read_run(run_id)
    return tracking.settings_of(run), tracking.metrics_of(run)


def _judge(spark: SparkSession, measured: Measured, *, experiment: Experiment) -> list[Gate]:
    parts, test, rows = measured.challenger.parsed, measured.challenger.test, measured.rows
    weekdays = gates.weekday_gate(
        sorted({day for split in schema.SPLITS for day in parts.refused_days(rows[split])})
    )
    if test is None or not weekdays.passed:
        return [weekdays]
    validation = metrics.measure(parts.rows(rows[schema.VALIDATION], spark=spark), parts.centres)
    found = [
        weekdays,
        *gates.absolute_gates(test, settings=experiment.promotion),
        *gates.usable_gates(validation, settings=experiment.guardrails),
        *gates.stability_gate(
            measured.challenger.metrics.get("stable_line_share"), settings=experiment.promotion
        ),
    ]
    if measured.champion:
        found += gates.comparing_gates(
            test,
            champion=measured.champion.test,
            same_space=measured.same_space,
            settings=experiment.promotion,
        )
    return found
