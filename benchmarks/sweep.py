"""A whole sweep of 40 trials, logging included, next to its trials alone."""

import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pyspark import inheritable_thread_target

from benchmarks.common import DATA, chatter_aside, session, workbench
from retail_clusters.infra import tracking
from retail_clusters.training import context, sweep, sweep_report
from retail_clusters.training.candidates import Trial
from retail_clusters.training.context import TrainingContext
from retail_clusters.training.study import finished


def main() -> None:
    """Take turns: the sweep, then the same candidates without Optuna and MLflow; the first turn warms up."""
    with session() as spark:
        bench = workbench(spark)
        with chatter_aside():
            turns = [one_turn(bench, f"turn-{turn}") for turn in range(6)]
    count = len(turns[0].trials)
    whole = statistics.median(turn.whole for turn in turns[1:])
    alone = statistics.median(turn.alone for turn in turns[1:])
    report = statistics.median(turn.report for turn in turns[1:])
    rest = whole - alone - report
    print(f"| {count} trials of {Path(DATA).name} | seconds | a trial |\n|---|---:|---:|")
    print(f"| the first sweep of a process | {turns[0].whole:.1f} | {turns[0].whole / count:.2f} |")
    print(f"| a sweep: Optuna, MLflow, tables, charts included | {whole:.1f} | {whole / count:.2f} |")
    print(f"| fits and evaluations alone, as parallel | {alone:.1f} | {alone / count:.2f} |")
    print(f"| tables and charts at the end | {report:.1f} | {report / whole:.0%} of the sweep |")
    print(f"| the rest: Optuna, and a run of MLflow for each trial | {rest:.1f} | {rest / whole:.0%} |")
    best = turns[0].best
    print(f"\nBest: K={best.k}, seed {best.seed}, validation silhouette {best.silhouette:.4f}.")
    print("Aims: at most 0.9 s a trial, at most 15 % overhead.")


@dataclass(frozen=True)
class Turn:
    """What one turn took, in seconds, and what it found."""

    whole: float
    alone: float
    report: float
    trials: Sequence[Trial]
    best: Trial


def one_turn(bench: TrainingContext, name: str) -> Turn:
    """Sweep under a new study, and evaluate its candidates once more without it."""
    study = sweep.open_study(bench, sweep.StudyName.of(name, f"sqlite:///{Path.cwd() / 'optuna.db'}"))
    started = time.perf_counter()
    with tracking.run("sweep") as parent:
        best = sweep.search(bench, study, parent=parent)
    whole = time.perf_counter() - started
    trials = finished(study)
    started = time.perf_counter()
    with tracking.run("report"):
        sweep_report.log_report(bench, study, trials)
    report = time.perf_counter() - started
    return Turn(whole, alone=evaluate_alone(bench, trials), report=report, trials=trials, best=best)


def evaluate_alone(bench: TrainingContext, trials: Sequence[Trial]) -> float:
    """Fit and measure the same candidates in the same batches and threads: seconds."""
    settings = bench.experiment.sweep
    evaluate = inheritable_thread_target(bench.training.rows.sparkSession)(
        lambda trial: context.fit(bench, k=trial.k, seed=trial.seed)
    )
    started = time.perf_counter()
    with ThreadPoolExecutor(settings.threads) as executor:
        for start in range(0, len(trials), settings.batch_size):
            list(executor.map(evaluate, trials[start : start + settings.batch_size]))
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
