"""A version compared with the champion: both from the registry, on the rows that the version was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from pyspark.sql import SparkSession

from retail_clusters import schema
from retail_clusters.clustering import kmeans, metrics
from retail_clusters.clustering.blocks import Floats, Labels
from retail_clusters.clustering.metrics import Quality
from retail_clusters.errors import InputError
from retail_clusters.features.interface import ScoringVersion, open_model, parts_of
from retail_clusters.features.model import ScoringModel
from retail_clusters.features.rows import WeightedRows
from retail_clusters.promotion import gates
from retail_clusters.promotion.gates import Verdict
from retail_clusters.registry import evidence, numbering, tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.registry.numbering import Migration
from retail_clusters.report import plots
from retail_clusters.search.context import by_split
from retail_clusters.search.measure import quality_as_labelled
from retail_clusters.settings import Experiment

Rows = Mapping[str, WeightedRows]


@dataclass(frozen=True, eq=False)
class Contender:
    """A version with its parts, the training it came from, and how it measured on the test records.

    Attributes:
        trained: its training run; None when the store no longer holds it.
        model: its parts; None where it asks another question than the challenger.
        test: None when it cannot score the test records.
        labels: the cluster of each test row, as its place in `model`; empty when it cannot score them.
    """

    name: str
    tags: Mapping[str, str]
    trained: tracking.Run | None
    metadata: Mapping[str, Any]
    model: ScoringModel | None
    test: Quality | None
    labels: Labels


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two versions of a registered model, and the rows of each part that both were measured on.

    Attributes:
        parts: of the challenger.
        in_champions_space: the challenger's clusters measured in the champion's space, where both ask the same.
        centres: the challenger's in the champion's space, where both ask the same.
    """

    registry: ModelRegistry
    challenger: Contender
    parts: ScoringModel
    champion: Contender | None
    rows: Rows
    in_champions_space: Quality | None = None
    centres: Floats | None = None

    @property
    def before(self) -> str | None:
        """Return the version that is champion."""
        return self.champion.name if self.champion else None

    @property
    def same_clusters(self) -> bool:
        """Tell whether the challenger is the champion to the bit, whatever their numbers."""
        before = self.champion.model if self.champion else None
        return before is not None and self.parts.same_clusters_as(before)

    @property
    def migration(self) -> Migration | None:
        """Count the test records that go from each cluster of the champion's to each of the challenger's.

        Cluster i of the challenger stands under i, whatever number its model gives. None without a champion,
        or with one that cannot score the records.
        """
        champion = self.champion
        if champion is None or champion.model is None or champion.test is None:
            return None
        weights, old = self.rows[schema.TEST].weights, champion.model.numbers
        after, k = self.challenger.labels, len(self.parts.centres)
        return numbering.migration(champion.labels, after, weights, old=old, k=k)


def compare(
    spark: SparkSession, registry: ModelRegistry, *, challenger: str, champion: str | None
) -> Comparison:
    """Measure a version and the champion on the test records of the version.

    Raises:
        RegistryError: there is no such version, or one of the two is no model of this project.
        InputError: the store does not hold the rows of the version any more.
    """
    opened = open_model(registry, version=challenger)  # refuses another kind of model before rows are read
    parts, before = parts_of(opened), open_model(registry, version=champion) if champion else None
    rows = _read_rows(registry, challenger, parts)
    test = rows[schema.TEST]
    mine = _contender(spark, registry, opened, parts, test)
    if before is None:
        return Comparison(registry, mine, parts, None, rows)
    comparable = before.model is not None and parts.space.asks_the_same_as(before.model.space)
    other = _contender(spark, registry, before, before.model if comparable else None, test)
    if other.model is None or other.test is None or mine.test is None:
        return Comparison(registry, mine, parts, other, rows)
    centres = parts.centres_seen_by(other.model, test, mine.labels, spark=spark)
    seen = quality_as_labelled(other.model.rows(test, spark=spark), mine.labels, centres)
    return Comparison(registry, mine, parts, other, rows, seen, centres)


def judge(spark: SparkSession, comparison: Comparison, *, experiment: Experiment) -> Verdict:
    """Hold the challenger of a comparison against every gate."""
    challenger, champion, rows = comparison.challenger, comparison.champion, comparison.rows
    parts, test, settings = comparison.parts, challenger.test, experiment.promotion
    refused = sorted({value for part in schema.SPLITS for value in parts.refused(rows[part])})
    found = [gates.category_gate(refused)]
    if test is None or refused:
        return Verdict(tuple(found))
    validation = metrics.measure(parts.rows(rows[schema.VALIDATION], spark=spark), parts.centres)
    stable = challenger.trained.data.metrics.get("stable_line_share") if challenger.trained else None
    found += gates.absolute_gates(test, settings=settings)
    found += gates.usable_gates(validation, settings=experiment.guardrails)
    found += gates.stability_gate(stable, settings=settings)
    if champion:
        found += gates.comparing_gates(
            comparison.in_champions_space,
            champion=champion.test,
            same_space=champion.model is not None,
            settings=settings,
        )
    return Verdict(tuple(found))


def _read_rows(registry: ModelRegistry, version: str, parts: ScoringModel) -> Rows:
    """Read the rows that a version carries."""
    found = registry.read_version(version=version)
    run_id = str(found.run_id or "")
    cells = evidence.read_evidence(run_id) if tracking.is_active(run_id) else None
    if cells is None:
        raise InputError(
            f"a version must carry the rows that it is measured on, but the store has none of version "
            f"{version}'s run {run_id}: restore that run, or train again"
        )
    said = found.tags.get(evidence.TAG, evidence.ALL_ROWS)
    if said != evidence.ALL_ROWS:
        click.echo(f"promote: measured on {said}")
    return by_split(cells, parts.space.question)


def _contender(
    spark: SparkSession,
    registry: ModelRegistry,
    opened: ScoringVersion,
    model: ScoringModel | None,
    test: WeightedRows,
) -> Contender:
    version = registry.read_version(version=opened.version)
    rows = model.rows(test, spark=spark) if model and not model.refused(test) else None
    return Contender(
        name=opened.version,
        tags=version.tags,
        trained=tracking.find_run(str(version.run_id)),
        metadata=opened.metadata,
        model=model,
        test=metrics.measure(rows, model.centres) if model and rows else None,
        labels=kmeans.labels(rows, model.centres) if model and rows else np.empty(0, dtype=np.intp),
    )


def migration_chart(moved: Migration, *, version: str) -> Figure:
    """Draw records by old cluster (rows) and new cluster (columns), darker for more, on a log scale."""
    note = f"{moved.total:,} test records, by their cluster before and in version {version}"
    figure, (axes,) = plots.figure("Where the records go", note=note, size=(9, 8))
    norm = LogNorm(0.25, max(2, moved.lines.max()))  # one record must not look like none
    lines = np.ma.masked_equal(moved.lines, 0)
    image = axes.imshow(lines, cmap=plots.SEQUENTIAL, norm=norm, aspect="auto")
    axes.set_xlabel("cluster in the new champion")
    axes.set_ylabel("cluster in the champion before")
    axes.set_xticks(range(len(moved.new)), list(map(str, moved.new)), fontsize=8)
    axes.set_yticks(range(len(moved.old)), list(map(str, moved.old)), fontsize=8)
    figure.colorbar(image, label="test records", format=plots.THOUSANDS).ax.set_ylim(bottom=1)
    return figure
