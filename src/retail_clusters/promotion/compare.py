"""A version compared with the champion: both from the registry, on the rows that the version was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import click
import numpy as np
import pyarrow as pa
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from pyspark.sql import SparkSession

from retail_clusters import schema
from retail_clusters.clustering import kmeans, metrics
from retail_clusters.clustering.blocks import Labels
from retail_clusters.clustering.metrics import Quality
from retail_clusters.data.reduce import same_lines
from retail_clusters.errors import InputError
from retail_clusters.features.interface import open_model
from retail_clusters.features.model import ParsedModel, parse
from retail_clusters.features.rows import WeightedRows
from retail_clusters.promotion import gates
from retail_clusters.promotion.gates import Verdict
from retail_clusters.registry import evidence, numbering, tracking
from retail_clusters.registry.models import ModelRegistry, OpenedVersion
from retail_clusters.registry.numbering import Migration
from retail_clusters.report import plots
from retail_clusters.search import publish
from retail_clusters.search.context import training_context
from retail_clusters.search.prepared import ensure_prepared
from retail_clusters.settings import Experiment

Rows = Mapping[str, WeightedRows]

#: Clusters beside one another whose lines can be written into their squares.
_ANNOTATED: Final = 32
#: Where the colours begin, so that one line does not look like none.
_PALEST: Final = 0.25


@dataclass(frozen=True, eq=False)
class Contender:
    """A version with its parts, the training it came from, and how it measured on the test lines.

    Attributes:
        settings: of its training run; empty when the store no longer holds it, as `metrics` is.
        parsed: with its clusters in the order in which they were trained.
        test: None when it cannot score the test lines.
        labels: the cluster of each test row, as its place in `parsed`; empty when it cannot score them.
    """

    name: str
    settings: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    metadata: Mapping[str, Any]
    parsed: ParsedModel
    test: Quality | None
    labels: Labels


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two versions of a registered model, and the rows of each split that both were measured on."""

    registry: ModelRegistry
    challenger: Contender
    champion: Contender | None
    rows: Rows

    @property
    def before(self) -> str | None:
        """Return the version that is champion."""
        return self.champion.name if self.champion else None

    @property
    def on_test_lines(self) -> list[tuple[str, str, Quality]]:
        """Return role, version and quality of those of the two that can score the test lines."""
        both = {"challenger": self.challenger, "champion": self.champion}
        return [(role, each.name, each.test) for role, each in both.items() if each and each.test]

    @property
    def same_space(self) -> bool:
        """Tell whether silhouettes and centres of the two compare."""
        return self.champion is not None and self.challenger.parsed.space.same_as(self.champion.parsed.space)

    @property
    def other_data(self) -> bool:
        """Tell whether the champion was trained on other data than the challenger."""
        if self.champion is None:
            return False
        mine, others = (each.tags.get("data_digest", "") for each in (self.challenger, self.champion))
        return same_lines(mine, others) is False

    @property
    def same_clusters(self) -> bool:
        """Tell whether the challenger is the champion to the bit, whatever their numbers."""
        return self.champion is not None and self.challenger.parsed.same_clusters_as(self.champion.parsed)

    @property
    def migration(self) -> Migration | None:
        """Count the test lines that go from each cluster of the champion's to each of the challenger's.

        Cluster i of the challenger stands under i, whatever number its model gives. None without a champion,
        or with one that cannot score the lines.
        """
        champion, challenger = self.champion, self.challenger
        if champion is None or champion.test is None:
            return None
        return numbering.migration(
            champion.labels,
            challenger.labels,
            self.rows[schema.TEST].weights,
            old=champion.parsed.numbers,
            k=len(challenger.parsed.centres),
        )


def compare(
    spark: SparkSession, registry: ModelRegistry, *, challenger: str, champion: str | None
) -> Comparison:
    """Measure a version and the champion on the test lines of the version.

    Raises:
        RegistryError: there is no such version, or one of the two is no model of this project.
        InputError: an earlier release registered it, and its data is not there any more.
    """
    opened = open_model(registry, version=challenger)  # refuses another kind of model before rows are read
    before = open_model(registry, version=champion) if champion else None
    rows = _read_rows(spark, registry, challenger)
    test = rows[schema.TEST]
    return Comparison(
        registry,
        _contender(spark, registry, opened, test),
        _contender(spark, registry, before, test) if before else None,
        rows,
    )


def judge(spark: SparkSession, comparison: Comparison, *, experiment: Experiment) -> Verdict:
    """Hold the challenger of a comparison against every gate."""
    challenger, champion, rows = comparison.challenger, comparison.champion, comparison.rows
    parts, test, settings = challenger.parsed, challenger.test, experiment.promotion
    refused = sorted({day for split in schema.SPLITS for day in parts.refused_days(rows[split])})
    found = [gates.weekday_gate(refused)]
    if test is None or refused:
        return Verdict(tuple(found))
    validation = metrics.measure(parts.rows(rows[schema.VALIDATION], spark=spark), parts.centres)
    found += gates.absolute_gates(test, settings=settings)
    found += gates.usable_gates(validation, settings=experiment.guardrails)
    found += gates.stability_gate(challenger.metrics.get("stable_line_share"), settings=settings)
    if champion:
        same_space = comparison.same_space
        found += gates.comparing_gates(test, champion=champion.test, same_space=same_space, settings=settings)
    return Verdict(tuple(found))


def _read_rows(spark: SparkSession, registry: ModelRegistry, version: str) -> Rows:
    """Read the rows that a version carries; make those of a version of an earlier release anew."""
    found = registry.read_version(version=version)
    run_id, tags = str(found.run_id or ""), found.tags
    rows = evidence.read_evidence(run_id) if tracking.is_active(run_id) else None
    said = tags.get(evidence.TAG, evidence.ALL_ROWS)
    if rows is None:
        click.echo(f"promote: version {version} carries no rows to be measured on: they are prepared again")
        try:
            rows, said = _prepare_again(spark, run_id, digest=tags.get("data_digest", ""))
        except InputError as problem:
            raise InputError(
                f"a version must carry the rows that it is measured on, but version {version}, of an earlier "
                f"release, does not, and they cannot be prepared again ({problem}): train it again"
            ) from problem
    if said != evidence.ALL_ROWS:
        click.echo(f"promote: measured on {said}")
    return publish.by_split(rows)


def _prepare_again(spark: SparkSession, run_id: str, *, digest: str) -> tuple[pa.Table, str]:
    settings = tracking.settings_of(tracking.read_run(run_id))
    experiment, data = Experiment.from_flat(settings), settings.get("data", "")
    prepared = ensure_prepared(spark, data=data, experiment=experiment)
    if same_lines(prepared.table.data_digest, digest) is False:
        raise InputError(f"{data} holds other lines by now")
    return publish.evidence_rows(training_context(prepared, experiment=experiment))


def _contender(
    spark: SparkSession, registry: ModelRegistry, opened: OpenedVersion, test: WeightedRows
) -> Contender:
    name = opened.version
    version = registry.read_version(version=name)
    numbers = numbering.from_text(version.tags.get("cluster_numbers", ""))
    parts = parse(opened.model, version=name).in_trained_order(numbers)
    rows = None if parts.refused_days(test) else parts.rows(test, spark=spark)
    trained = tracking.find_run(str(version.run_id))
    return Contender(
        name=name,
        settings=tracking.settings_of(trained) if trained else {},
        metrics=tracking.metrics_of(trained) if trained else {},
        tags=version.tags,
        metadata=opened.metadata,
        parsed=parts,
        test=metrics.measure(rows, parts.centres) if rows else None,
        labels=kmeans.labels(rows, parts.centres) if rows else np.empty(0, dtype=np.intp),
    )


def migration_chart(moved: Migration, *, version: str) -> Figure:
    """Draw lines by old cluster (rows) and new cluster (columns), darker for more, on a log scale.

    A cluster without a line is left out.
    """
    rows, columns = (moved.lines.sum(axis=axis) > 0 for axis in (1, 0))
    lines = moved.lines[rows][:, columns]
    note = f"{moved.total:,} test lines, by their cluster before and in version {version}"
    left_out = "" if lines.shape == moved.lines.shape else ". Clusters without one are left out"
    figure, (axes,) = plots.figure("Where the lines go", note=note + left_out, size=(9, 8))
    image = axes.imshow(
        np.ma.masked_equal(lines, 0),
        cmap=plots.SEQUENTIAL,
        norm=LogNorm(_PALEST, max(2, lines.max())),
        aspect="auto",
    )
    few = max(lines.shape) <= _ANNOTATED
    axes.set_xlabel("cluster in the new champion")
    axes.set_ylabel("cluster in the champion before")
    axes.set_xticks(
        range(lines.shape[1]), np.array(moved.new)[columns].astype(str), fontsize=10 if few else 7
    )
    axes.set_yticks(range(lines.shape[0]), np.array(moved.old)[rows].astype(str), fontsize=10 if few else 7)
    axes.spines[:].set_visible(True)
    for row, column in zip(*np.nonzero(lines), strict=True) if few else ():
        colour = "white" if lines[row, column] > lines.max() ** 0.6 else plots.BLACK
        text = f"{lines[row, column]:,}"
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    bar = figure.colorbar(image, label="test lines", format=plots.THOUSANDS)
    bar.ax.set_ylim(bottom=1)
    return figure
