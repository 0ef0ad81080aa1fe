"""A study that is stopped, killed or prolonged is the study that ran through."""

from collections import Counter
from concurrent.futures import Future
from pathlib import Path

import optuna
import pytest

from retail_clusters.errors import InputError, NoUsableClusteringError
from retail_clusters.search import candidates, study
from retail_clusters.search.candidates import Trial
from retail_clusters.search.study import Batch, Outcome
from retail_clusters.settings import Sweep
from tests import databases, examples
from tests.search.test_candidates import evaluate

SMALL = Sweep(k_min=2, k_max=9, seeds=3, trials=14, batch_size=4, sampler="tpe")
GRID = SMALL.model_copy(update={"sampler": "grid"})


def start(batch: Batch) -> "Future[list[Trial]]":
    done: Future[list[Trial]] = Future()
    done.set_result([evaluate(number, pair) for number, pair in batch])
    return done


def open_study(storage: str, **identity: str) -> optuna.Study:
    return study.open_study(name="s", storage=storage, identity={"data_digest": "d"} | identity)


def run(
    storage: str, *, settings: Sweep = SMALL, begin=start, stop=lambda: False, **identity: str
) -> Outcome:
    return study.run(
        open_study(storage, **identity), settings=settings, start=begin, on_batch=lambda _: None, stop=stop
    )


def unbroken(settings: Sweep = SMALL) -> list[tuple[object, ...]]:
    return examples.facts(run("sqlite:///:memory:", settings=settings).trials)


def break_off(told: int):
    """Evaluate until trial `told` is asked for; then be interrupted, as by a kill."""

    def begin(batch: Batch) -> "Future[list[Trial]]":
        if any(number >= told for number, _ in batch):
            raise KeyboardInterrupt
        return start(batch)

    return begin


@pytest.mark.parametrize("settings", [SMALL, GRID], ids=["tpe", "grid"])
@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_study_broken_off_between_records_ends_like_an_unbroken_one(tmp_path: Path, settings, kind):
    storage = str(tmp_path / "j") if kind == "journal" else f"sqlite:///{tmp_path / 'study.db'}"
    assert_goes_on(storage, settings)


def test_study_on_postgresql_broken_off_ends_like_an_unbroken_one():
    binaries = databases.programs()
    if binaries is None:
        pytest.skip("there is no PostgreSQL server on this machine (Debian: apt-get install postgresql)")
    with databases.postgresql(binaries) as storage:
        assert_goes_on(storage, SMALL)


def assert_goes_on(storage: str, settings: Sweep) -> None:
    opened = open_study(storage)
    search = candidates.search_of(settings)
    for number, pair in search.next_batch([], trials=14)[:3]:  # killed before the last record of a batch
        opened.add_trial(candidates.record(evaluate(number, pair), settings=settings))
    opened.ask()  # as another tool may leave a trial running, and one waiting
    opened.enqueue_trial({"k": 2, "seed": 0})
    assert examples.facts(run(storage, settings=settings).trials) == unbroken(settings)
    states = Counter(trial.state for trial in open_study(storage).get_trials())
    assert states == {optuna.trial.TrialState.COMPLETE: 14, optuna.trial.TrialState.FAIL: 2}


@pytest.mark.parametrize("told", [0, 4, 8, 12])
def test_study_interrupted_in_a_batch_keeps_the_batches_before_it(tmp_path: Path, told: int):
    storage = str(tmp_path / "journal")
    with pytest.raises(KeyboardInterrupt):
        run(storage, begin=break_off(told))
    assert len(study.finished(open_study(storage))) == told
    assert examples.facts(run(storage).trials) == unbroken()


def test_study_is_prolonged_by_more_trials(tmp_path: Path):
    """Defects 2 and 16: more trials, and another objective, go on with the same study."""
    storage = str(tmp_path / "journal")
    run(storage, settings=SMALL.model_copy(update={"trials": 5}))
    assert examples.facts(run(storage).trials) == unbroken()
    assert examples.facts(run(storage).trials) == unbroken()


def test_whole_space_ends_the_study_and_is_told_as_such():
    twelve = Sweep(k_min=2, k_max=5, seeds=3, trials=40, batch_size=8)
    for settings in (twelve, twelve.model_copy(update={"trials": None})):
        outcome = run("sqlite:///:memory:", settings=settings)
        assert len(outcome.trials) == 12
        assert outcome.reason == "the whole space of 12 pairs of K and seed is tried"


def test_stop_ends_after_the_running_batch_and_the_study_goes_on(tmp_path: Path):
    storage = str(tmp_path / "journal")
    asked = iter([False, True])
    outcome = run(storage, stop=lambda: next(asked))
    assert (len(outcome.trials), outcome.interrupted) == (4, True)
    assert outcome.reason == "stopped by the user after 4 of 14 trials"
    assert examples.facts(run(storage).trials) == unbroken()


def test_every_batch_is_told_once_in_order():
    heard: list[int] = []
    study.run(
        open_study("sqlite:///:memory:"),
        settings=SMALL,
        start=start,
        on_batch=lambda progress: heard.extend(trial.number for trial in progress.new),
        stop=lambda: False,
    )
    assert heard == list(range(14))


def test_other_settings_or_data_under_the_same_name_are_refused(tmp_path: Path):
    storage = str(tmp_path / "journal")
    run(storage)
    with pytest.raises(InputError, match="data_digest was d, is e"):
        run(storage, data_digest="e")
    with pytest.raises(InputError, match=r"split.train_until was None, is 2011-07-01"):
        run(storage, **{"split.train_until": "2011-07-01"})


def test_unusable_storage_is_refused_in_one_line():
    with pytest.raises(InputError, match="storage must be a journal's path or a database URL") as refused:
        study.open_study(name="s", storage="nonsense://x", identity={})
    assert "\n" not in str(refused.value)


def several(k: int, *silhouettes: float, unusable: int = 0, macro: float = 0.5) -> list[Trial]:
    """Make a trial a seed of one K, the last `unusable` of them unusable."""
    share = [0.5] * (len(silhouettes) - unusable) + [0.9] * unusable
    return [
        examples.trial(100 * k + seed, k, seed, silhouette=each, macro=macro, largest_share=share[seed])
        for seed, each in enumerate(silhouettes)
    ]


def chosen(trials: list[Trial], **settings: object) -> tuple[int, int]:
    best = study.best(trials, settings=Sweep.model_validate(settings))
    return best.k, best.seed


def test_best_silhouette_among_the_usable_wins():
    assert chosen([*several(3, 0.99, 0.98, unusable=2), *several(20, 0.6, 0.7)]) == (20, 1)


def test_equal_figures_go_to_the_fewer_clusters_and_the_lower_seed():
    assert chosen([*several(20, 0.7, 0.7), *several(9, 0.7, 0.7)]) == (9, 0)


def test_macro_silhouette_ranks_by_the_mean_over_clusters():
    trials = [*several(9, 0.9, macro=0.2), *several(30, 0.6, macro=0.4), *several(40, 0.5, macro=0.3)]
    assert chosen(trials, objective="macro_silhouette") == (30, 0)


def test_median_counts_an_unusable_seed_as_worse_than_any():
    """Defect 7: K=9 with 1 usable seed of 3 beat K=30 with 3 of 3."""
    trials = [*several(9, 0.95, 0.94, 0.93, unusable=2), *several(30, 0.6, 0.7, 0.65)]
    assert chosen(trials, objective="median_silhouette") == (30, 1)


def test_median_takes_no_k_that_was_tried_by_luck_alone():
    """Defect 7: a K tried once won by luck."""
    trials = [*several(9, 0.95), *several(30, 0.6, 0.7, 0.65)]
    assert chosen(trials, objective="median_silhouette") == (30, 1)
    assert chosen(trials, objective="median_silhouette", min_seeds=1) == (9, 0)
    assert chosen(several(9, 0.95), objective="median_silhouette", seeds=1) == (9, 0)


def test_median_without_a_k_that_has_its_seeds_is_told():
    with pytest.raises(NoUsableClusteringError, match="its K has too few usable seeds"):
        chosen([*several(9, 0.95), *several(30, 0.6)], objective="median_silhouette")


def test_no_usable_trial_names_the_nearest_miss():
    trials = [evaluate(0, (2, 0)), evaluate(1, (3, 0))]
    with pytest.raises(NoUsableClusteringError, match=r"none of 2 trials is; the nearest miss is K=3"):
        study.best(trials, settings=SMALL)


@pytest.mark.parametrize("space", [SMALL, GRID], ids=["tpe", "grid"])
def test_history_of_a_study_is_read_once_however_many_batches_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space: Sweep
):
    """Defect 41: each batch read and parsed the whole history again, which is quadratic in the trials."""
    storage, long = str(tmp_path / "journal"), space.model_copy(update={"trials": 24, "batch_size": 2})
    monkeypatch.setattr(candidates, "_GRID_BATCH", 2)
    run(storage, settings=long.model_copy(update={"trials": 8}))
    opened = open_study(storage)
    parsed, listed = (
        pluralize(monkeypatch, candidates, "recorded"),
        pluralize(monkeypatch, opened, "get_trials"),
    )

    found = study.run(opened, settings=long, start=start, on_batch=lambda _: None, stop=lambda: False)

    assert len(found.trials) == 24
    assert (len(parsed), len(listed)) == (8, 1)


def test_search_takes_a_trial_into_its_history_once(monkeypatch: pytest.MonkeyPatch):
    taken, search = pluralize(monkeypatch, candidates, "record"), candidates.search_of(SMALL)
    history: list[Trial] = []
    while batch := search.next_batch(history, trials=24):
        history += [evaluate(number, pair) for number, pair in batch]

    assert len(history) == len(taken) == 24


def pluralize(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> list[object]:
    """Note each call of a function."""
    calls: list[object] = []
    original = getattr(owner, name)

    def note(*args: object, **options: object) -> object:
        calls.append(args)
        return original(*args, **options)

    monkeypatch.setattr(owner, name, note)
    return calls
