"""What the page of a sweep says, from trials alone."""

import numpy as np
import pandas as pd

from retail_clusters.clustering.evaluation import Evaluation
from retail_clusters.clustering.metrics import Quality
from retail_clusters.search import descriptions, seed_agreement
from retail_clusters.search.candidates import Trial
from retail_clusters.search.sweep_report import winners_table
from retail_clusters.settings import Sweep

SWEEP = Sweep(k_min=2, k_max=3, seeds=2, min_seeds=1)


def trial(number: int, k: int, seed: int, silhouette: float, *, usable: bool = True) -> Trial:
    quality = Quality(
        silhouette=silhouette,
        macro_silhouette=1 - silhouette,
        cluster_silhouettes=(silhouette,) * k,
        davies_bouldin=1.0,
        calinski_harabasz=1.0,
        cost=1.0,
        sizes=(10,) * k,
    )
    found = Evaluation(
        k=k, seed=seed, iterations=1, train_cost=1.0, validation=quality, centres=np.zeros((k, 1))
    )
    return Trial(number=number, evaluation=found, violations={"clusters": 0.0 if usable else 1.0})


TRIALS = [trial(0, 2, 0, 0.9), trial(1, 2, 1, 0.5), trial(2, 3, 0, 0.6, usable=False)]


def described(trials: list[Trial], best: Trial | None) -> str:
    seeds = seed_agreement.table(seed_agreement.by_k(trials), [0.25] * len({each.k for each in trials}))
    winners = winners_table(trials, settings=SWEEP) if best else pd.DataFrame()
    return descriptions.of_search(trials, best=best, winners=winners, seeds=seeds, sweep=SWEEP)


def test_page_of_a_sweep_names_the_choice_and_what_other_objectives_would_choose():
    text = described(TRIALS, TRIALS[0])
    assert "3 trials of K 2 to 3 and 2 seeds" in text
    assert "2 are usable" in text
    assert "| **silhouette** | 2 | 0 | 0.9000 |" in text
    assert "| macro_silhouette | 2 | 1 | 0.5000 |" in text


def test_page_of_a_sweep_says_how_far_the_seeds_of_the_chosen_k_differ():
    text = described(TRIALS, TRIALS[0])
    assert "The 2 seeds of K=2 have silhouettes from 0.5000 to 0.9000" in text
    assert "agree to 0.25" in text


def test_best_at_the_edge_of_the_range_is_told():
    edge = trial(3, 3, 1, 0.95)
    assert "largest that was tried" in described([*TRIALS, edge], edge)
    assert "largest that was tried" not in described(TRIALS, TRIALS[0])


def test_sweep_without_a_usable_trial_says_so():
    none = [trial(0, 2, 0, 0.9, usable=False)]
    assert "nothing to register" in described(none, None)
