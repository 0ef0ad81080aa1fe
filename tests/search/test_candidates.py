import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_clusters.errors import InputError
from retail_clusters.search import candidates
from retail_clusters.search.candidates import Candidate, Trial
from retail_clusters.settings import Sweep
from tests import examples

SMALL = Sweep(k_min=2, k_max=9, seeds=3, batch_size=4)
SPACES = st.builds(
    Sweep,
    k_max=st.integers(2, 7),
    seeds=st.integers(1, 3),
    batch_size=st.integers(1, 6),
    sampler_seed=st.integers(0, 9),
    sampler=st.sampled_from(["grid", "tpe"]),
)
METRICS = st.floats(allow_nan=False, allow_infinity=False)


def evaluate(number: int, pair: Candidate) -> Trial:
    """A landscape as on the real data: few clusters score high, and are not usable."""
    k, seed = pair
    share = 1 - (k - 2) / 10
    return examples.trial(number, k, seed, silhouette=share - 0.01 * seed, largest_share=share)


def searched(space: Sweep, *, until: tuple[int, ...]) -> list[Candidate]:
    """Return the pairs that a study asks for when it is prolonged to each of `until` trials in turn."""
    history: list[Trial] = []
    for trials in until:
        search = candidates.search_of(space)
        while batch := search.next_batch(history, trials=trials):
            history += [evaluate(number, pair) for number, pair in batch]
    assert [trial.number for trial in history] == list(range(len(history)))
    return [(trial.k, trial.seed) for trial in history]


@settings(max_examples=10)
@given(SPACES)
def test_no_pair_is_proposed_twice_and_the_space_can_be_exhausted(space):
    pairs = searched(space, until=(99,))
    assert len(set(pairs)) == len(pairs) == candidates.space_size(space)


@pytest.mark.parametrize("sampler", ["grid", "tpe"])
@pytest.mark.parametrize("until", [(3, 14), (1, 2, 3, 14), (4, 14), (9, 14)])
def test_a_study_cut_off_anywhere_and_prolonged_asks_what_an_unbroken_one_asks(sampler, until):
    """Defect 16: a small first batch spread K differently, and prolonging it repeated pairs."""
    space = SMALL.model_copy(update={"sampler": sampler})
    assert searched(space, until=until) == searched(space, until=(14,))


def test_grid_is_in_one_shuffled_order_for_a_sampler_seed():
    one, again, other = (
        searched(SMALL.model_copy(update={"sampler_seed": seed}), until=(24,)) for seed in (0, 0, 1)
    )
    assert one == again != other
    assert sorted(one) == sorted(other) != one


def test_grid_asks_for_what_is_missing_anywhere_in_its_order():
    order = searched(SMALL, until=(24,))
    history = [evaluate(number, order[number]) for number in (0, 2, 5)]
    batch = candidates.search_of(SMALL).next_batch(history, trials=7)
    assert batch == [(number, order[number]) for number in (1, 3, 4, 6)]


def test_grid_asks_in_batches_that_show_progress():
    batch = candidates.search_of(Sweep()).next_batch([], trials=472)
    assert [number for number, _ in batch] == list(range(128))


def test_first_batch_of_tpe_is_spread_over_the_range_of_k():
    batch = candidates.search_of(Sweep(sampler="tpe")).next_batch([], trials=40)
    assert [k for _, (k, _) in batch] == [2, 10, 19, 27, 35, 43, 52, 60]


def test_tpe_asks_for_what_is_left_of_the_batch_under_way():
    space = SMALL.model_copy(update={"sampler": "tpe"})
    whole = searched(space, until=(8,))
    history = [evaluate(number, pair) for number, pair in enumerate(whole[:6])]
    batch = candidates.search_of(space).next_batch(history, trials=20)
    assert batch == [(6, whole[6]), (7, whole[7])]


@given(
    silhouette=METRICS,
    centres=st.lists(st.tuples(METRICS, METRICS), min_size=1, max_size=3),
    share=st.floats(0, 1),
)
def test_trial_comes_back_from_its_record_to_the_bit(silhouette, centres, share):
    made = examples.trial(
        7, 5, 2, silhouette=silhouette, macro=-0.0, largest_share=share, centres=np.array(centres)
    )
    again = candidates.recorded(candidates.record(made, settings=SMALL))
    assert examples.facts([again]) == examples.facts([made])


def test_a_trial_of_other_figures_than_todays_is_refused_with_the_way_out():
    record = candidates.record(evaluate(3, (2, 0)), settings=SMALL)
    record.user_attrs["trial"] = record.user_attrs["trial"].replace("davies_bouldin", "dunn")
    with pytest.raises(InputError, match=r"trial 3 differs in davies_bouldin, dunn: choose another study"):
        candidates.recorded(record)


def test_record_holds_the_guardrails_as_constraints():
    record = candidates.record(evaluate(0, (2, 0)), settings=SMALL)
    assert record.constraints["largest_cluster_share"] == pytest.approx(0.2)
    assert evaluate(0, (2, 0)).why_unusable == "largest_cluster_share"
    assert evaluate(0, (4, 0)).usable
