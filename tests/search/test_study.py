"""A study that is stopped, killed, prolonged or worked on twice is the study that ran through."""

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, chdir, nullcontext
from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import settings as examined
from hypothesis import strategies as st
from optuna.trial import TrialState

from retail_clusters.errors import InputError, NoUsableClusteringError
from retail_clusters.search import study
from retail_clusters.search.study import Batch, Candidate, Trial
from retail_clusters.settings import Sweep
from tests import databases, examples

SMALL = Sweep(k_min=2, k_max=9, seeds=3, trials=14)
#: More than a batch.
LARGE = Sweep(k_min=2, k_max=9, seeds=20)
SPACES = st.builds(
    Sweep,
    k_max=st.integers(2, 7),
    seeds=st.integers(1, 3),
    sampler_seed=st.integers(0, 9),
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of its own: a database has its lock file there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evaluate(number: int, pair: Candidate) -> Trial:
    """A landscape as on the real data: few clusters score high, and are not usable."""
    k, seed = pair
    share = 1 - (k - 2) / 10
    return examples.trial(number, k, seed, silhouette=share - 0.01 * seed, largest_share=share)


def start(batch: Batch) -> "Future[list[Trial]]":
    done: Future[list[Trial]] = Future()
    done.set_result([evaluate(number, pair) for number, pair in batch])
    return done


def open_study(storage: str, **identity: str) -> AbstractContextManager[optuna.Study]:
    return nullcontext(study.open_study(name="s", storage=storage, identity={"data_digest": "d"} | identity))


def run(
    storage: str = "journal",
    *,
    settings: Sweep = SMALL,
    begin: Callable[[Batch], "Future[list[Trial]]"] = start,
    stop: Callable[[], bool] = lambda: False,
    **identity: str,
) -> list[tuple[object, ...]]:
    told: list[Trial] = []
    with open_study(storage, **identity) as opened:
        before = len(study.finished(opened))
        trials = study.run(opened, settings=settings, start=begin, on_batch=told.extend, stop=stop)
        assert examples.bits(study.finished(opened)) == examples.bits(trials)
    assert len(told) == len(trials) - before
    assert [trial.number for trial in told] == sorted(trial.number for trial in told)
    return examples.bits(trials)


def unbroken(settings: Sweep = SMALL) -> list[tuple[object, ...]]:
    return run("sqlite:///:memory:", settings=settings)


def searched(space: Sweep, *, until: tuple[int, ...]) -> list[Candidate]:
    """Return the pairs that a study asks for when it is prolonged to each of `until` trials in turn."""
    history: list[Trial] = []
    for trials in until:
        settings = space.model_copy(update={"trials": trials})
        while batch := study.next_batch(history, settings=settings):
            history += [evaluate(number, pair) for number, pair in batch]
    assert [trial.number for trial in history] == list(range(len(history)))
    return [(trial.k, trial.seed) for trial in history]


@examined(max_examples=10)
@given(SPACES)
def test_no_pair_is_proposed_twice_and_the_space_can_be_exhausted(space: Sweep):
    pairs = searched(space, until=(99,))
    assert len(set(pairs)) == len(pairs) == study.wanted_trials(space)


@pytest.mark.parametrize("until", [(3, 14), (1, 2, 3, 14), (4, 14), (9, 14)])
def test_a_study_cut_off_anywhere_and_prolonged_asks_what_an_unbroken_one_asks(until):
    assert searched(SMALL, until=until) == searched(SMALL, until=(14,))


def test_space_is_in_the_shuffled_order_of_optuna_s_grid_sampler():
    space = {"k": list(range(2, 10)), "seed": list(range(3))}
    for seed in (0, 1):
        sampled = optuna.create_study(sampler=optuna.samplers.GridSampler(space, seed=seed))
        asked = [sampled.ask() for _ in range(24)]
        expected = [(each.suggest_int("k", 2, 9), each.suggest_int("seed", 0, 2)) for each in asked]
        assert searched(SMALL.model_copy(update={"sampler_seed": seed}), until=(24,)) == expected


def test_what_is_missing_anywhere_in_the_order_is_asked_for_in_batches_that_show_progress():
    order = searched(SMALL, until=(24,))
    history = [evaluate(number, order[number]) for number in (0, 2, 5)]
    batch = study.next_batch(history, settings=SMALL.model_copy(update={"trials": 7}))
    assert batch == [(number, order[number]) for number in (1, 3, 4, 6)]
    assert [number for number, _ in study.next_batch([], settings=Sweep())] == list(range(128))


def break_off(before: int) -> Callable[[Batch], "Future[list[Trial]]"]:
    """Evaluate until trial `before` is asked for; then be interrupted."""

    def begin(batch: Batch) -> "Future[list[Trial]]":
        if any(number >= before for number, _ in batch):
            raise KeyboardInterrupt
        return start(batch)

    return begin


def assert_goes_on(storage: str, settings: Sweep) -> None:
    with open_study(storage) as opened:
        for number, pair in study.next_batch([], settings=settings)[:3]:  # killed within the first batch
            opened.add_trial(study.record(evaluate(number, pair), settings=settings))
        opened.ask()  # as another tool may leave a trial running, and one waiting
        opened.enqueue_trial({"k": 2, "seed": 0})
    for told in (4, 130):
        with pytest.raises(KeyboardInterrupt):
            run(storage, settings=settings, begin=break_off(told))
    assert run(storage, settings=settings) == unbroken(settings)


@pytest.mark.parametrize("storage", ["journal", "sqlite:///study.db"])
def test_study_killed_and_interrupted_ends_like_an_unbroken_one(storage: str):
    assert_goes_on(storage, LARGE)


@pytest.mark.soak
def test_study_on_postgresql_killed_and_interrupted_ends_like_an_unbroken_one():
    binaries = databases.programs()
    if binaries is None:
        pytest.skip("there is no PostgreSQL server on this machine (Debian: apt-get install postgresql)")
    with databases.postgresql(binaries) as storage:
        assert_goes_on(storage, LARGE)


def test_study_is_prolonged_by_more_trials_and_then_has_nothing_left():
    run(settings=SMALL.model_copy(update={"trials": 5}))
    assert run() == unbroken()
    assert run() == unbroken()


def test_stop_ends_after_the_running_batch_and_the_study_goes_on():
    asked = iter([False, True])
    assert len(run(settings=LARGE, stop=lambda: next(asked))) == 128
    assert run(settings=LARGE) == unbroken(LARGE)


def test_two_machines_on_one_database_record_the_same_trials_and_each_counts_once(place: Path):
    storage, other = f"sqlite:///{place / 'study.db'}", place / "other"
    other.mkdir()

    def meanwhile(batch: Batch) -> "Future[list[Trial]]":
        with chdir(other):
            assert run(storage) == unbroken()
        return start(batch)

    assert run(storage, begin=meanwhile) == unbroken()
    with open_study(storage) as opened:
        assert len(opened.get_trials(states=[TrialState.COMPLETE])) == 2 * 14
        assert examples.bits(study.finished(opened)) == unbroken()


def test_the_end_of_a_study_is_told():
    twelve = Sweep(k_min=2, k_max=5, seeds=3, trials=40)
    assert study.wanted_trials(twelve) == 12
    assert study.ended(12, settings=twelve, stopped=False) == "all 12 trials are done"
    assert study.ended(14, settings=SMALL, stopped=False) == "all 14 trials are done"
    assert study.ended(4, settings=SMALL, stopped=True) == "stopped by the user after 4 of 14 trials"


def test_other_settings_or_data_under_the_same_name_are_refused():
    run()
    with pytest.raises(InputError, match="data_digest was d, is e"):
        run(data_digest="e")
    with pytest.raises(InputError, match=r"split.train_until was None, is 2011-07-01"):
        run(**{"split.train_until": "2011-07-01"})


def test_unusable_storage_is_refused_in_one_line():
    with (
        pytest.raises(InputError, match="storage must be a journal's path or a database URL") as refused,
        open_study("nonsense://x"),
    ):
        pass
    assert "\n" not in str(refused.value)


@given(
    silhouette=NUMBERS,
    centres=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=3),
    share=st.floats(0, 1),
)
def test_trial_is_read_from_its_record_to_the_bit(silhouette, centres, share):
    made = examples.trial(
        7, 5, 2, silhouette=silhouette, macro=-0.0, largest_share=share, centres=np.array(centres)
    )
    again = study.recorded(study.record(made, settings=SMALL))
    assert examples.bits([again]) == examples.bits([made])


def test_record_holds_the_guardrails_as_constraints_and_other_metrics_are_refused():
    record = study.record(evaluate(3, (2, 0)), settings=SMALL)
    assert record.constraints["largest_cluster_share"] == pytest.approx(0.2)
    record.user_attrs["trial"] = record.user_attrs["trial"].replace("davies_bouldin", "dunn")
    with pytest.raises(InputError, match="trial 3 has others: choose another study"):
        study.recorded(record)


def several(k: int, *silhouettes: float, unusable: int = 0, macro: float = 0.5) -> list[Trial]:
    """Make a trial a seed of one K, the last `unusable` of them unusable."""
    share = [0.5] * (len(silhouettes) - unusable) + [0.9] * unusable
    return [
        examples.trial(100 * k + seed, k, seed, silhouette=each, macro=macro, largest_share=share[seed])
        for seed, each in enumerate(silhouettes)
    ]


MEDIAN = "median_silhouette"


@pytest.mark.parametrize(
    ("trials", "settings", "chosen"),
    [
        ([*several(3, 0.99, 0.98, unusable=2), *several(20, 0.6, 0.7)], {}, (20, 1)),
        ([*several(20, 0.7, 0.7), *several(9, 0.7, 0.7)], {}, (9, 0)),
        (
            [*several(9, 0.9, macro=0.2), *several(30, 0.6, macro=0.4)],
            {"objective": "macro_silhouette"},
            (30, 0),
        ),
        # An unusable seed counts as worse than any; a K that was tried once is luck, unless settings say so.
        (
            [*several(9, 0.9, 0.9, 0.9, unusable=2), *several(30, 0.6, 0.7, 0.65)],
            {"objective": MEDIAN},
            (30, 1),
        ),
        ([*several(9, 0.95), *several(30, 0.6, 0.7, 0.65)], {"objective": MEDIAN}, (30, 1)),
        ([*several(9, 0.95), *several(30, 0.6, 0.7, 0.65)], {"objective": MEDIAN, "min_seeds": 1}, (9, 0)),
        (several(9, 0.95), {"objective": MEDIAN, "seeds": 1}, (9, 0)),
    ],
)
def test_best_usable_trial_by_each_objective(trials: list[Trial], settings, chosen: Candidate):
    best = study.best(trials, settings=Sweep.model_validate(settings))
    assert (best.k, best.seed) == chosen


def test_no_usable_trial_names_the_nearest_miss():
    trials = [evaluate(0, (2, 0)), evaluate(1, (3, 0))]
    with pytest.raises(NoUsableClusteringError, match=r"none of 2 trials is; the nearest miss is K=3"):
        study.best(trials, settings=SMALL)
    with pytest.raises(NoUsableClusteringError, match="its K has too few usable seeds"):
        study.best(several(9, 0.95), settings=Sweep(objective=MEDIAN))
