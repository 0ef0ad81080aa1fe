"""The search space of a sweep: which (K, seed) to try next, given what was tried."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Protocol

import numpy as np
import optuna
from optuna.distributions import IntDistribution
from optuna.samplers import GridSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from retail_clusters.clustering.evaluation import Evaluation
from retail_clusters.clustering.metrics import Quality
from retail_clusters.errors import InputError
from retail_clusters.settings import Sweep

Candidate = tuple[int, int]

_TRIAL: Final = "trial"
#: Candidates of a grid evaluated together: enough to keep a cluster busy, few enough to show progress.
_GRID_BATCH: Final = 128


@dataclass(frozen=True, eq=False)
class Trial:
    """An evaluated candidate: its number in the order of asking, and by how much it breaks each guardrail."""

    number: int
    evaluation: Evaluation
    violations: Mapping[str, float]

    @property
    def k(self) -> int:
        """Return how many clusters were asked for."""
        return self.evaluation.k

    @property
    def seed(self) -> int:
        """Return the seed."""
        return self.evaluation.seed

    @property
    def silhouette(self) -> float:
        """Return the silhouette of the validation lines."""
        return self.evaluation.validation.silhouette

    @property
    def usable(self) -> bool:
        """Tell whether every guardrail holds: no violation is above 0."""
        return all(excess <= 0 for excess in self.violations.values())

    @property
    def why_unusable(self) -> str:
        """Name the guardrails that do not hold, empty when all do."""
        return ", ".join(name for name, excess in self.violations.items() if excess > 0)


class Search(Protocol):
    """Proposes candidates. What it proposes follows from the settings and the history alone."""

    def next_batch(self, history: Sequence[Trial], *, trials: int) -> list[tuple[int, Candidate]]:
        """Return untried candidates with their numbers, which are below `trials`; none when all are tried."""
        ...


def search_of(settings: Sweep) -> Search:
    """Return the search that `sweep.sampler` names."""
    return GridSearch(settings) if settings.sampler == "grid" else TpeSearch(settings)


def space_size(settings: Sweep) -> int:
    """Count the (K, seed) pairs of the space."""
    return (settings.k_max - settings.k_min + 1) * settings.seeds


class GridSearch:
    """Every K with every seed, in the shuffled order of Optuna's grid sampler."""

    def __init__(self, settings: Sweep) -> None:
        """Shuffle the space."""
        space = {"k": range(settings.k_min, settings.k_max + 1), "seed": range(settings.seeds)}
        sampler = GridSampler({name: list(values) for name, values in space.items()}, settings.sampler_seed)
        study = optuna.create_study(sampler=sampler)
        self._order = [_suggest(study.ask(), settings) for _ in range(space_size(settings))]

    def next_batch(self, history: Sequence[Trial], *, trials: int) -> list[tuple[int, Candidate]]:
        """Return the next untried pairs of the order."""
        done = {trial.number for trial in history}
        left = [numbered for numbered in enumerate(self._order[:trials]) if numbered[0] not in done]
        return left[:_GRID_BATCH]


class TpeSearch:
    """Batches from a tree-structured Parzen estimator that knows the history as feasible or not.

    The first batch is spread over the range of K. For each later one the sampler is made anew with a seed of
    its own, so what a batch holds depends on the settings and on the history before it alone. A pair that was
    tried gives way to another seed of its K, or else to the nearest K with a seed left.
    """

    def __init__(self, settings: Sweep) -> None:
        """Start with an empty history."""
        self._settings = settings
        self._study = optuna.create_study(direction="maximize")
        self._known = 0

    def next_batch(self, history: Sequence[Trial], *, trials: int) -> list[tuple[int, Candidate]]:
        """Return what is left of the batch under way; it is planned whole, whatever `trials` cuts off."""
        start = len(history) - len(history) % self._settings.batch_size
        batch = self._plan(history[:start])
        numbered = list(enumerate(batch, start=start))[len(history) - start :]
        return [(number, pair) for number, pair in numbered if number < trials]

    def _plan(self, history: Sequence[Trial]) -> list[Candidate]:
        self._learn(history)
        taken = {(trial.k, trial.seed) for trial in history}
        asked = [self._study.ask() for _ in range(self._settings.batch_size)] if history else []
        batch: list[Candidate] = []
        for wanted in self._wanted(asked):
            free = _nearest_free(wanted, taken, self._settings)
            if free is None:
                break
            taken.add(free)
            batch.append(free)
        for trial in asked:
            self._study.tell(trial, state=TrialState.FAIL)
        return batch

    def _wanted(self, asked: Sequence[optuna.Trial]) -> list[Candidate]:
        settings = self._settings
        if asked:
            return [_suggest(trial, settings) for trial in asked]
        spread = np.linspace(settings.k_min, settings.k_max, settings.batch_size).round()
        return [(int(k), position % settings.seeds) for position, k in enumerate(spread)]

    def _learn(self, history: Sequence[Trial]) -> None:
        """Add what is new of the history to the study, and make the sampler anew.

        Its options are named one by one, so that another default of a later Optuna cannot change a replay.
        """
        new = [record(trial, settings=self._settings) for trial in history[self._known :]]
        self._study.add_trials(new)
        self._known = len(history)
        seed = np.random.SeedSequence([self._settings.sampler_seed, len(history)]).generate_state(1)[0]
        self._study.sampler = TPESampler(
            seed=int(seed),
            n_startup_trials=10,
            n_ei_candidates=24,
            multivariate=True,
            group=False,
            constant_liar=True,
        )


def record(trial: Trial, *, settings: Sweep) -> FrozenTrial:
    """Return a trial as a study keeps it: finished, with its guardrails as constraints.

    Added to a study it is one transaction, so a study holds a trial whole or not at all.
    """
    return optuna.trial.create_trial(
        value=trial.silhouette,
        params={"k": trial.k, "seed": trial.seed},
        distributions={
            "k": IntDistribution(settings.k_min, settings.k_max),
            "seed": IntDistribution(0, settings.seeds - 1),
        },
        user_attrs={_TRIAL: _to_json(trial)},
        constraints=dict(trial.violations),
    )


def recorded(frozen: FrozenTrial) -> Trial:
    """Read a trial back from its record, to the last bit.

    Raises:
        InputError: it was measured with other figures than today's.
    """
    facts: dict[str, Any] = json.loads(frozen.user_attrs[_TRIAL])
    found = facts["evaluation"]
    measured: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in found.pop("validation").items()
    }
    others = {field.name for field in fields(Quality)} ^ measured.keys()
    if others:
        raise InputError(
            f"a study's trials must hold the figures of today, but trial {facts['number']} differs in "
            f"{', '.join(sorted(others))}: choose another study name"
        )
    centres = np.array(found.pop("centres"))
    evaluation = Evaluation(**found, validation=Quality(**measured), centres=centres)
    return Trial(number=facts["number"], evaluation=evaluation, violations=facts["violations"])


def _to_json(trial: Trial) -> str:
    found = trial.evaluation
    facts = {name: getattr(found, name) for name in ("k", "seed", "iterations", "train_cost")}
    measured = {"validation": asdict(found.validation), "centres": found.centres.tolist()}
    return json.dumps(
        {"number": trial.number, "violations": dict(trial.violations), "evaluation": facts | measured}
    )


def _suggest(asked: optuna.Trial, settings: Sweep) -> Candidate:
    k = asked.suggest_int("k", settings.k_min, settings.k_max)
    return k, asked.suggest_int("seed", 0, settings.seeds - 1)


def _nearest_free(wanted: Candidate, taken: set[Candidate], settings: Sweep) -> Candidate | None:
    k, seed = wanted
    for other in sorted(range(settings.k_min, settings.k_max + 1), key=lambda other: (abs(other - k), other)):
        for step in range(settings.seeds):
            candidate = (other, (seed + step) % settings.seeds)
            if candidate not in taken:
                return candidate
    return None
