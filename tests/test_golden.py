"""The digests of the shipped experiments' models, labels and predictions.

Those of lines on the real data are as they were at 8f63fa0. The sample was made anew since; what the digests of the
sample before were is in git's history of this file.
"""

from pathlib import Path

import pytest

from tests.conftest import PROJECT, SAMPLE
from tests.golden import digests

#: Experiment, K, seed; the digests of model, labels and all predictions.
ON_THE_SAMPLE = [
    (
        "unscaled",
        33,
        2,
        "d192f7124cbe12613d502be25bf5e043 bd753342223498adda0087361706a7e5 f497fb9a2bc9e25d83056a61e869b518",
    ),
    (
        "default",
        15,
        5,
        "e7c1039cb7d5e127f2b2caaed9f57524 a5684c41d7a18e60699e4cd558770a46 9d678f09943d9521087d0c545fbb7b2c",
    ),
    (
        "notebook",
        20,
        1,
        "c73c55df1d3d50ef437b33fee9f2afff 24c920ee2043fef43e7bd395e43e9676 d784e7fa0095a977a1fb1cd5db893b69",
    ),
    (
        "customers",
        4,
        0,
        "7a85f8d5ae6056a4d6e7135b4994393e 267544e95be3e34fe3c679e83328d65d a584e6361fd98390f00656bbef6cda58",
    ),
    (
        "invoices",
        8,
        0,
        "7aa8d018f62ecc473f0b1540b5b46485 2380d4596d86656dc9288c063cfbf4ec 135ede3f25b7bd4a315d3d76ae9337eb",
    ),
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


#: One in the suite, all of them in the soak.
ONE_OF_THEM = [
    pytest.param(*case, marks=() if case[0] == "default" else pytest.mark.soak) for case in ON_THE_SAMPLE
]


@pytest.mark.parametrize(("name", "k", "seed", "expected"), ONE_OF_THEM)
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
