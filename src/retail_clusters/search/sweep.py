"""The search over K and seed; the best usable candidate is logged, registered and made challenger."""

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

import click
from pyspark.sql import SparkSession
from tqdm import tqdm

from retail_clusters import schema
from retail_clusters.errors import StoppedError
from retail_clusters.infra.secrets import masked
from retail_clusters.infra.stream import stop_on_signals
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.search import publish, study, sweep_report
from retail_clusters.search.context import TrainingContext, check_clusters, training_context
from retail_clusters.search.prepared import ensure_prepared, log_inputs
from retail_clusters.search.publish import Published
from retail_clusters.search.study import Study, Trial
from retail_clusters.search.trials import Evaluator, evaluator
from retail_clusters.settings import CHALLENGER, Experiment

STORAGE: Final = "optuna.journal"
_RUN: Final = "mlflow_run_id"

#: Settings that decide what a trial is, beside the data: a study goes on with these alone.
_SHAPING: Final = (
    "split.",
    "unit.",
    "clean.",
    "features.",
    "training.solver",
    "lloyd.",
    "guardrails.",
    "sweep.",
)
_FREE: Final = ("sweep.trials", "sweep.objective", "sweep.min_seeds")


def sweep(
    spark: SparkSession, *, data: str, experiment: Experiment, study: str | None, storage: str | None
) -> Published:
    """Run as `sweep`: search, then measure, log and register the best, unless it is a version already.

    Raises:
        StoppedError: the user ended it; nothing is registered.
    """
    with search_run(experiment):
        prepared = ensure_prepared(spark, data=data, experiment=experiment)
        context = training_context(prepared, experiment=experiment)
        opened = open_study(context, name=study, storage=storage or STORAGE)
        again = is_complete(context, opened)
        best, page = search(context, opened, entry_point="sweep")
        published = publish_best(context, best, reuse=again)
        tracking.describe(f"{page}\n\n## The winner, registered\n\n{publish.description(published)}")
    click.echo("sweep: done")
    publish.summarize(published)
    return published


def search_run(experiment: Experiment) -> AbstractContextManager[str]:
    """Open the run of a search; a study that goes on has a new one each time."""
    return tracking.run("sweep", name=f"sweep K {experiment.sweep.k_min}–{experiment.sweep.k_max}")


def open_study(context: TrainingContext, *, name: str | None, storage: str = STORAGE) -> Study:
    """Open the study of this sweep, a new one without a name.

    It refuses other settings or data than it was started with.
    """
    experiment = context.experiment
    check_clusters(context, k=experiment.sweep.k_max)
    name = name or f"sweep-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    click.echo(f"sweep: study {name} in {masked(storage)}")
    settings = {key: value for key, value in experiment.flat().items() if key.startswith(_SHAPING)}
    identity = {key: value for key, value in settings.items() if key not in _FREE}
    # Rows in memory and rows in partitions give sums of other last bits; the number itself is free.
    identity["training.in_memory_rows"] = "enough for all rows" if context.whole else "fewer than the rows"
    identity["data_digest"] = context.prepared.table.data_digest
    return study.open_study(name=name, storage=storage, identity=identity)


def search(context: TrainingContext, opened: Study, *, entry_point: str) -> tuple[Trial, str]:
    """Evaluate the trials of a study on the open run; return the best usable one, and the run's description.

    Raises:
        StoppedError: the user ended it; `entry_point` with the same study goes on from there.
    """
    experiment, table = context.experiment, context.prepared.table
    tracking.log_settings(_settings(context))
    tags = {"data_digest": table.data_digest, "prepare_run_id": table.run_id, "study": opened.study_name}
    if earlier := opened.user_attrs.get(_RUN):
        tags["continues"] = earlier
    tracking.set_tags(tags)
    opened.set_user_attr(_RUN, tracking.active_run().info.run_id)
    log_inputs(context, parts=(schema.TRAIN, schema.VALIDATION))
    with evaluator(context) as evaluating:
        say = partial(click.echo, "\nsweep: ending after the running batch", err=True)
        with stop_on_signals(say) as stopping:
            trials = _evaluate(context, opened, evaluating, stop=stopping.is_set)
        ended = study.ended(len(trials), settings=experiment.sweep, stopped=stopping.is_set())
        click.echo(f"sweep: {ended}")
        tracking.set_tags({"sweep_ended": ended})
        if stopping.is_set():
            raise StoppedError(
                f"sweep: {ended}, nothing is registered: "
                f"{entry_point} --study {opened.study_name} goes on from there"
            )
        page = sweep_report.log_report(trials, evaluator=evaluating, experiment=experiment)
    best = study.best(trials, settings=experiment.sweep)
    if best.k == experiment.sweep.k_max:
        click.secho(f"sweep: best at the edge of the range, K={best.k}: raise sweep.k_max", fg="yellow")
    tracking.log_settings({"best_k": str(best.k), "best_seed": str(best.seed)})
    tracking.log_metrics({"best_validation_silhouette": best.silhouette})
    return best, page


def _evaluate(
    context: TrainingContext, opened: Study, evaluating: Evaluator, *, stop: Callable[[], bool]
) -> list[Trial]:
    """Run the study; write the child runs of a batch, and tell how far it is, while the next one is under way."""
    settings = context.experiment.sweep
    told: list[Trial] = []
    total = study.wanted_trials(settings)
    with tqdm(total=total, desc="sweep", unit=" trials", disable=None) as bar:

        def tell(new: Sequence[Trial]) -> None:
            tracking.log_children([sweep_report.child_run(trial, context) for trial in new])
            told.extend(new)
            bar.set_postfix_str(_best_so_far(told), refresh=False)
            bar.update(len(new))
            if bar.disable:
                click.echo(f"sweep: {len(told)} of {total} trials, {_best_so_far(told)}")

        if done := study.finished(opened):
            tell(done)
        return study.run(opened, settings=settings, start=evaluating.start, on_batch=tell, stop=stop)


def is_complete(context: TrainingContext, opened: Study) -> bool:
    """Tell whether a study has nothing left to try."""
    return len(study.finished(opened)) >= study.wanted_trials(context.experiment.sweep)


def publish_best(context: TrainingContext, best: Trial, *, reuse: bool = False) -> Published:
    """Publish the best trial on the open run as challenger.

    With `reuse`, a version that holds this very model of this very data is taken instead of a new one.
    """
    tracking.log_settings({"k": str(best.k), "seed": str(best.seed)} | _settings(context))
    published = publish.publish(context, best.evaluation, reuse=reuse)
    ModelRegistry(published.model).set_alias(alias=CHALLENGER, version=published.version)
    return published


def _settings(context: TrainingContext) -> dict[str, str]:
    """Return the settings of the search: K and seed are what it finds."""
    flat = context.experiment.flat() | {"data": context.prepared.table.data}
    return {name: value for name, value in flat.items() if name not in {"k", "seed"}}


def _best_so_far(trials: Sequence[Trial]) -> str:
    usable = [trial for trial in trials if trial.usable]
    if not usable:
        return "none usable yet"
    best = max(usable, key=lambda trial: trial.silhouette)
    return f"best {best.silhouette:.4f} at K={best.k}, seed {best.seed}"
