"""Ask, evaluate, tell: a study that can be killed, resumed and repeated.

It takes `evaluate(k, seed)` and knows nothing of Spark or MLflow. Which trials a study holds, and their
values, depend on the settings and on `evaluate` alone, not on threads, cores or interruptions.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import optuna
from optuna.trial import TrialState

from retail_clusters.errors import InputError, NoUsableClusteringError
from retail_clusters.settings import Sweep
from retail_clusters.training import candidates as search
from retail_clusters.training.candidates import Candidate, Trial

Evaluate = Callable[[int, Candidate], Trial]

_IDENTITY: Final = "identity"


@dataclass(frozen=True)
class Progress:
    """What is known after a batch."""

    trials: Sequence[Trial]
    new: Sequence[Trial]


def open_study(*, name: str, storage: str, identity: Mapping[str, str]) -> optuna.Study:
    """Open a study, new or to be resumed, and retire trials that someone has left waiting or running.

    A sweep itself leaves none: a trial enters its study when it is evaluated, in one transaction.

    Raises:
        InputError: the storage cannot be used, or the study was started with another identity (settings
            and data digest).
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            study_name=name, storage=storage, direction="maximize", load_if_exists=True
        )
    except Exception as failure:
        reason = " ".join(str(failure).split())[:300]
        raise InputError(
            f"storage must be a database URL that Optuna can open, but {storage!r} gave: {reason}"
        ) from failure
    _check_identity(study, name, identity)
    _retire_unfinished(study)
    return study


def finished(study: optuna.Study) -> list[Trial]:
    """Return the evaluated trials of a study, in the order in which they were asked."""
    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    return sorted(map(search.recorded, complete), key=lambda trial: trial.number)


def run(
    study: optuna.Study,
    *,
    settings: Sweep,
    evaluate: Evaluate,
    executor: Executor,
    on_batch: Callable[[Progress], None],
    stop: Callable[[], bool],
) -> str:
    """Evaluate batch after batch until `settings.trials` are done; say why it ended.

    A batch is asked as a whole, evaluated in parallel, and recorded in the order in which it was asked.
    What was under way in a killed process is asked again from the history before its batch, which gives
    the same candidates.
    `on_batch` hears of a batch while the next one is under way, and of the last one before this returns.
    """
    unheard: list[Progress] = []

    def tell_user() -> None:
        while unheard:
            on_batch(unheard.pop(0))

    reason = f"all {settings.trials} trials are done"
    while len(done := finished(study)) < settings.trials:
        if stop():
            reason = "stopped by the user"
            break
        start = len(done) - len(done) % settings.batch_size
        size = min(settings.batch_size, settings.trials - start)
        batch = search.next_batch(done[:start], settings=settings, size=size)
        pending = list(enumerate(batch, start=start))[len(done) - start :]
        if not pending:
            reason = f"the space is exhausted: all {len(done)} pairs of K and seed are tried"
            break
        started = datetime.now()
        under_way = [executor.submit(evaluate, number, pair) for number, pair in pending]
        tell_user()
        new = [_record(study, one, settings, started) for one in map(Future.result, under_way)]
        unheard.append(Progress(trials=[*done, *new], new=new))
    tell_user()
    return reason


def best(trials: Sequence[Trial], *, settings: Sweep) -> Trial:
    """Choose the best usable trial: by its silhouette, or by the median over the usable seeds of its K.

    Raises:
        NoUsableClusteringError: no trial is usable; names the nearest miss.
    """
    usable = [trial for trial in trials if trial.usable]
    if not usable:
        raise NoUsableClusteringError(_nearest_miss(trials))
    if settings.objective == "median_silhouette":
        medians = {
            k: statistics.median(trial.silhouette for trial in usable if trial.k == k)
            for k in {trial.k for trial in usable}
        }
        return max(usable, key=lambda t: (medians[t.k], -t.k, t.silhouette, -t.seed))
    return max(usable, key=lambda t: (t.silhouette, -t.k, -t.seed))


def _record(study: optuna.Study, trial: Trial, settings: Sweep, started: datetime) -> Trial:
    record = search.record(trial, settings=settings)
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
    return (
        f"a champion needs a usable clustering, but none of {len(trials)} trials is; the nearest miss is "
        f"K={nearest.k}, seed {nearest.seed}, with {nearest.largest_cluster_share:.1%} of the validation "
        f"lines in one cluster ({nearest.why_unusable}): raise sweep.k_max or guardrails.max_cluster_share"
    )
