"""Candidates evaluated as Spark tasks: the rows are broadcast once, a task takes a candidate or a few."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

from pyspark import Broadcast, inheritable_thread_target
from pyspark.sql import SparkSession

from retail_clusters.clustering import evaluation, guardrails
from retail_clusters.clustering.blocks import Floats, InMemory
from retail_clusters.clustering.evaluation import Evaluation, Problem
from retail_clusters.search.candidates import Candidate, Trial
from retail_clusters.search.seed_agreement import agreement_of
from retail_clusters.settings import Guardrails

Numbered = tuple[int, Candidate]

#: A task costs Spark about what a candidate costs: a core gets few of them, and waits for none that is late.
_TASKS_PER_CORE: Final = 4


class Fitter(Protocol):
    """How one candidate is fitted and measured, in this process."""

    def __call__(self, problem: Problem, /, *, k: int, seed: int) -> Evaluation:
        """Return the evaluation of (K, seed)."""
        ...


@dataclass(frozen=True, eq=False)
class Evaluator:
    """Evaluates batches of candidates on one problem.

    A trial's bits do not depend on where it ran; a lost executor's tasks are run again by Spark.

    Attributes:
        sent: the problem as it was broadcast; None where its rows, or the solver, are Spark's own and
            candidates take turns.
    """

    problem: Problem
    settings: Guardrails
    spark: SparkSession
    sent: "Broadcast[Problem] | None"
    fitter: Fitter

    def start(self, batch: Sequence[Numbered]) -> "Future[list[Trial]]":
        """Begin to evaluate a batch; the result has the batch's order."""
        executor = ThreadPoolExecutor(1)
        under_way = executor.submit(inheritable_thread_target(self.spark)(self._evaluate), batch)
        executor.shutdown(wait=False)
        return under_way

    def agreements(self, groups: Sequence[Sequence[Trial]]) -> list[float]:
        """Return how far the seeds of each K agree on the validation lines; NaN for one seed alone."""
        if self.sent is None:
            return [float("nan")] * len(groups)
        sent = self.sent

        def run(centres: Sequence[Floats]) -> float:
            rows = sent.value.validation
            return agreement_of(rows, centres) if isinstance(rows, InMemory) else float("nan")

        tasks = [[trial.evaluation.centres for trial in group] for group in groups]
        slices = _tasks(self.spark, len(tasks))
        return self.spark.sparkContext.parallelize(tasks, slices).map(run).collect()

    def release(self) -> None:
        """Let go of the rows that were sent."""
        if self.sent is not None:
            self.sent.destroy()

    def _evaluate(self, batch: Sequence[Numbered]) -> list[Trial]:
        if self.sent is None:
            found = [self.fitter(self.problem, k=k, seed=seed) for _, (k, seed) in batch]
        else:
            found = _run_tasks(self.spark, self.sent, [pair for _, pair in batch])
        return [self._trial(number, each) for (number, _), each in zip(batch, found, strict=True)]

    def _trial(self, number: int, found: Evaluation) -> Trial:
        broken = guardrails.violations(found.validation, settings=self.settings)
        return Trial(number=number, evaluation=found, violations=broken)


def _tasks(spark: SparkSession, candidates: int) -> int:
    """Return how many tasks to cut candidates into: one each, but no more than keep every core busy."""
    return min(candidates, _TASKS_PER_CORE * spark.sparkContext.defaultParallelism)


def _run_tasks(
    spark: SparkSession, sent: "Broadcast[Problem]", batch: Sequence[Candidate]
) -> list[Evaluation]:
    def run(pair: Candidate) -> Evaluation:
        k, seed = pair
        return evaluation.evaluate(sent.value, k=k, seed=seed)

    return spark.sparkContext.parallelize(batch, _tasks(spark, len(batch))).map(run).collect()
