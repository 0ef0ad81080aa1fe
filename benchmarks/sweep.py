"""A whole sweep of 40 trials, logging included, next to its trials alone."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pyspark import inheritable_thread_target

from benchmarks.common import DATA, session, workbench
from retail_clusters.core import sweep as study_of
from retail_clusters.core.search import Trial
from retail_clusters.io import tracking
from retail_clusters.jobs import modelling, sweep
from retail_clusters.jobs.modelling import Workbench


def main() -> None:
    """Run the sweep, then evaluate the same candidates without Optuna and MLflow."""
    with session() as spark:
        bench = workbench(spark)
        for seed in range(3):
            modelling.fit(bench, k=20, seed=seed)
        name = sweep.StudyName.of("benchmark", f"sqlite:///{Path.cwd() / 'optuna.db'}")
        study = sweep.open_study(bench, name)
        started = time.perf_counter()
        with tracking.run("sweep") as parent:
            best = sweep.search(bench, study, parent=parent)
        whole = time.perf_counter() - started
        trials = study_of.finished(study)
        alone = evaluate_alone(bench, trials)
        count = len(trials)
        print(f"| {count} trials of {Path(DATA).name} | seconds | a trial |\n|---|---:|---:|")
        print(
            f"| the sweep: Optuna, MLflow, tables and charts included | {whole:.1f} | {whole / count:.2f} |"
        )
        print(f"| fits and evaluations alone, as parallel | {alone:.1f} | {alone / count:.2f} |")
        print(f"| overhead | {whole - alone:.1f} | {(whole - alone) / whole:.0%} of the sweep |")
        print(f"\nBest: K={best.k}, seed {best.seed}, validation silhouette {best.silhouette:.4f}.")
        print("Aims: at most 0.9 s a trial, at most 15 % overhead.")


def evaluate_alone(bench: Workbench, trials: Sequence[Trial]) -> float:
    """Fit and measure the same candidates in the same batches and threads: seconds."""
    settings = bench.experiment.sweep
    evaluate = inheritable_thread_target(bench.training.rows.sparkSession)(
        lambda trial: modelling.fit(bench, k=trial.k, seed=trial.seed)
    )
    started = time.perf_counter()
    with ThreadPoolExecutor(settings.threads) as executor:
        for start in range(0, len(trials), settings.batch_size):
            list(executor.map(evaluate, trials[start : start + settings.batch_size]))
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
