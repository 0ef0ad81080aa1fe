"""Who changed segment between two snapshots: from where to where, since when, by which feature, and why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce
from itertools import pairwise
from typing import Final

import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.features import sql
from retail_clusters.features.interface import ScoringVersion, parts_of
from retail_clusters.features.pipeline import FeatureSpace, with_values
from retail_clusters.features.rows import VALUES
from retail_clusters.infra import storage
from retail_clusters.infra.locations import join, literal, to_uri
from retail_clusters.serving.attempt import COMMITTER
from retail_clusters.serving.reader import read_lines
from retail_clusters.serving.snapshot import (
    AS_OF,
    NAME,
    SEGMENT,
    SEGMENTS,
    dated_folder,
    dated_folders,
    labelled,
    read_snapshot,
)

MOVES: Final = "moves"
KIND: Final = "kind"
MOVED, NEW, LAPSED = "moved", "new", "lapsed"
#: What made a unit move: its own lines, another model, or both.
LINES, MODEL, BOTH = "lines", "model", "both"

OpenVersion = Callable[[str], ScoringVersion]


@dataclass(frozen=True, eq=False)
class Moves:
    """How units went from one snapshot to the next.

    Attributes:
        pairs: a row for each pair of segments that shares units: `from`, `from_name`, `to`, `to_name`, `count`;
            units of one of the two snapshots alone have no name on the other side.
        by_model: units of both whose segment changed because the model did, alone.
    """

    earlier: date
    later: date
    pairs: pd.DataFrame
    by_model: int

    @property
    def new(self) -> int:
        """Count the units of the later snapshot alone."""
        return self._count(self.pairs["from"].isna())

    @property
    def lapsed(self) -> int:
        """Count the units of the earlier snapshot alone."""
        return self._count(self.pairs["to"].isna())

    @property
    def in_both(self) -> int:
        """Count the units of both."""
        return self._count(self.pairs["from"].notna() & self.pairs["to"].notna())

    @property
    def moved(self) -> int:
        """Count the units of both whose segment changed, not because of the model alone."""
        changed = self.pairs["from"].ne(self.pairs["to"]) & self.pairs[["from", "to"]].notna().all(axis=1)
        return self._count(changed) - self.by_model

    @property
    def metrics(self) -> dict[str, float]:
        """Return the metrics of a score run, one step a date."""
        return {
            "moved_share": self.moved / max(1, self.in_both),
            "moved_by_model_share": self.by_model / max(1, self.in_both),
            "new": float(self.new),
            "lapsed": float(self.lapsed),
        }

    def matrix(self) -> pd.DataFrame:
        """Return units by earlier segment (rows; the last is `new`) and later one (columns; the last is `lapsed`)."""
        rows = _label(self.pairs, "from", "new")
        columns = _label(self.pairs, "to", "lapsed")
        counted = self.pairs["count"].groupby([rows, columns]).sum().unstack(fill_value=0)
        order = [
            sorted(set(each) - {last}, key=_number) for each, last in ((rows, "new"), (columns, "lapsed"))
        ]
        lasts = ["new"] if "new" in counted.index else [], ["lapsed"] if "lapsed" in counted else []
        return counted.loc[[*order[0], *lasts[0]], [*order[1], *lasts[1]]].rename_axis(index="", columns="")

    def __str__(self) -> str:
        """Say it in a sentence."""
        by_model = f", {self.by_model:,} more as the model changed" if self.by_model else ""
        return (
            f"since {self.earlier}, {self.moved:,} of {self.in_both:,} changed segment{by_model}; "
            f"{self.new:,} new, {self.lapsed:,} lapsed"
        )

    def _count(self, chosen: "pd.Series[bool]") -> int:
        return int(self.pairs["count"][chosen].sum())


def missing_moves(output: str) -> list[tuple[date, date]]:
    """List the pairs of snapshots that follow one another and have no moves yet, oldest first."""
    there = {*dated_folders(output, MOVES)}
    return [pair for pair in pairwise(dated_folders(output, SEGMENTS)) if pair[1] not in there]


def remove_stale(output: str, as_of: date) -> None:
    """Remove the moves to and from a snapshot that is about to be written, so that a kill leaves no wrong ones."""
    following = [each for each in dated_folders(output, SEGMENTS) if each > as_of][:1]
    for end in (as_of, *following):
        storage.remove(dated_folder(output, MOVES, end))


def write_moves(
    spark: SparkSession, output: str, *, earlier: date, later: date, open_version: OpenVersion
) -> Moves:
    """Write the moves between two snapshots that follow one another, and count them.

    Columns: the key, `kind` (moved, new or lapsed), `from`, `from_name`, `to`, `to_name`, `since` (the earliest
    snapshot from which on the unit was in `from`), `because` (lines, model or both), and the `feature` that
    changed most in scaled units, with its value `before` and `after`.
    """
    before, after = (read_snapshot(spark, output, end) for end in (earlier, later))
    newest = open_version(_version_of(after) or _version_of(before))
    keys = sql.keys_of(parts_of(newest).space.question)
    both = _side_by_side(before, after, keys).persist()
    changed = both.where(F.col(KIND).isNotNull())
    first = open_version(_version_of(before) or newest.version)
    explained = _explained(spark, output, changed, keys, (earlier, later), versions=(first, newest))
    dated = joined(explained, since(spark, output, keys, until=earlier).select(*keys, "since"), keys)
    found = dated.select(
        *keys, KIND, "from", "from_name", "to", "to_name", "since", "because", "feature", "before", "after"
    )
    folder = join(output, MOVES)
    storage.make_folder(folder)
    storage.remove_drafts(folder)
    with storage.staged_folder(dated_folder(output, MOVES, later)) as staged:
        ordered = found.repartition(1).sortWithinPartitions(*keys)
        ordered.write.options(**COMMITTER).mode("append").parquet(to_uri(staged))
    by_model = read_moved(spark, output, later).where(F.col("because") == MODEL).count()
    pairs = both.groupBy("from", "from_name", "to", "to_name").count().toPandas()
    both.unpersist()
    return Moves(earlier, later, pairs, by_model)


def read_moved(spark: SparkSession, output: str, later: date) -> DataFrame:
    """Return the moves to the snapshot of a date, as `write_moves` wrote them."""
    return spark.read.parquet(literal(dated_folder(output, MOVES, later)))


def since(spark: SparkSession, output: str, keys: Sequence[str], *, until: date) -> DataFrame:
    """Return, of each unit of a snapshot, since which one it has been in its segment, and where it was before.

    Columns: the key, `since`, `previous` and `previous_name`, null where the snapshot before does not have the unit.
    """
    dates = [each for each in dated_folders(output, SEGMENTS) if each <= until][::-1]
    shape = ", ".join(
        [*(f"{key} string" for key in keys), f"{SEGMENT} int", f"{NAME} string", f"{AS_OF} date"]
    )
    paths = [literal(dated_folder(output, SEGMENTS, each)) for each in dates]
    history = spark.read.schema(shape).option("basePath", literal(join(output, SEGMENTS))).parquet(*paths)
    of_unit = Window.partitionBy(*keys)
    newest_first = of_unit.orderBy(F.desc(AS_OF))
    place = F.array_position(F.array(*map(F.lit, dates)), F.col(AS_OF))
    rows = history.withColumns(
        {
            "_place": place,
            "_here": (F.row_number().over(newest_first) == place)
            & (F.first(SEGMENT).over(newest_first) == F.col(SEGMENT)),
        }
    )
    stays = F.min("_here").over(newest_first.rowsBetween(Window.unboundedPreceding, Window.currentRow))
    rows = rows.withColumn("_stays", stays).withColumn("_length", F.count_if("_stays").over(of_unit))
    before = F.col("_place") == F.col("_length") + 1
    return (
        rows.where(F.col("_length") > 0)
        .groupBy(*keys)
        .agg(
            F.min(F.when(F.col("_stays"), F.col(AS_OF))).alias("since"),
            F.max(F.when(before, F.col(SEGMENT))).alias("previous"),
            F.max(F.when(before, F.col(NAME))).alias("previous_name"),
        )
    )


def _version_of(snapshot: DataFrame) -> str:
    """Return the version that a snapshot was made with; none of one without a unit."""
    found = snapshot.select(schema.MODEL_VERSION).first()
    return str(found[0]) if found else ""


def _side_by_side(before: DataFrame, after: DataFrame, keys: Sequence[str]) -> DataFrame:
    """Return the segment of each unit in both snapshots, and the kind of its move; null where it stayed."""
    one = before.select(*keys, F.col(SEGMENT).alias("from"), F.col(NAME).alias("from_name"))
    other = after.select(*keys, F.col(SEGMENT).alias("to"), F.col(NAME).alias("to_name"))
    kind = (
        F.when(F.col("from").isNull(), NEW)
        .when(F.col("to").isNull(), LAPSED)
        .when(F.col("from") != F.col("to"), MOVED)
    )
    return joined(one, other, keys, how="full").withColumn(KIND, kind)


def _explained(
    spark: SparkSession,
    output: str,
    changed: DataFrame,
    keys: Sequence[str],
    ends: tuple[date, date],
    *,
    versions: tuple[ScoringVersion, ScoringVersion],
) -> DataFrame:
    """Add what made each unit move, and the feature that changed most, as the later version sees both dates.

    Where the version changed, both dates are looked at with both versions.
    """
    first, newest = versions
    space, lines = parts_of(newest).space, read_lines(spark, output)
    later = with_values(read_snapshot(spark, output, ends[1]), space)
    earlier = (
        with_values(read_snapshot(spark, output, ends[0]), space) if first.version == newest.version else None
    )
    because: Column = F.lit(LINES)
    if earlier is None:
        earlier = labelled(lines, newest, as_of=ends[0])
        other = labelled(lines, first, as_of=ends[1]).select(*keys, F.col(SEGMENT).alias("_first_later"))
        changed = joined(changed, other, keys)
        first_sees = ~F.col("_first_later").eqNullSafe(F.col("from"))
        newest_sees = ~F.col(f"_earlier.{SEGMENT}").eqNullSafe(F.col("to"))
        because = (
            F.when(first_sees & newest_sees, LINES).when(first_sees | newest_sees, BOTH).otherwise(MODEL)
        )
    for name, frame in (("_earlier", earlier), ("_later", later)):
        held = F.struct(SEGMENT, VALUES, *space.question.features).alias(name)
        changed = joined(changed, frame.select(*keys, held), keys)
    changed = changed.withColumn("because", F.when(F.col(KIND) == MOVED, because))
    moved = F.col("because").isin(LINES, BOTH) & F.col(f"_earlier.{SEGMENT}").isNotNull()
    most = F.when(moved, F.array_max(F.array(*_changes(space))))
    return changed.withColumn("_most", most).select(
        "*", "_most.feature", F.col("_most.before").alias("before"), F.col("_most.after").alias("after")
    )


def _changes(space: FeatureSpace) -> list[Column]:
    """Return how far each feature is from where it was, in scaled units, with both values as text."""
    return [
        F.struct(
            sum(((_at("_later", at) - _at("_earlier", at)) ** 2 for at in columns), F.lit(0.0)).alias("far"),
            F.lit(name).alias("feature"),
            F.col(f"_earlier.{name}").cast("string").alias("before"),
            F.col(f"_later.{name}").cast("string").alias("after"),
        )
        for name, columns in space.feature_columns.items()
    ]


def _at(side: str, at: int) -> Column:
    return F.get(F.col(f"{side}.{VALUES}"), F.lit(at))


def joined(one: DataFrame, other: DataFrame, keys: Sequence[str], *, how: str = "left") -> DataFrame:
    """Join on keys, of which one that is nothing equals another."""
    names = {key: f"_key{at}" for at, key in enumerate(keys)}
    right = other.withColumnsRenamed(names)
    same = reduce(Column.__and__, (F.col(key).eqNullSafe(F.col(renamed)) for key, renamed in names.items()))
    both = one.join(right, same, how)
    whole = [F.coalesce(key, renamed).alias(key) for key, renamed in names.items()]
    return both.select(*whole, *(name for name in both.columns if name not in {*names, *names.values()}))


def _label(pairs: pd.DataFrame, side: str, missing: str) -> "pd.Series[str]":
    numbers = pairs[side].map(lambda number: "" if pd.isna(number) else f"{number:.0f} ")
    return (numbers + pairs[f"{side}_name"].fillna(missing)).rename(side)


def _number(label: str) -> int:
    return int(label.partition(" ")[0])
