"""Ask, evaluate, record: a study that can be killed, resumed, prolonged and repeated.

It knows nothing of Spark or MLflow. Which trials a study holds, and their values, depend on the settings and
on the evaluation alone, not on cores or interruptions.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from retail_clusters.errors import InputError, NoUsableClusteringError
from retail_clusters.infra.console import in_short
from retail_clusters.infra.secrets import masked
from retail_clusters.search import candidates
from retail_clusters.search.candidates import Candidate, Trial
from retail_clusters.settings import Sweep
from retail_clusters.wording import percent

Batch = Sequence[tuple[int, Candidate]]
Start = Callable[[Batch], "Future[list[Trial]]"]

_IDENTITY: Final = "identity"


@dataclass(frozen=True, eq=False)
class Progress:
    """What is known after a batch."""

    trials: Sequence[Trial]
    new: Sequence[Trial]


@dataclass(frozen=True, eq=False)
class Outcome:
    """The trials of a study in the order of asking, and why it ended; `interrupted` by the user or not."""

    trials: Sequence[Trial]
    reason: str
    interrupted: bool


def open_study(*, name: str, storage: str, identity: Mapping[str, str]) -> optuna.Study:
    """Open a study, new or to be resumed, and retire trials that another tool has left waiting or running.

    `storage` is a database URL, or else the path of a journal: a file that gains a line a trial.

    Raises:
        InputError: the storage cannot be used, or the study was started with another identity (settings
            and data digest).
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            study_name=name, storage=_storage(storage), direction="maximize", load_if_exists=True
        )
    except Exception as failure:
        raise InputError(
            "storage must be a journal's path or a database URL that Optuna can open, but "
            f"{masked(storage)} gave: {in_short(failure)}"
        ) from failure
    _check_identity(study, name, identity)
    _retire_unfinished(study)
    return study


def attributes(*, name: str, storage: str) -> Mapping[str, Any]:
    """Return what is noted on a study; nothing where there is none of this name."""
    try:
        return dict(optuna.load_study(study_name=name, storage=_storage(storage)).user_attrs)
    except KeyError:
        return {}


def finished(study: optuna.Study) -> list[Trial]:
    """Return the evaluated trials of a study, in the order in which they were asked."""
    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    return sorted(map(candidates.recorded, complete), key=lambda trial: trial.number)


def run(
    study: optuna.Study,
    *,
    settings: Sweep,
    start: Start,
    on_batch: Callable[[Progress], None],
    stop: Callable[[], bool],
) -> Outcome:
    """Evaluate batch after batch until `settings.trials`, or the whole space, are done.

    A batch is recorded whole, in the order of asking. What was under way in a killed process is asked again
    from the same history, which gives the same candidates. `on_batch` hears of a batch while the next one is
    under way, and of the last one before this returns.
    """
    search = candidates.search_of(settings)
    wanted = wanted_trials(settings)
    done = finished(study)
    unheard: list[Progress] = []

    def tell_user() -> None:
        while unheard:
            on_batch(unheard.pop(0))

    while not (interrupted := stop()) and (batch := search.next_batch(done, trials=wanted)):
        started = datetime.now()
        under_way = start(batch)
        tell_user()
        new = [_record(study, trial, settings, started) for trial in under_way.result()]
        done = sorted([*done, *new], key=lambda trial: trial.number)
        unheard.append(Progress(trials=done, new=new))
    tell_user()
    return Outcome(done, _reason(len(done), wanted, settings, interrupted=interrupted), interrupted)


def best(trials: Sequence[Trial], *, settings: Sweep) -> Trial:
    """Choose the best usable trial by `settings.objective`.

    `silhouette` and `macro_silhouette` rank trials. `median_silhouette` ranks K by the median over *all* its
    seeds, an unusable one counting as worse than any, where at least `min_seeds` are tried; of the winning K
    it takes the usable seed with the best silhouette.

    Raises:
        NoUsableClusteringError: no trial, or no K, is usable; names the nearest miss.
    """
    usable = [trial for trial in trials if trial.usable]
    if settings.objective == "median_silhouette":
        medians = median_silhouettes(trials, min_seeds=min(settings.min_seeds, settings.seeds))
        eligible = [trial for trial in usable if medians.get(trial.k, -2.0) >= -1]
        if eligible:
            return max(eligible, key=lambda t: (medians[t.k], -t.k, t.silhouette, -t.seed))
    elif usable and settings.objective == "macro_silhouette":
        return max(usable, key=lambda t: (t.evaluation.validation.macro_silhouette, -t.k, -t.seed))
    elif usable:
        return max(usable, key=lambda t: (t.silhouette, -t.k, -t.seed))
    raise NoUsableClusteringError(_nearest_miss(trials))


def median_silhouettes(trials: Sequence[Trial], *, min_seeds: int) -> Mapping[int, float]:
    """Return the median silhouette of each K over all its tried seeds; an unusable one counts as -2."""
    by_k: dict[int, list[float]] = {}
    for trial in trials:
        by_k.setdefault(trial.k, []).append(trial.silhouette if trial.usable else -2.0)
    return {k: statistics.median(found) for k, found in by_k.items() if len(found) >= min_seeds}


def wanted_trials(settings: Sweep) -> int:
    """Return how many trials a sweep makes: `trials`, or the whole space."""
    space = candidates.space_size(settings)
    return min(settings.trials or space, space)


def _reason(done: int, wanted: int, settings: Sweep, *, interrupted: bool) -> str:
    if interrupted:
        return f"stopped by the user after {done} of {wanted} trials"
    if done >= candidates.space_size(settings):
        return f"the whole space of {done} pairs of K and seed is tried"
    return f"all {wanted} trials are done"


def _storage(storage: str) -> str | BaseStorage:
    return storage if "://" in storage else JournalStorage(JournalFileBackend(storage))


def _record(study: optuna.Study, trial: Trial, settings: Sweep, started: datetime) -> Trial:
    record = candidates.record(trial, settings=settings)
    record.datetime_start = started
    study.add_trial(record)
    return trial


def _retire_unfinished(study: optuna.Study) -> None:
    for _ in study.get_trials(deepcopy=False, states=[TrialState.WAITING]):
        study.ask()
    for running in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        study.tell(running.number, state=TrialState.FAIL)


def _check_identity(study: optuna.Study, name: str, identity: Mapping[str, str]) -> None:
    known: dict[str, Any] = study.user_attrs.get(_IDENTITY, {})
    if not known:
        study.set_user_attr(_IDENTITY, dict(identity))
        return
    differing = sorted(key for key in known.keys() | identity.keys() if known.get(key) != identity.get(key))
    if differing:
        changes = "; ".join(f"{key} was {known.get(key)}, is {identity.get(key)}" for key in differing)
        raise InputError(
            f"a study is resumed with the settings and data it was started with, but for study {name!r} "
            f"{changes}: restore them, or choose another study name"
        )


def _nearest_miss(trials: Sequence[Trial]) -> str:
    nearest = min(trials, key=lambda t: (max(t.violations.values()), -t.silhouette))
    share = nearest.evaluation.validation.largest_cluster_share
    why = nearest.why_unusable or "its K has too few usable seeds"
    return (
        f"a champion needs a usable clustering, but none of {len(trials)} trials is; the nearest miss is "
        f"K={nearest.k}, seed {nearest.seed}, with {percent(share)} of the validation lines in one cluster "
        f"({why}): raise sweep.k_max or guardrails.max_cluster_share"
    )
