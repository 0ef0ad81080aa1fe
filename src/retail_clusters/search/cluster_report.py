"""What a clustering leaves in MLflow on the open run: its data sets, tables and charts."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import pandas as pd

from retail_clusters import schema
from retail_clusters.clustering import metrics
from retail_clusters.clustering.blocks import Labels
from retail_clusters.clustering.evaluation import Evaluation
from retail_clusters.features.interface import RAW_LINES
from retail_clusters.registry import tracking
from retail_clusters.report import charts, plots
from retail_clusters.report.charts import CLUSTER_CHARTS, Picture
from retail_clusters.report.profile import PRICE, QUANTITY
from retail_clusters.report.stability_report import StabilityReport
from retail_clusters.search.context import TrainingContext
from retail_clusters.settings import Split

#: The table of what is measured of each cluster.
CLUSTERS: Final = "stability"


@dataclass(frozen=True, eq=False)
class Clustering:
    """A clustering of the training rows, and what is told of it."""

    found: Evaluation
    labels: Labels
    profile: pd.DataFrame
    stability: StabilityReport


def log_tables(clustering: Clustering) -> None:
    """Log the profile of a clustering, and what is measured of each cluster."""
    tracking.log_table(clustering.profile, "profile")
    tracking.log_comparable_table(clustering.profile, "profile")
    validation = clustering.found.validation
    clusters = clustering.stability.table().assign(
        validation_lines=validation.sizes, validation_silhouette=validation.cluster_silhouettes
    )
    tracking.log_table(clusters, CLUSTERS)


@contextmanager
def charts_logged(context: TrainingContext, clustering: Clustering) -> Iterator[None]:
    """Draw the charts of a clustering while Spark does something else; log them at its end."""
    found = clustering.found
    picture = Picture(context.weighted[schema.TRAIN], clustering.labels, clustering.profile)
    labels, silhouettes = metrics.row_silhouettes(context.in_memory(schema.VALIDATION), found.centres)
    drawings = (
        lambda: charts.sizes_chart(clustering.profile),
        lambda: charts.pair_chart(picture, across=QUANTITY, up=PRICE),
        lambda: charts.centres_chart(picture),
        lambda: charts.silhouettes_chart(
            labels,
            silhouettes,
            context.weighted[schema.VALIDATION].weights,
            names=picture.names(found.k),
            mean=found.validation.silhouette,
        ),
        lambda: charts.stability_chart(clustering.stability),
    )
    with plots.drawing() as draw:
        drawn = {name: draw(make) for name, make in zip(CLUSTER_CHARTS, drawings, strict=True)}
        yield
        tracking.log_files({name: picture.result() for name, picture in drawn.items()})


def log_inputs(context: TrainingContext, parts: Sequence[str] = schema.SPLITS) -> dict[str, tracking.Dataset]:
    """Log train, validation and test, or some of them, as data sets, each under a digest of its own.

    Their names begin with the part: where the UI says which data set a metric is of, there is no more.
    """
    table = context.prepared.table
    return {
        name: tracking.log_input(
            data=table.data,
            part=name,
            digest=_digest(table.data_digest, name, context.experiment.split),
            context=name,
            columns=RAW_LINES,
            profile={
                "lines": table.lines[name],
                "rows": table.rows[name],
                "days": _days(name, context.experiment.split),
            },
        )
        for name in parts
    }


def _digest(data_digest: str, name: str, split: Split) -> str:
    """Return 8 hex digits that tell one part of one data set, cut at these days, from any other."""
    content = f"{data_digest} {name} {split.train_until} {split.validate_until}"
    return hashlib.sha256(content.encode()).hexdigest()[:8]


def _days(name: str, split: Split) -> str:
    return {
        schema.TRAIN: f"before {split.train_until}",
        schema.VALIDATION: f"{split.train_until} to before {split.validate_until}",
        schema.TEST: f"from {split.validate_until} on",
    }[name]
