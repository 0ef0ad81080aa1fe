"""What the page of a sweep says, from trials alone."""

from retail_clusters.search import study, sweep_report
from retail_clusters.search.study import Trial
from retail_clusters.settings import Sweep
from tests import examples

SWEEP = Sweep(k_min=2, k_max=3, seeds=2, min_seeds=1)
TRIALS = [
    examples.trial(0, 2, 0, silhouette=0.9, macro=0.1),
    examples.trial(1, 2, 1, silhouette=0.5, macro=0.5),
    examples.trial(2, 3, 0, silhouette=0.6, largest_share=0.9),
]


def described(trials: list[Trial], *, usable: bool = True) -> str:
    seeds = sweep_report.seeds_table(
        sweep_report.trials_table(trials), [0.25] * len({each.k for each in trials})
    )
    best = study.best(trials, settings=SWEEP) if usable else None
    return sweep_report.description(trials, best=best, seeds=seeds, sweep=SWEEP)


def test_page_of_a_sweep_names_the_choice_and_what_the_seed_does():
    text = described(TRIALS)
    assert "3 trials of K 2 to 3 and 2 seeds, measured on 1,000 validation lines; 2 are usable" in text
    assert "By `silhouette`, **K=2 seed 0** is chosen" in text
    assert "The 2 seeds of K=2 have silhouettes from 0.5000 to 0.9000" in text
    assert "agree to 0.25" in text


def test_best_at_the_edge_of_the_range_is_told():
    assert "largest that was tried" in described([*TRIALS, examples.trial(3, 3, 1, silhouette=0.95)])
    assert "largest that was tried" not in described(TRIALS)


def test_sweep_without_a_usable_trial_says_so():
    assert "nothing to register" in described(TRIALS[2:], usable=False)


def test_table_of_seeds_has_a_row_a_k_smallest_first():
    trials = sweep_report.trials_table([examples.trial(3, 9, 0, silhouette=0.7), *TRIALS])
    assert sweep_report.seeds_table(trials, [0.5, 0.25, 1.0]).to_numpy().tolist() == [
        [2, 2, 2, 0.7, 0.5, 0.9, 0.5],
        [3, 1, 0, 0.6, 0.6, 0.6, 0.25],
        [9, 1, 1, 0.7, 0.7, 0.7, 1.0],
    ]
