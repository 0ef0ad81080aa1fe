"""The digests of the shipped experiments' models, labels and predictions.

Those of lines on the real data are as they were at 8f63fa0. The sample was made anew since; what the digests of the
sample before were is in git's history of this file.
"""

from pathlib import Path

import pytest

from tests.conftest import PROJECT, SAMPLE
from tests.golden import digests

#: Experiment, K, seed; the digests of model, labels and all predictions.
#: The sample was made anew, and its digests are still to be taken.
ON_THE_SAMPLE = [
    ("unscaled", 33, 2, ""),
    ("default", 15, 5, ""),
    ("notebook", 20, 1, ""),
    ("customers", 5, 1, ""),
    ("invoices", 8, 0, ""),
]
ON_THE_REAL_DATA = [
    (
        "unscaled",
        39,
        7,
        "a5c3e7f9f7a548102a9b9c282c2a306a 54575cf97082e959b56b24169c604b9c 1aeac80e1b332fb1b220de0759dc3c18",
    ),
    (
        "default",
        15,
        6,
        "5a77dc19f7316a222db18e6d97989f4b 95c0b25e86ad9eafdb4754042e2892f2 283bb00038c9059d187649b3f5091e01",
    ),
    (
        "notebook",
        20,
        1,
        "965a3ba1fbc4ff6854e2c6809b827750 9f9d24c2b75545af8f22c8c13beed9aa 646bdecf7c041ce935b1934d64595db9",
    ),
]


@pytest.mark.skip(reason="the digests of the new sample are still to be taken")
@pytest.mark.parametrize(("name", "k", "seed", "expected"), ON_THE_SAMPLE)
def test_the_sample_gives_the_same_model_labels_and_predictions(spark, workplace, name, k, seed, expected):
    assert _digests(spark, SAMPLE, name, k, seed) == expected


@pytest.mark.soak
@pytest.mark.real
@pytest.mark.parametrize(("name", "k", "seed", "expected"), ON_THE_REAL_DATA)
def test_the_real_data_gives_the_same_model_labels_and_predictions(
    spark, workplace, real_data, name, k, seed, expected
):
    assert _digests(spark, real_data, name, k, seed) == expected


def _digests(spark, data: Path, name: str, k: int, seed: int) -> str:
    experiment = PROJECT / "experiments" / f"{name}.yaml"
    return " ".join(digests(spark, data=data, experiment=experiment, k=k, seed=seed).values())
