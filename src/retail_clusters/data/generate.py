"""Generate synthetic retail data: one CSV file a day, in the form of the public data set."""

from pathlib import Path

import click
from tqdm import tqdm

from retail_clusters.data import synthetic
from retail_clusters.infra.folders import whole_folder


def generate(*, output: Path, days: int = 60, lines_per_day: int = 500, seed: int = 7) -> None:
    """Write seeded invoice lines, one file a day, into a new folder; equal arguments give equal bytes."""
    chosen = synthetic.days(days)
    total = 0
    with whole_folder(output) as folder:
        for day in tqdm(chosen, desc="generate", unit=" days", disable=None):
            lines = synthetic.invoice_lines(day, lines=lines_per_day, seed=seed)
            lines.to_csv(
                folder / f"{day}.csv", index=False, lineterminator="\n", date_format="%Y-%m-%d %H:%M:%S"
            )
            total += len(lines)
    click.echo(f"Generated {total:,} invoice lines of {len(chosen)} days in {output}, seed {seed}")
