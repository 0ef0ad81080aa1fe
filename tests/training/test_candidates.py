from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_clusters.errors import InputError, NoUsableClusteringError
from retail_clusters.settings import Sweep
from retail_clusters.training import candidates
from retail_clusters.training import study as sweep
from retail_clusters.training.candidates import Trial
from tests import databases

SMALL = Sweep(k_min=2, k_max=9, seeds=3, trials=14, batch_size=4)


def evaluate(number: int, candidate: tuple[int, int]) -> Trial:
    """A landscape as on the real data: few clusters score high, and are not usable."""
    k, seed = candidate
    share = 1 - (k - 2) / 10
    return Trial(
        number=number,
        k=k,
        seed=seed,
        silhouette=share - 0.01 * seed,
        train_cost=1000.0 / k,
        iterations=3,
        largest_cluster_share=share,
        effective_clusters=float(k),
        clusters=k,
        violations={"largest_cluster_share": share - 0.8, "clusters": 2.0 - k},
        centres=[[float(k), float(seed)]],
    )


def swept(storage: str, *, settings: Sweep = SMALL, threads: int = 1, stop=lambda: False, **identity):
    study = sweep.open_study(name="s", storage=storage, identity={"data_digest": "d"} | identity)
    with ThreadPoolExecutor(threads) as executor:
        reason = sweep.run(
            study,
            settings=settings,
            evaluate=evaluate,
            executor=executor,
            on_batch=lambda _: None,
            stop=stop,
        )
    return study, sweep.finished(study), reason


@settings(max_examples=15)
@given(
    k_max=st.integers(2, 8),
    seeds=st.integers(1, 3),
    batch=st.integers(1, 6),
    sampler_seed=st.integers(0, 9),
)
def test_no_pair_is_proposed_twice_and_the_space_can_be_exhausted(k_max, seeds, batch, sampler_seed):
    space = Sweep(k_max=k_max, seeds=seeds, batch_size=batch, trials=99, sampler_seed=sampler_seed)
    history: list[Trial] = []
    while proposed := candidates.next_batch(history, settings=space, size=batch):
        history += [evaluate(len(history) + i, pair) for i, pair in enumerate(proposed)]
    pairs = {(trial.k, trial.seed) for trial in history}
    assert len(pairs) == len(history) == candidates.space_size(space)


def test_first_batch_is_spread_over_the_range_of_k():
    batch = candidates.next_batch([], settings=Sweep(k_min=2, k_max=60), size=8)
    assert [k for k, _ in batch] == [2, 10, 19, 27, 35, 43, 52, 60]


def test_same_history_gives_the_same_batch():
    history = [evaluate(i, pair) for i, pair in enumerate(candidates.next_batch([], settings=SMALL, size=4))]
    batches = [candidates.next_batch(history, settings=SMALL, size=4) for _ in range(2)]
    assert batches[0] == batches[1]


def test_trials_are_the_same_with_one_thread_and_with_four():
    _, one, _ = swept("sqlite:///:memory:", threads=1)
    _, four, _ = swept("sqlite:///:memory:", threads=4)
    assert one == four
    assert [trial.number for trial in one] == list(range(14))


@pytest.mark.parametrize("told", range(0, 14, 3))
def test_sweep_broken_off_anywhere_ends_like_an_unbroken_one(tmp_path, told):
    assert_goes_on(f"sqlite:///{tmp_path / 'study.db'}", told)


def test_sweep_on_postgresql_broken_off_ends_like_an_unbroken_one():
    binaries = databases.programs()
    if binaries is None:
        pytest.skip("there is no PostgreSQL server on this machine (Debian: apt-get install postgresql)")
    with databases.postgresql(binaries) as storage:
        assert_goes_on(storage, told=6)


def assert_goes_on(storage: str, told: int) -> None:
    _, unbroken, _ = swept("sqlite:///:memory:")
    study = sweep.open_study(name="s", storage=storage, identity={"data_digest": "d"})
    calls = iter(range(told + 1))

    def break_off(number, candidate):
        if next(calls, None) is None or number == told:
            raise KeyboardInterrupt
        return evaluate(number, candidate)

    with ThreadPoolExecutor(1) as executor, pytest.raises(KeyboardInterrupt):
        sweep.run(
            study,
            settings=SMALL,
            evaluate=break_off,
            executor=executor,
            on_batch=lambda _: None,
            stop=lambda: False,
        )
    assert {trial.state for trial in study.get_trials()} <= {optuna.trial.TrialState.COMPLETE}
    study.ask()  # as another tool may leave a trial running, and one waiting
    study.enqueue_trial({"k": 2, "seed": 0})
    resumed, trials, _ = swept(storage)
    assert trials == unbroken
    states = Counter(trial.state for trial in resumed.get_trials())
    assert states == {optuna.trial.TrialState.COMPLETE: len(trials), optuna.trial.TrialState.FAIL: 2}


def test_exhausted_space_ends_the_sweep_early_and_says_so():
    twelve = Sweep(k_min=2, k_max=5, seeds=3, trials=40, batch_size=8)
    _, trials, reason = swept("sqlite:///:memory:", settings=twelve)
    assert len(trials) == 12
    assert reason == "the space is exhausted: all 12 pairs of K and seed are tried"


def test_stop_ends_after_the_running_batch_and_the_study_goes_on(tmp_path):
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    asked = iter([False, True])
    _, some, reason = swept(storage, stop=lambda: next(asked))
    assert (len(some), reason) == (4, "stopped by the user")
    _, trials, _ = swept(storage)
    assert trials == swept("sqlite:///:memory:")[1]


def test_other_settings_or_data_under_the_same_name_are_refused(tmp_path):
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    swept(storage)
    with pytest.raises(InputError, match="data_digest was d, is e"):
        swept(storage, data_digest="e")
    with pytest.raises(InputError, match=r"split.train_until was None, is 2011-07-01"):
        swept(storage, **{"split.train_until": "2011-07-01"})


def test_unusable_storage_is_refused_in_one_line():
    with pytest.raises(InputError, match="storage must be a database URL") as refused:
        sweep.open_study(name="s", storage="nonsense://x", identity={})
    assert "\n" not in str(refused.value)


def test_best_is_the_best_among_the_usable():
    _, trials, _ = swept("sqlite:///:memory:")
    best = sweep.best(trials, settings=SMALL)
    assert best.usable
    assert best.silhouette == max(trial.silhouette for trial in trials if trial.usable)
    assert best.silhouette < max(trial.silhouette for trial in trials)


def test_best_by_median_prefers_the_k_whose_seeds_agree():
    def trial(number, k, seed, silhouette):
        return Trial(**{**vars(evaluate(number, (k, seed))), "silhouette": silhouette, "violations": {}})

    trials = [trial(0, 5, 0, 0.9), trial(1, 5, 1, 0.1), trial(2, 7, 0, 0.6), trial(3, 7, 1, 0.7)]
    assert sweep.best(trials, settings=Sweep()).k == 5
    chosen = sweep.best(trials, settings=Sweep(objective="median_silhouette"))
    assert (chosen.k, chosen.seed) == (7, 1)


def test_no_usable_trial_names_the_nearest_miss():
    trials = [evaluate(0, (2, 0)), evaluate(1, (3, 0))]
    with pytest.raises(NoUsableClusteringError, match=r"none of 2 trials is; the nearest miss is K=3"):
        sweep.best(trials, settings=SMALL)
