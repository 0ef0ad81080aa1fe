"""Generate synthetic retail data: one CSV file a day, in the form of the public data set."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import click
import pandas as pd
from tqdm import tqdm

from retail_clusters.data import synthetic
from retail_clusters.infra import locations, storage
from retail_clusters.infra.locations import join
from retail_clusters.infra.storage import new_folder

#: From so many lines on Spark makes the days side by side; below, its start would take longer.
_LARGE: Final = 2_000_000
_PARTS: Final = "parts"


@dataclass(frozen=True)
class Generated:
    """The folder that was made, and what is in it."""

    output: str
    days: int
    lines: int
    seed: int


def generate(*, output: str, days: int = 60, lines_per_day: int = 500, seed: int = 7) -> Generated:
    """Write seeded invoice lines, one file a day, into a new folder; equal arguments give equal bytes."""
    chosen = synthetic.days(days)
    synthetic.check(chosen[0], lines=lines_per_day, seed=seed)
    large = days * lines_per_day >= _LARGE or not locations.is_local(output)
    write = _write_in_spark if large else _write_here
    total = write(chosen, output, lines_per_day, seed)
    click.echo(
        f"Generated {total:,} invoice lines of {len(chosen)} days in {locations.for_display(output)}, seed {seed}"
    )
    return Generated(output, len(chosen), total, seed)


def _write_here(days: Sequence[date], output: str, lines: int, seed: int) -> int:
    total = 0
    with new_folder(output) as folder:
        for at, day in enumerate(tqdm(days, desc="generate", unit=" days", disable=None)):
            text = _csv(days, at, lines, seed)
            storage.write_text(join(folder, f"{day}.csv"), f"{text}\n")
            total += text.count("\n")
    return total


def _write_in_spark(days: Sequence[date], output: str, lines: int, seed: int) -> int:
    """Make each day in a task of its own; Spark writes a part for each, which is then named for its day."""
    from retail_clusters.infra.spark import spark_session  # noqa: PLC0415 - what is small needs no Spark

    def make(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            yield pd.DataFrame({"value": [_csv(days, at, lines, seed) for at in batch["id"]]})

    with spark_session("generate") as spark, new_folder(output) as folder:
        parts = join(folder, _PARTS)
        numbered = spark.range(0, len(days), 1, numPartitions=len(days))
        numbered.mapInPandas(make, "value string").write.text(locations.to_uri(parts))
        written = [file.location for file in storage.list_files(parts)]
        for day, part in zip(days, written, strict=True):
            storage.rename(part, join(folder, f"{day}.csv"))
        storage.remove(parts)
        files = [join(folder, f"{day}.csv") for day in days]
        return spark.read.text([locations.to_uri(file) for file in files]).count() - len(days)


def _csv(days: Sequence[date], at: int, lines: int, seed: int) -> str:
    """Return the lines of a day with their header, as a file has them but for the last line end."""
    before = days[at - 1] if at else None
    made = synthetic.invoice_lines(days[at], lines=lines, seed=seed, before=before)
    text: str = made.to_csv(index=False, lineterminator="\n", date_format="%Y-%m-%d %H:%M:%S")
    return text.removesuffix("\n")
