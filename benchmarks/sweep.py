"""The whole space of K and seed: its fits alone, the sweep around them, and how both grow."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.common import DATA, PROJECT, chatter_aside, session, timed, training_context, verdict
from retail_clusters.registry import tracking
from retail_clusters.search import study, sweep
from retail_clusters.search.context import TrainingContext
from retail_clusters.search.trials import evaluator

_TURNS: Final = 3
_CORES: Final = (1, 2, 4)


def main() -> None:
    """Measure each number of cores in a process of its own."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--here", action="store_true", help="measure in this process, as its master says")
    if parser.parse_args().here:
        print(json.dumps(measure()))
        return
    found = {cores: _measure(cores) for cores in _CORES}
    two = found[2]
    pairs, fits = two["pairs"], statistics.median(two["fits"])
    print(f"The whole space of {pairs} pairs of {Path(DATA).name}, medians of {_TURNS}, 2 cores:\n")
    print("| | s | aim | |\n|---|---:|---:|---|")
    whole = statistics.median(two["sweep"])
    for name, seconds, aim in (
        ("fits and evaluations", fits, 15.0),
        ("the sweep: child runs, tables, charts", whole, 30.0),
    ):
        print(f"| {name} | {seconds:.1f} | {aim:.0f} | {verdict(seconds, aim)} |")
    print(f"| the first fits of a process | {two['first']:.1f} | | |")
    print(f"| the first half of the pairs | {statistics.median(two['half']):.1f} | | |")
    print("\n| master | fits and evaluations s | the sweep s |\n|---|---:|---:|")
    for cores, times in found.items():
        print(
            f"| local[{cores}] | {statistics.median(times['fits']):.1f} "
            f"| {statistics.median(times['sweep']):.1f} |"
        )
    print(f"\nThis machine has {os.cpu_count()} cores. Best: {two['best']}.")


def measure() -> dict[str, Any]:
    """Time the fits of all pairs, of half of them, and sweeps: seconds."""
    with session() as spark:
        context = training_context(spark)
        space = study.wanted_trials(context.experiment.sweep)
        first = timed(lambda: _fits(context, space))
        fits = [timed(lambda: _fits(context, space)) for _ in range(_TURNS)]
        half = [timed(lambda: _fits(context, space // 2)) for _ in range(_TURNS)]
        sweeps = [_sweep(context, f"turn-{turn}") for turn in range(_TURNS)]
    return {
        "pairs": space,
        "first": first,
        "fits": fits,
        "half": half,
        "sweep": [seconds for seconds, _ in sweeps],
        "best": sweeps[0][1],
    }


def _measure(cores: int) -> dict[str, Any]:
    environment = os.environ | {"SPARK_MASTER": f"local[{cores}]"}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.sweep", "--here"],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _fits(context: TrainingContext, trials: int) -> None:
    """Evaluate the first pairs of the space in the sweep's batches, without the records of a sweep."""
    settings = context.experiment.sweep.model_copy(update={"trials": trials})
    done: list[study.Trial] = []
    with evaluator(context) as evaluating:
        while batch := study.next_batch(done, settings=settings):
            done += evaluating.start(batch).result()


def _sweep(context: TrainingContext, name: str) -> tuple[float, str]:
    with chatter_aside():
        started = time.perf_counter()
        opened = sweep.open_study(context, name=name)
        with tracking.run("sweep"):
            best, _ = sweep.search(context, opened, entry_point="sweep")
            seconds = time.perf_counter() - started
            assert len(study.finished(opened)) == study.wanted_trials(context.experiment.sweep)
    return seconds, f"K={best.k}, seed {best.seed}, validation silhouette {best.silhouette:.4f}"


if __name__ == "__main__":
    main()
