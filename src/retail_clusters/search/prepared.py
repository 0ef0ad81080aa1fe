"""Prepared lines for a job, and the run `prepare` that makes them."""

import hashlib
from collections.abc import Sequence
from time import perf_counter

import click
from pyspark.sql import SparkSession

from retail_clusters import schema
from retail_clusters.data import listing, quarantine
from retail_clusters.data import prepare as tables
from retail_clusters.data.prepare import Prepared, PreparedTable, Source
from retail_clusters.infra import markdown
from retail_clusters.registry import tracking
from retail_clusters.search.context import TrainingContext
from retail_clusters.settings import QUARANTINE_TEXT, Experiment, Split
from retail_clusters.wording import pluralize


def prepare(spark: SparkSession, *, data: str, experiment: Experiment) -> Prepared:
    """Run as the step `prepare`: reuse the lines read of the same files and settings, or make them."""
    source = tables.source(data, experiment.input)
    with tracking.run("prepare") as run_id:
        tracking.log_settings({"data": data, "files": str(len(source.found.files))} | experiment.flat())
        found = tables.find(spark, source)
        if found:
            click.echo(
                f"prepare: reused the lines of run {found.table.run_id}; files and settings are unchanged"
            )
        prepared = found or _make(spark, source, run_id=run_id)
        table, account = prepared.table, listing.account(source.found)
        reused = table.run_id != run_id
        if not (experiment.unit and experiment.unit.days):
            tables.check_split(table, experiment.split)
        _log(table, split=experiment.split, reused=reused)
        notes = quarantine.described(table.reasons, of=table.total_lines, account=account)
        page = description(table, reused=reused)
        tracking.describe("\n\n".join([page, *notes]))
        quarantine.echo("prepare", table.reasons, of=table.total_lines, account=account)
    return prepared


def ensure_prepared(spark: SparkSession, *, data: str, experiment: Experiment) -> Prepared:
    """Reuse the lines if they were read before; else make them, in a run of their own."""
    source = tables.source(data, experiment.input)
    found = tables.find(spark, source)
    if found is None:
        return prepare(spark, data=data, experiment=experiment)
    table, account = found.table, listing.account(source.found)
    click.echo(f"prepare: reused the lines of run {table.run_id}, digest {table.data_digest}")
    quarantine.echo("prepare", table.reasons, of=table.total_lines, account=account)
    return found


def description(table: PreparedTable, *, reused: bool) -> str:
    """Say what came in, and what became of it."""
    again = "; files and settings are unchanged, so its lines are used again" if reused else ""
    return (
        f"{table.total_lines:,} invoice lines of `{table.data}`, checked and typed by run "
        f"`{markdown.short(table.run_id)}`{again}; {table.quarantined:,} more are quarantined. Content digest "
        f"`{markdown.short(table.data_digest)}`: the same lines in other files or another order have the same."
    )


def log_inputs(context: TrainingContext, *, parts: Sequence[str] = schema.SPLITS) -> None:
    """Log train, validation and test, or some of them, as data sets of the open run.

    Each has a digest that tells it from the same part of other data, of another question, or cut at other days.
    """
    experiment, table, counted = context.experiment, context.prepared.table, context.counted
    for name in parts:
        content = f"{table.data_digest} {name} {experiment.split} {experiment.question.declared()}"
        tracking.log_input(
            data=table.data,
            part=name,
            digest=hashlib.sha256(content.encode()).hexdigest()[:8],
            context=name,
            profile={f"{experiment.noun}s": counted.records[name], "rows": counted.rows[name]},
        )


def _make(spark: SparkSession, source: Source, *, run_id: str) -> Prepared:
    started = perf_counter()
    made = tables.make(spark, source, run_id=run_id)
    click.echo(
        f"prepare: {pluralize(made.table.total_lines, 'line')} of {pluralize(len(source.found.files), 'file')} "
        f"in {perf_counter() - started:.1f} s"
    )
    return made


def _log(table: PreparedTable, *, split: Split, reused: bool) -> None:
    lines = table.parts(split)
    tracking.set_tags({"data_digest": table.data_digest, "prepare_run_id": table.run_id})
    if reused:
        tracking.set_tags({"reused_run_id": table.run_id})
    tracking.log_input(data=table.data, digest=table.data_digest, context="preparation")
    if table.reasons and not reused:
        tracking.log_text("\n".join(quarantine.told(table.reasons)), QUARANTINE_TEXT)
    tracking.log_metrics(
        {f"lines_{name}": count for name, count in lines.items()} | {"lines_quarantined": table.quarantined}
    )
    per_split = ", ".join(f"{name} {count:,}" for name, count in lines.items())
    click.echo(f"prepare: {per_split}, quarantined {table.quarantined:,}; digest {table.data_digest}")
