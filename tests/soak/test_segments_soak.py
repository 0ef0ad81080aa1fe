"""The stream's segments are those of the batch job: days that arrive, kills at random moments, a swap of the version.

`SOAK_KILLS` sets how many kills.
"""

import os
import random
import subprocess
from contextlib import suppress
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from retail_clusters.experiment_file import load_experiment
from retail_clusters.features.interface import open_model, parts_of
from retail_clusters.features.pipeline import FeatureSpace
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.search.train import train
from tests import scorers
from tests.conftest import PROJECT, SAMPLE
from tests.scorers import registry

KILLS = int(os.environ.get("SOAK_KILLS", "10"))


@pytest.fixture
def place(spark: SparkSession, workplace: Path) -> Path:
    """A working folder with two versions of customers in its registry; the first is champion."""
    scorers.register_customers(spark)
    scorers.register_customers(spark, k=3)
    registry.set_alias(alias="champion", version="1")
    return workplace


@pytest.mark.soak
def test_segments_of_a_stream_that_is_killed_are_those_of_a_batch_job(
    spark: SparkSession, place: Path
) -> None:
    check(spark, place, files=4 * KILLS, kills=KILLS)


def test_segments_of_a_stream_that_is_killed_once_are_those_of_a_batch_job(
    spark: SparkSession, place: Path
) -> None:
    check(spark, place, files=4, kills=1)


@pytest.mark.soak
@pytest.mark.real
def test_customers_of_the_real_data_move_as_pandas_says(
    spark: SparkSession, workplace: Path, real_data: Path
) -> None:
    experiment = load_experiment(PROJECT / "experiments" / "customers.yaml", {"k": 4, "seed": 2})
    tracking.connect(experiment="customers")
    made = train(spark, data=str(real_data), experiment=experiment)
    ModelRegistry(made.model).set_alias(alias="champion", version=made.version)
    scorers.drain(
        spark, real_data, output=str(workplace / "output"), checkpoint="c", model=made.model, every=30
    )
    space = parts_of(open_model(ModelRegistry(made.model), version=made.version)).space
    output, lines = workplace / "output", purchased(real_data)
    dates = ends(output)
    assert len(dates) > 6
    for earlier, later in pairwise(dates):
        one, other = (segments(output, end) for end in (earlier, later))
        moves = pd.read_parquet(output / "moves" / f"as_of={later}").set_index("CustomerID")
        moved = moves[moves["kind"] == "moved"]
        both = one.index.intersection(other.index)
        assert {*moved.index} == {*both[one.loc[both, "segment"] != other.loc[both, "segment"]]}
        for who in moved.index[:3]:
            before, after = (customer(lines, who, end) for end in (earlier, later))
            assert one.loc[who, [*space.question.features]].tolist() == pytest.approx(before, abs=0.004)
            assert other.loc[who, [*space.question.features]].tolist() == pytest.approx(after, abs=0.004)
            change = np.abs(scaled(space, after) - scaled(space, before))
            assert moved.loc[who, "feature"] == [*space.question.features][int(change.argmax())]


def purchased(data: Path) -> pd.DataFrame:
    """Read the lines of customers that are no cancellations."""
    frames = [pd.read_csv(file, dtype={"InvoiceNo": str}) for file in sorted(data.glob("*.csv"))]
    lines = pd.concat(frames).dropna(subset="CustomerID")
    lines = lines[~lines["InvoiceNo"].str.startswith("C")]
    return lines.assign(
        CustomerID=lines["CustomerID"].astype(int).astype(str),
        InvoiceDate=pd.to_datetime(lines["InvoiceDate"]),
        cost=lines["UnitPrice"] * lines["Quantity"],
    ).set_index("CustomerID")


def customer(lines: pd.DataFrame, who: str, end: str) -> list[float]:
    """Return recency, frequency and spend of a customer in the 180 days before a date."""
    last = pd.Timestamp(end)
    bought = lines.loc[[who]]
    bought = bought[(bought["InvoiceDate"] >= last - pd.Timedelta(days=180)) & (bought["InvoiceDate"] < last)]
    recency = (last - bought["InvoiceDate"].max().normalize()).days
    return [float(recency), float(bought["InvoiceNo"].nunique()), float(bought["cost"].sum())]


def scaled(space: FeatureSpace, values: list[float]) -> np.ndarray:
    """Scale the features of customers: clip, logarithm, then standardize."""
    found = []
    for value, constants in zip(values, space.fitted.values(), strict=True):
        low, high = constants.clip or (-np.inf, np.inf)
        logged = np.log1p(min(max(value, low), high))
        found.append((logged - constants.mean) / constants.deviation)
    return np.array(found)


def segments(output: Path, end: str) -> pd.DataFrame:
    """Read the segments as of a date."""
    return pd.read_parquet(output / "segments" / f"as_of={end}").set_index("CustomerID")


def check(spark: SparkSession, place: Path, *, files: int, kills: int) -> None:
    """Let a stream take a file a day, with kills between and within batches; do the same at once, date by date."""
    names, output = sorted(SAMPLE.glob("*.csv"))[:files], place / "output"
    chance = random.Random(7)
    killed = {*chance.sample(range(1, files), kills)}
    process = scorers.start(place / "in", once=False)
    for at, file in enumerate(names):
        scorers.put(place / "in", file.name, file.read_bytes())
        if at == files // 2:
            registry.set_alias(alias="champion", version="2")
        if at in killed:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=chance.uniform(0, 4))
            scorers.kill(process)
            process = scorers.start(place / "in", once=False)
        scorers.wait_until(lambda due=at + 1: scored(output) == due, process)  # type: ignore[misc]
    scorers.wait_until(lambda: settled(output), process)
    scorers.kill(process)
    dates, again = ends(output), place / "again"
    assert len(dates) > files // 2
    for end in dates:
        found = pd.read_parquet(output / "segments" / f"as_of={end}")
        registry.set_alias(alias="champion", version=str(found["model_version"].iloc[0]))
        scorers.drain(
            spark, place / "in", output=str(again), checkpoint=str(place / "c"), as_of=date.fromisoformat(end)
        )
        for kind in ("segments", "moves"):
            if (output / kind / f"as_of={end}").is_dir():
                one, other = (pd.read_parquet(each / kind / f"as_of={end}") for each in (output, again))
                pd.testing.assert_frame_equal(one, other, check_exact=True)


def ends(output: Path) -> list[str]:
    """List the dates of the segments of an output."""
    return sorted(each.name.removeprefix("as_of=") for each in (output / "segments").glob("as_of=*"))


def settled(output: Path) -> bool:
    """Tell whether the latest segments of an output have their moves."""
    return (output / "moves" / f"as_of={ends(output)[-1]}").is_dir()


def scored(output: Path) -> int:
    """Count the files that the records of an output hold."""
    return sum(len(record["files"]) for record in scorers.batches(output))
