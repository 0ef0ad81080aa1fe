"""The search space of a sweep: which (K, seed) to try next, given what was tried."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.samplers import TPESampler

from retail_clusters.settings import Sweep

Candidate = tuple[int, int]


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


def ask_for(study: optuna.Study, candidate: Candidate, *, settings: Sweep) -> optuna.Trial:
    """Open a trial of exactly this candidate."""
    k, seed = candidate
    study.enqueue_trial({"k": k, "seed": seed})
    asked = study.ask()
    _suggest(asked, settings)
    return asked


def tell(study: optuna.Study, asked: optuna.Trial, trial: Trial) -> None:
    """Close a trial with what was measured; guardrails are its constraints."""
    for name, excess in trial.violations.items():
        asked.set_constraint(name, excess)
    study.tell(asked, trial.silhouette)


def _study_of(history: Sequence[Trial], *, settings: Sweep) -> optuna.Study:
    seed = int(np.random.SeedSequence([settings.sampler_seed, len(history)]).generate_state(1)[0])
    study = optuna.create_study(direction="maximize", sampler=TPESampler(seed=seed, constant_liar=True))
    for trial in history:
        tell(study, ask_for(study, (trial.k, trial.seed), settings=settings), trial)
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
