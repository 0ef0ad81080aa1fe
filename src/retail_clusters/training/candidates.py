"""The search space of a sweep: which (K, seed) to try next, given what was tried."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import optuna
from optuna.distributions import IntDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial

from retail_clusters.settings import Sweep

Candidate = tuple[int, int]

_TRIAL: Final = "trial"


@dataclass(frozen=True)
class Trial:
    """One evaluated (K, seed): measured on validation lines, except the training cost."""

    number: int
    k: int
    seed: int
    silhouette: float
    train_cost: float
    iterations: int
    largest_cluster_share: float
    effective_clusters: float
    clusters: int
    violations: Mapping[str, float]
    centres: Sequence[Sequence[float]]

    @property
    def usable(self) -> bool:
        """Tell whether every guardrail holds: no violation is above 0."""
        return all(excess <= 0 for excess in self.violations.values())

    @property
    def why_unusable(self) -> str:
        """Name the guardrails that do not hold, empty when all do."""
        return ", ".join(name for name, excess in self.violations.items() if excess > 0)


def next_batch(history: Sequence[Trial], *, settings: Sweep, size: int) -> list[Candidate]:
    """Propose up to `size` untried (K, seed); fewer only when the space is exhausted.

    The first batch is spread over the range of K. Later ones come from a TPE sampler that knows the
    history as feasible or not; it is made anew for each batch, with a seed of its own, so what a batch
    holds depends on the settings and on the history alone. A pair that was tried gives way to another
    seed of its K, or else to the nearest K with a seed left.
    """
    taken = {(trial.k, trial.seed) for trial in history}
    study = _study_of(history, settings=settings)
    batch: list[Candidate] = []
    for position in range(size):
        if history:
            wanted = _suggest(study.ask(), settings)
        else:
            wanted = (_spread(position, size, settings), position % settings.seeds)
        free = _nearest_free(wanted, taken, settings)
        if free is None:
            break
        taken.add(free)
        batch.append(free)
    return batch


def space_size(settings: Sweep) -> int:
    """Count the (K, seed) pairs of the space."""
    return (settings.k_max - settings.k_min + 1) * settings.seeds


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
        user_attrs={_TRIAL: json.dumps(asdict(trial))},
        constraints=dict(trial.violations),
    )


def recorded(frozen: FrozenTrial) -> Trial:
    """Read a trial back from its record, to the last bit."""
    return Trial(**json.loads(frozen.user_attrs[_TRIAL]))


def _study_of(history: Sequence[Trial], *, settings: Sweep) -> optuna.Study:
    seed = int(np.random.SeedSequence([settings.sampler_seed, len(history)]).generate_state(1)[0])
    study = optuna.create_study(direction="maximize", sampler=TPESampler(seed=seed, constant_liar=True))
    study.add_trials([record(trial, settings=settings) for trial in history])
    return study


def _suggest(asked: optuna.Trial, settings: Sweep) -> Candidate:
    k = asked.suggest_int("k", settings.k_min, settings.k_max)
    return k, asked.suggest_int("seed", 0, settings.seeds - 1)


def _spread(position: int, size: int, settings: Sweep) -> int:
    return int(np.linspace(settings.k_min, settings.k_max, size).round()[position])


def _nearest_free(wanted: Candidate, taken: set[Candidate], settings: Sweep) -> Candidate | None:
    k, seed = wanted
    for other in sorted(range(settings.k_min, settings.k_max + 1), key=lambda other: (abs(other - k), other)):
        for step in range(settings.seeds):
            candidate = (other, (seed + step) % settings.seeds)
            if candidate not in taken:
                return candidate
    return None
