"""A study: which (K, seed) to try next, and what came of those tried; killed, resumed, prolonged, repeated.

It knows nothing of Spark or MLflow. A trial enters the study when it is evaluated, whole, so a killed process
leaves nothing behind; what is tried next follows from the settings and the trials before it alone.
"""

import itertools
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import optuna
from optuna.distributions import IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from retail_clusters.clustering.evaluation import Evaluation
from retail_clusters.clustering.metrics import Quality
from retail_clusters.errors import InputError, NoUsableClusteringError
from retail_clusters.infra.console import in_short
from retail_clusters.infra.secrets import masked
from retail_clusters.settings import Objective, Sweep

Study: TypeAlias = optuna.Study
Candidate: TypeAlias = tuple[int, int]
#: Candidates, each with the number that its trial will have.
Batch: TypeAlias = Sequence[tuple[int, Candidate]]
Start: TypeAlias = Callable[[Batch], "Future[list[Trial]]"]

_IDENTITY: Final = "identity"
_TRIAL: Final = "trial"
#: Enough to keep a cluster busy, few enough to show progress.
_LARGEST_BATCH: Final = 128
#: Below the silhouette of any clustering.
_UNUSABLE: Final = -2.0


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
        """Tell whether every guardrail holds."""
        return not self.why_unusable

    @property
    def why_unusable(self) -> str:
        """Name the guardrails that do not hold, empty when all do."""
        return ", ".join(name for name, excess in self.violations.items() if excess > 0)


def open_study(*, name: str, storage: str, identity: Mapping[str, str]) -> Study:
    """Open a study, new or to be resumed.

    Processes that share one try the same candidates, and record the same trials.

    Args:
        name: of the study.
        storage: a database URL, or else the path of a journal: a file that gains a line a trial.
        identity: settings and data that decide what a trial is.

    Raises:
        InputError: the storage cannot be used, or the study has another identity.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    backend = storage if "://" in storage else JournalStorage(JournalFileBackend(storage))
    try:
        study = optuna.create_study(
            study_name=name, storage=backend, direction="maximize", load_if_exists=True
        )
    except Exception as failure:
        raise InputError(
            "storage must be a journal's path or a database URL that Optuna can open, but "
            f"{masked(storage)} gave: {in_short(failure)}"
        ) from failure
    _check_identity(study, identity)
    return study


def finished(study: Study) -> list[Trial]:
    """Return the trials of a study in the order of asking; one that two machines recorded counts once."""
    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    trials = {trial.number: trial for trial in map(recorded, complete)}
    return [trials[number] for number in sorted(trials)]


def run(
    study: Study,
    *,
    settings: Sweep,
    start: Start,
    on_batch: Callable[[Sequence[Trial]], None],
    stop: Callable[[], bool],
) -> list[Trial]:
    """Evaluate batch after batch until all wanted trials are done, or `stop` says so; return those there are.

    A batch is recorded whole, in the order of asking. What was under way in a killed process is asked again
    from the same history, which gives the same candidates. `on_batch` hears of the new trials while the next
    batch is under way, and of the last ones before this returns.
    """
    trials = finished(study)
    new: list[Trial] = []
    while not stop() and (batch := next_batch(trials, settings=settings)):
        under_way = start(batch)
        if new:
            on_batch(new)
        new = under_way.result()
        for trial in new:
            study.add_trial(record(trial, settings=settings))
        trials = sorted([*trials, *new], key=lambda trial: trial.number)
    if new:
        on_batch(new)
    return trials


def next_batch(trials: Sequence[Trial], *, settings: Sweep) -> Batch:
    """Propose candidates that are not tried yet; none when all wanted ones are."""
    tried = {trial.number for trial in trials}
    planned = _shuffled_space(settings)[: wanted_trials(settings)]
    return [each for each in planned if each[0] not in tried][:_LARGEST_BATCH]


def wanted_trials(settings: Sweep) -> int:
    """Return how many trials a sweep makes: `trials`, or the whole space."""
    space = (settings.k_max - settings.k_min + 1) * settings.seeds
    return min(settings.trials or space, space)


def ended(done: int, *, settings: Sweep, stopped: bool) -> str:
    """Say why a study ends after so many trials."""
    wanted = wanted_trials(settings)
    return (
        f"stopped by the user after {done} of {wanted} trials" if stopped else f"all {wanted} trials are done"
    )


def best(trials: Sequence[Trial], *, settings: Sweep) -> Trial:
    """Choose the best usable trial by `settings.objective`.

    `silhouette` and `macro_silhouette` rank trials. `median_silhouette` ranks K by the median over *all* its
    seeds, an unusable one counting as worse than any, where at least `min_seeds` are tried; of the winning K
    it takes the usable seed with the best silhouette.

    Raises:
        NoUsableClusteringError: no trial, or no K, is usable; names the nearest miss.
    """
    medians: Mapping[int, float] = {}
    eligible = [trial for trial in trials if trial.usable]
    if settings.objective == "median_silhouette":
        medians = _median_silhouettes(trials, min_seeds=min(settings.min_seeds, settings.seeds))
        eligible = [trial for trial in eligible if medians.get(trial.k, _UNUSABLE) >= -1]
    if not eligible:
        raise NoUsableClusteringError(_nearest_miss(trials))
    return max(eligible, key=lambda trial: _rank(trial, settings.objective, medians))


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
        user_attrs={_TRIAL: json.dumps(asdict(trial), default=np.ndarray.tolist)},
        constraints=dict(trial.violations),
    )


def recorded(frozen: FrozenTrial) -> Trial:
    """Read a trial back from its record, to the last bit.

    Raises:
        InputError: it was measured with other metrics than today's.
    """
    content: dict[str, Any] = json.loads(frozen.user_attrs[_TRIAL])
    found = content["evaluation"]
    measured: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in found["validation"].items()
    }
    try:
        made = found | {"validation": Quality(**measured), "centres": np.array(found["centres"])}
        return Trial(content["number"], Evaluation(**made), content["violations"])
    except TypeError as others:
        raise InputError(
            f"a study's trials must hold the metrics of today, but trial {content['number']} has others: choose "
            "another study name"
        ) from others


def _check_identity(study: Study, identity: Mapping[str, str]) -> None:
    known: dict[str, Any] = study.user_attrs.get(_IDENTITY, {})
    if not known:
        study.set_user_attr(_IDENTITY, dict(identity))
        return
    differing = sorted(key for key in known.keys() | identity.keys() if known.get(key) != identity.get(key))
    if differing:
        changes = "; ".join(f"{key} was {known.get(key)}, is {identity.get(key)}" for key in differing)
        raise InputError(
            "a study is resumed with the settings and data it was started with, but for study "
            f"{study.study_name!r} {changes}: restore them, or choose another study name"
        )


def _shuffled_space(settings: Sweep) -> Batch:
    """Return every K with every seed, in the shuffled order in which Optuna's grid sampler gives them."""
    space = list(itertools.product(range(settings.k_min, settings.k_max + 1), range(settings.seeds)))
    np.random.RandomState(settings.sampler_seed).shuffle(space)
    return list(enumerate(space))


def _rank(trial: Trial, objective: Objective, medians: Mapping[int, float]) -> tuple[float, ...]:
    """Return what is compared of two trials; what is equal goes to the fewer clusters and the lower seed."""
    if objective == "median_silhouette":
        return medians[trial.k], -trial.k, trial.silhouette, -trial.seed
    validation = trial.evaluation.validation
    silhouette = validation.silhouette if objective == "silhouette" else validation.macro_silhouette
    return silhouette, -trial.k, -trial.seed


def _median_silhouettes(trials: Sequence[Trial], *, min_seeds: int) -> Mapping[int, float]:
    """Return the median silhouette of each K over all its tried seeds."""
    by_k: dict[int, list[float]] = {}
    for trial in trials:
        by_k.setdefault(trial.k, []).append(trial.silhouette if trial.usable else _UNUSABLE)
    return {k: statistics.median(found) for k, found in by_k.items() if len(found) >= min_seeds}


def _nearest_miss(trials: Sequence[Trial]) -> str:
    nearest = min(trials, key=lambda t: (max(t.violations.values()), -t.silhouette))
    why = nearest.why_unusable or "its K has too few usable seeds"
    return (
        f"a champion needs a usable clustering, but none of {len(trials)} trials is; the nearest miss is "
        f"K={nearest.k}, seed {nearest.seed} ({why}): raise sweep.k_max or guardrails.max_cluster_share"
    )
