"""Drift over the real daily files, one after the other, and over the same with prices that rise by 30 %.

First each day in turn, counted and measured as the scorer does; then the scorer itself, a file a trigger.
"""

import io
import os
import random
import shutil
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.common import DATA, chatter_aside, session, verdict
from retail_clusters import schema
from retail_clusters.data import csv_files, invoices
from retail_clusters.features import drift
from retail_clusters.features.drift import DRIFT_BASELINE, Baseline, Counts
from retail_clusters.features.interface import open_model, parts_of
from retail_clusters.question import LINES_BY_LOG
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.search.train import train
from retail_clusters.serving import score
from retail_clusters.serving.source import ScoreRequest
from retail_clusters.settings import CHAMPION, Experiment, Scoring

RISE: Final = 1.3
WITHIN: Final = 3
#: Days before a rise: enough for every window.
_BEFORE: Final = 25
_SCORED: Final = 20

_AS_THEY_ARE: Final = {
    name: feature if feature.is_category else feature.model_copy(update={"scale": ("none",)})
    for name, feature in LINES_BY_LOG.items()
}
EXPERIMENTS: Final = {
    "default, K=15, seed 6": Experiment(k=15, seed=6),
    "unscaled, K=39, seed 7": Experiment(
        model="retail-clusters-unscaled", k=39, seed=7, features=_AS_THEY_ARE
    ),
}


@dataclass(frozen=True)
class Stream:
    """A model's bounds, and the counts of each day: as it came, and with its prices risen."""

    version: str
    baseline: Baseline
    trained: Sequence[Counts]
    later: Sequence[Counts]
    risen: Sequence[Counts]

    @property
    def days(self) -> list[Counts]:
        """Return all days as they came."""
        return [*self.trained, *self.later]

    def warnings(self, days: Sequence[Counts]) -> list[str | None]:
        """Return what a scorer would say after each day; it says so once, when it begins."""
        warning = Scoring().drift_warning
        measured = (drift.measure(days[end::-1], against=self.baseline) for end in range(len(days)))
        return [moved.warning(self.baseline, above=warning) for moved in measured]

    def largest(self, days: Sequence[Counts]) -> list[float]:
        """Return the largest PSI of each thing over the days."""
        return [bins.usual for bins in drift.bounded(self.baseline, by=days).bins.values()]

    def days_until_told(self) -> list[int | None]:
        """Let prices rise on each day in turn, once a window is full: after how many days a warning names them."""
        found = []
        for start in range(drift.DAYS, len(self.days) - WITHIN + 1):
            before = self.days[max(0, start - _BEFORE) : start]
            told = self.warnings([*before, *self.risen[start : start + WITHIN]])[-WITHIN:]
            days = [number for number, why in enumerate(told, 1) if why and why.startswith("PSI of price")]
            found.append(days[0] if days else None)
        return found


def stream_of(spark: SparkSession, experiment: Experiment, *, data: str) -> Stream:
    """Train and register a model, and count every day by its registered form."""
    version = train(spark, data=data, experiment=experiment).version
    opened = open_model(ModelRegistry(experiment.model), version=version)
    ModelRegistry(experiment.model).set_alias(alias=CHAMPION, version=version)
    baseline, question = Baseline.from_json(opened.metadata[DRIFT_BASELINE]), parts_of(opened).space.question
    lines = invoices.good(invoices.read(spark, csv_files.check_data(data)[1])[0])
    risen = lines.withColumn(schema.UNIT_PRICE, F.round(F.col(schema.UNIT_PRICE) * RISE, 2))

    def count(chosen: DataFrame) -> list[Counts]:
        placed = drift.place_scored(opened.score(chosen), question, against=baseline)
        return drift.count(placed, against=baseline)

    days, cut = count(lines), F.lit(experiment.split.train_until)
    trained = lines.where(F.col(schema.INVOICE_DATE) < cut).select(F.to_date(schema.INVOICE_DATE)).distinct()
    known = trained.count()
    return Stream(version, baseline, days[:known], days[known:], count(risen))


def main() -> None:
    """Print what the days and the scorer say of each model."""
    with session() as spark:
        for name, experiment in EXPERIMENTS.items():
            with chatter_aside():
                stream = stream_of(spark, experiment, data=DATA)
            print(f"**{name}**\n")
            _print_days(stream)
            _print_rise(stream)
            _print_scorer(spark, stream, experiment)


def _print_days(stream: Stream) -> None:
    print(f"| one day at a time | days | warnings | largest PSI of {' | '.join(stream.baseline.bins)} |")
    print(f"|---|---:|---:|{'---:|' * len(stream.baseline.bins)}")
    usual = (bins.usual for bins in stream.baseline.bins.values())
    bounds = " | ".join(f"{max(value, Scoring().drift_warning):.2f}" for value in usual)
    print(f"| bounds | | | {bounds} |")
    shuffled = random.Random(0).sample(stream.days, len(stream.days))
    streams = {
        "training days": stream.trained,
        "the days after": stream.later,
        "all days, in any order": shuffled,
        "all days, a dozen in any order at a time": _a_dozen_at_a_time(stream.days),
    }
    for what, days in streams.items():
        told = [why for why in stream.warnings(days) if why]
        largest = " | ".join(f"{value:.2f}" for value in stream.largest(days))
        print(f"| {what} | {len(days)} | {len(told)} | {largest} |")
        for why in told:
            print(f"| | | {why} |{' |' * len(stream.baseline.bins)}")


def _a_dozen_at_a_time(days: Sequence[Counts]) -> list[Counts]:
    """Put days in the order of files that were copied so fast that a dozen have the same time."""
    order = random.Random(0)
    parts = [days[first : first + 12] for first in range(0, len(days), 12)]
    return [day for part in parts for day in order.sample(part, len(part))]


def _print_rise(stream: Stream) -> None:
    told = stream.days_until_told()
    print(f"\n| prices rise by {RISE - 1:.0%} on a day | of so many days |\n|---|---:|")
    for days in range(1, WITHIN + 1):
        print(f"| told after {days} | {told.count(days)} of {len(told)} |")
    missed = told.count(None)
    print(f"| not told within {WITHIN} (aim: none, {verdict(missed, 0)}) | {missed} of {len(told)} |\n")


def _print_scorer(spark: SparkSession, stream: Stream, experiment: Experiment) -> None:
    """Let the scorer take daily files one by one: the last training days, all after them, a rise."""
    files = sorted(Path(DATA).glob("*.csv"))
    cut = len(stream.trained)
    risen = cut + _SCORED
    runs = {
        "the last training days": scorer_says(spark, experiment, files[cut - _SCORED : cut], risen=0),
        "the days after": scorer_says(spark, experiment, files[cut:], risen=0),
        f"{_SCORED} days after, then {WITHIN} risen": scorer_says(
            spark, experiment, files[cut : risen + WITHIN], risen=WITHIN
        ),
    }
    print("| the scorer, a file a trigger | batches | warnings | of them |\n|---|---:|---:|---|")
    for name, (batches, told) in runs.items():
        print(f"| {name} | {batches} | {len(told)} | {'; '.join(told)} |")
    print()


def scorer_says(
    spark: SparkSession, experiment: Experiment, files: Sequence[Path], *, risen: int
) -> tuple[int, list[str]]:
    """Score daily files one by one, the prices of the last ones risen: batches, and warnings of drift."""
    for folder in ("in", "output"):
        shutil.rmtree(folder, ignore_errors=True)
    Path("in").mkdir()
    for number, file in enumerate(files):
        place = Path("in", file.name)
        shutil.copy(file, place)
        if number >= len(files) - risen:
            _raise_prices(place)
        os.utime(place, (1_300_000_000 + number,) * 2)
    request = ScoreRequest(
        source=str(Path("in").absolute()),
        output=str(Path("output").absolute()),
        model=experiment.model,
        settings=Scoring(max_files_per_trigger=1),
    )
    with chatter_aside(), redirect_stderr(io.StringIO()) as said:
        summary = score.run(spark, request)
    return summary.batches, [
        line.partition("trained the model: ")[2].partition("; look at them")[0]
        for line in said.getvalue().splitlines()
        if "the lines drift" in line
    ]


def _raise_prices(file: Path) -> None:
    lines = pd.read_csv(file, dtype=str, keep_default_na=False)
    lines[schema.UNIT_PRICE] = (lines[schema.UNIT_PRICE].astype(float) * RISE).round(2)
    lines.to_csv(file, index=False)


if __name__ == "__main__":
    main()
