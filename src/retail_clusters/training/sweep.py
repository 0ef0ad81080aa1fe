"""The search over K and seed; the best usable candidate is logged, registered and made challenger."""

import secrets
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import click
import optuna
from pyspark import inheritable_thread_target
from pyspark.sql import SparkSession
from tqdm import tqdm

from retail_clusters.data.prepare import ensure_prepared
from retail_clusters.errors import DifferenceFoundError
from retail_clusters.infra import tracking
from retail_clusters.infra.registry import CHALLENGER, ModelRegistry
from retail_clusters.settings import Experiment
from retail_clusters.training import clustering, context, guardrails, sweep_report
from retail_clusters.training import study as study_of
from retail_clusters.training.candidates import Candidate, Trial
from retail_clusters.training.context import Published, TrainingContext
from retail_clusters.training.study import Evaluate, Progress

STORAGE: Final = "sqlite:///optuna.db"
_PARENT: Final = "mlflow_run_id"


@dataclass(frozen=True)
class StudyName:
    """A study and where it is kept; the same pair resumes it."""

    name: str
    storage: str

    @classmethod
    def of(cls, name: str | None, storage: str | None) -> "StudyName":
        """Fill in what is not given: a new name, and the project's sqlite file."""
        fresh = f"sweep-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        return cls(name=name or fresh, storage=storage or STORAGE)


def sweep(
    spark: SparkSession, *, data: str, experiment: Experiment, study: str | None, storage: str | None
) -> Published:
    """Run as `sweep`: search, then refit, measure, log and register the best."""
    prepared = ensure_prepared(spark, data=data, experiment=experiment)
    bench = context.training_context(prepared, experiment=experiment)
    opened = open_study(bench, StudyName.of(study, storage))
    parent = opened.user_attrs.get(_PARENT, "")
    with tracking.run("sweep", resumes=parent or None) as run_id:
        best = search(bench, opened, parent=run_id)
        published = publish_best(bench, best)
    bench.release()
    click.echo("sweep: done")
    context.summarize(published)
    return published


def open_study(bench: TrainingContext, which: StudyName) -> optuna.Study:
    """Open the study of this sweep; it refuses other settings or data than it was started with."""
    experiment = bench.experiment
    clustering.check_clusters(bench.training, k=experiment.sweep.k_max)
    shaping = ("split.", "features.", "lloyd.", "guardrails.", "sweep.")
    settings = {name: value for name, value in experiment.flat().items() if name.startswith(shaping)}
    free = ("sweep.threads", "sweep.trials", "sweep.objective")
    identity = {name: value for name, value in settings.items() if name not in free}
    click.echo(f"sweep: study {which.name} in {which.storage}")
    return study_of.open_study(
        name=which.name,
        storage=which.storage,
        identity=identity | {"data_digest": bench.prepared.table.data_digest},
    )


def search(bench: TrainingContext, study: optuna.Study, *, parent: str) -> Trial:
    """Evaluate the trials of a study under the open run `parent`; give the best usable one."""
    settings = bench.experiment.sweep
    study.set_user_attr(_PARENT, parent)
    tracking.log_settings(_settings(bench))
    tracking.set_tags(
        {
            "study": study.study_name,
            "data_digest": bench.prepared.table.data_digest,
            "prepare_run_id": bench.prepared.table.run_id,
        }
    )
    children = tracking.ChildRuns(parent, key=sweep_report.NUMBER)
    done = study_of.finished(study)
    sweep_report.write_trials(children, done, experiment=bench.experiment)
    bar = tqdm(total=settings.trials, initial=len(done), desc="sweep", unit=" trials", disable=None)
    with bar, ThreadPoolExecutor(settings.threads) as executor:

        def on_batch(progress: Progress) -> None:
            sweep_report.write_trials(children, progress.new, experiment=bench.experiment)
            bar.set_postfix_str(_best_so_far(progress.trials), refresh=False)
            bar.update(len(progress.new))
            if bar.disable:
                click.echo(f"sweep: {len(progress.trials)} trials, {_best_so_far(progress.trials)}")

        with _stop_on_interrupt() as stop:
            reason = study_of.run(
                study,
                settings=settings,
                evaluate=_evaluator(bench),
                executor=executor,
                on_batch=on_batch,
                stop=stop,
            )
    trials = study_of.finished(study)
    click.echo(f"sweep: {len(trials)} trials, {reason}")
    tracking.set_tags({"sweep_ended": reason})
    sweep_report.log_report(bench, study, trials)
    best = study_of.best(trials, settings=settings)
    tracking.log_settings({"best_k": str(best.k), "best_seed": str(best.seed)})
    tracking.log_metrics({"best_validation_silhouette": best.silhouette})
    return best


def publish_best(bench: TrainingContext, best: Trial) -> Published:
    """Refit the best trial, hold it to the bits of the trial, publish it on the open run as challenger.

    Raises:
        DifferenceFoundError: the refit is another model than the trial was.
    """
    fitted = context.fit(bench, k=best.k, seed=best.seed)
    if fitted.clustering.centres.tolist() != [list(centre) for centre in best.centres]:
        raise DifferenceFoundError(
            f"the same data, K and seed must give the same bits, but the refit of K={best.k}, seed "
            f"{best.seed} has other centres than its trial: run verify, and report what it prints"
        )
    tracking.log_settings({"k": str(best.k), "seed": str(best.seed)})
    published = context.publish(bench, fitted)
    ModelRegistry(published.model).set_alias(alias=CHALLENGER, version=published.version)
    return published


def _evaluator(bench: TrainingContext) -> Evaluate:
    def evaluate(number: int, candidate: Candidate) -> Trial:
        k, seed = candidate
        fitted = context.fit(bench, k=k, seed=seed)
        return Trial(
            number=number,
            k=k,
            seed=seed,
            silhouette=fitted.validation.silhouette,
            train_cost=fitted.train_cost,
            iterations=fitted.clustering.iterations,
            largest_cluster_share=fitted.validation.largest_cluster_share,
            effective_clusters=fitted.validation.effective_clusters,
            clusters=fitted.validation.clusters,
            violations=guardrails.violations(fitted.validation, settings=bench.experiment.guardrails),
            centres=fitted.clustering.centres.tolist(),
        )

    threaded: Evaluate = inheritable_thread_target(bench.training.rows.sparkSession)(evaluate)
    return threaded


def _settings(bench: TrainingContext) -> dict[str, str]:
    """Return the settings of the search: K and seed are what it finds."""
    flat = bench.experiment.flat() | {"data": bench.prepared.table.data}
    return {name: value for name, value in flat.items() if name not in {"k", "seed"}}


def _best_so_far(trials: Sequence[Trial]) -> str:
    usable = [trial for trial in trials if trial.usable]
    if not usable:
        return "none usable yet"
    best = max(usable, key=lambda trial: trial.silhouette)
    return f"best {best.silhouette:.4f} at K={best.k}, seed {best.seed}"


@contextmanager
def _stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C and SIGTERM end the sweep after the running batch instead of at once."""
    asked: list[int] = []

    def remember(signum: int, _frame: object) -> None:
        asked.append(signum)
        click.echo("\nsweep: ending after the running batch; the same study goes on from there", err=True)

    kept = {signum: signal.signal(signum, remember) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for signum, handler in kept.items():
            signal.signal(signum, handler)
