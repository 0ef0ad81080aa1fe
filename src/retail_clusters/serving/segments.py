"""The segments of an output over time: which dates are due, written with the moves between them, and shown."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from retail_clusters.errors import InputError, RegistryError
from retail_clusters.features import records
from retail_clusters.features.interface import ScoringVersion, open_model
from retail_clusters.infra.console import Progress
from retail_clusters.infra.locations import for_display, join, literal
from retail_clusters.question import Unit
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.registry.names import ClusterNames, read_names
from retail_clusters.serving.batch import ServedModel
from retail_clusters.serving.commits import CommitLog
from retail_clusters.serving.moves import Moves, missing_moves, remove_stale, write_moves
from retail_clusters.serving.snapshot import (
    AS_OF,
    NAME,
    SEGMENT,
    SEGMENTS,
    Snapshot,
    affected,
    dated_folder,
    dated_folders,
    due_dates,
    read_snapshot,
    regular_dates,
    write_snapshot,
)
from retail_clusters.serving.source import ScoreRequest

#: A point of MLflow: name, value, milliseconds, step.
Point = tuple[str, float, int, int]


@dataclass(frozen=True, eq=False)
class Written:
    """What was written of segments: points for MLflow, the sizes on every date, the latest moves.

    Attributes:
        sizes: units of each segment on each date: as_of, segment, name, units.
    """

    version: str
    noun: str
    points: Sequence[Point]
    sizes: pd.DataFrame
    moves: Moves | None


class SegmentWriter:
    """Writes the segments of the dates that are due, and the moves between them."""

    def __init__(
        self, spark: SparkSession, request: ScoreRequest, *, log: CommitLog, progress: Progress
    ) -> None:
        """Write nothing yet."""
        self._spark, self._request, self._log, self._progress = spark, request, log, progress
        self._registry = ModelRegistry(request.model)
        self._written_until = -2
        self.latest: Snapshot | None = None

    def check(self, model: ServedModel) -> None:
        """Refuse an output that has segments of another unit.

        Raises:
            InputError: it has.
        """
        if dates := dated_folders(self._request.output, SEGMENTS):
            columns = read_snapshot(self._spark, self._request.output, dates[-1]).columns
            keys = columns[: columns.index(SEGMENT)]
            if keys != [*model.keys]:
                raise InputError(
                    f"an output holds the segments of one unit, but {for_display(self._request.output)} has those by "
                    f"{', '.join(keys)}, and version {model.version} {model.gives}: name another output"
                )

    def tell_late(self, days: Mapping[str, int], *, unit: Unit) -> None:
        """Name the snapshots whose lines have just become more."""
        changed = affected(dated_folders(self._request.output, SEGMENTS), days, unit=unit)
        if changed:
            named = ", ".join(map(str, changed[:5])) + (
                f" and {len(changed) - 5} more" if changed[5:] else ""
            )
            self._progress.warn(
                f"lines of {min(days)} came after the segments as of {named} were written, which do not have them: "
                f"write them anew with score --as-of {changed[0]}"
            )

    def write_due(self, model: ServedModel) -> Written | None:
        """Write what is due after the latest batch, oldest first; None where nothing is."""
        if model.unit is None or not self._log.days or self._written_until == self._log.last:
            return None
        self._written_until = self._log.last
        points: list[Point] = []
        for as_of in self._due(model.unit):
            remove_stale(self._request.output, as_of)
            self.latest = write_snapshot(
                self._spark, model, output=self._request.output, as_of=as_of, names=self._names(model)
            )
            self._progress.note(str(self.latest))
            points += _points(as_of, self.latest.metrics)
        moved = self._write_moves(model)
        for moves in moved:
            self._progress.note(f"as of {moves.later}: {moves}")
            points += _points(moves.later, moves.metrics)
        if not points or self.latest is None:
            return None
        latest = moved[-1] if moved else None
        return Written(model.version, self.latest.noun, points, self._sizes(self.latest), latest)

    def _sizes(self, latest: Snapshot) -> pd.DataFrame:
        dates = dated_folders(self._request.output, SEGMENTS)
        shape = f"{SEGMENT} int, {NAME} string, {AS_OF} date"
        folder = literal(join(self._request.output, SEGMENTS))
        paths = [literal(dated_folder(self._request.output, SEGMENTS, each)) for each in dates]
        found = self._spark.read.schema(shape).option("basePath", folder).parquet(*paths)
        counted = found.groupBy(AS_OF, SEGMENT, NAME).agg(F.count(F.lit(1)).alias("units"))
        table = counted.toPandas()
        none = [
            (end, number, latest.names.name(number), 0)
            for end in sorted({*dates} - {*table[AS_OF]})
            for number in latest.sizes
        ]
        every = pd.concat([table, pd.DataFrame(none, columns=list(table))])
        return every.sort_values([AS_OF, SEGMENT], ignore_index=True)

    def _due(self, unit: Unit) -> list[date]:
        request, days = self._request, self._log.days
        if request.as_of:
            if request.as_of <= records.first_day(days):
                raise InputError(
                    f"as_of must be after the first day with lines, {records.first_day(days)}, but got "
                    f"{request.as_of}: name a later date"
                )
            return [request.as_of]
        if not request.once:
            written = dated_folders(request.output, SEGMENTS)
            return due_dates(days, unit=unit, written=written, every=request.every)
        end = records.last_day(days) + timedelta(days=1)
        before = regular_dates(days, unit=unit, every=request.every) if request.every else []
        return sorted({*before, end})

    def _names(self, model: ServedModel) -> ClusterNames:
        """Return the names of now; those that the version was loaded with, where the registry does not answer."""
        try:
            return read_names(self._registry, model.version)
        except RegistryError:
            return model.names

    def _write_moves(self, model: ServedModel) -> list[Moves]:
        """Write the moves that are missing; where a version is gone or the registry away, say so and go on."""

        @cache
        def opened(version: str) -> ScoringVersion:
            known = {model.version, ""}  # a snapshot without a unit names no version
            return model.opened if version in known else open_model(self._registry, version=version)

        output, written = self._request.output, []
        for earlier, later in missing_moves(output):
            try:
                written.append(
                    write_moves(self._spark, output, earlier=earlier, later=later, open_version=opened)
                )
            except RegistryError as problem:
                self._progress.warn(f"no moves from {earlier} to {later} for now: {problem}")
        return written


def _points(as_of: date, metrics: Mapping[str, float]) -> list[Point]:
    """Return the points of a date, whose step is that date as a number, such as 20111209."""
    now, step = int(time.time() * 1000), int(f"{as_of:%Y%m%d}")
    return [(name, value, now, step) for name, value in metrics.items()]
