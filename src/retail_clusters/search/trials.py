"""Candidates evaluated as Spark tasks: the rows are broadcast once, a task takes a candidate or a few."""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar, cast

from pyspark import Broadcast, inheritable_thread_target

from retail_clusters.clustering import evaluation, stability
from retail_clusters.clustering.blocks import Block, Floats, InMemory
from retail_clusters.clustering.evaluation import Evaluation, Problem
from retail_clusters.search.context import TrainingContext
from retail_clusters.search.study import Batch, Candidate, Trial

T = TypeVar("T")
R = TypeVar("R")

#: A task costs Spark about what a candidate costs: a core gets few of them, and waits for none that is late.
_TASKS_PER_CORE: Final = 4


@dataclass(frozen=True, eq=False)
class Evaluator:
    """Evaluates batches of candidates on the rows of a context.

    A trial's bits do not depend on where it ran; a lost executor's tasks are run again by Spark.

    Attributes:
        sent: the rows as they were broadcast; None where they, or the solver, are Spark's own and candidates
            take turns.
    """

    context: TrainingContext
    sent: "Broadcast[Problem] | None"

    def start(self, batch: Batch) -> "Future[list[Trial]]":
        """Begin to evaluate a batch; the result has the batch's order."""
        executor = ThreadPoolExecutor(1)
        under_way = executor.submit(inheritable_thread_target(self.context.spark)(self._evaluate), batch)
        executor.shutdown(wait=False)
        return under_way

    def agreements(self, trials: Sequence[Trial]) -> list[float]:
        """Return how far the seeds of each K agree on the validation lines; NaN where the rows are not sent."""
        by_k: dict[int, list[Floats]] = {}
        for trial in trials:
            by_k.setdefault(trial.k, []).append(trial.evaluation.centres)
        groups = [by_k[k] for k in sorted(by_k)]
        return self._in_tasks(self.sent, _agreement, groups) if self.sent else [math.nan] * len(groups)

    def _evaluate(self, batch: Batch) -> list[Trial]:
        pairs = [pair for _, pair in batch]
        if self.sent is None:
            found = [self.context.fit(k=k, seed=seed) for k, seed in pairs]
        else:
            found = self._in_tasks(self.sent, _fit, pairs)
        return [
            Trial(number, each, self.context.violations(each.validation))
            for (number, _), each in zip(batch, found, strict=True)
        ]

    def _in_tasks(
        self, sent: "Broadcast[Problem]", run: Callable[[Problem, T], R], items: Sequence[T]
    ) -> list[R]:
        """Run something for each item beside the rows, in no more tasks than keep every core busy."""
        spark = self.context.spark.sparkContext
        slices = min(len(items), _TASKS_PER_CORE * spark.defaultParallelism)
        return spark.parallelize(items, slices).map(lambda item: run(sent.value, item)).collect()


@contextmanager
def evaluator(context: TrainingContext) -> Iterator[Evaluator]:
    """Send the rows to where candidates are evaluated; let go of them at the end."""
    if not context.whole or context.experiment.training.solver == "spark":
        yield Evaluator(context, sent=None)
        return
    sent = context.spark.sparkContext.broadcast(context.problem)
    try:
        yield Evaluator(context, sent=sent)
    finally:
        sent.destroy()


def _fit(problem: Problem, pair: Candidate) -> Evaluation:
    k, seed = pair
    return evaluation.evaluate(problem, k=k, seed=seed)


def _agreement(problem: Problem, centres: Sequence[Floats]) -> float:
    return stability.seed_agreement(cast("InMemory[Block]", problem.validation), centres)
