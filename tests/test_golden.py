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
        "36b31ccf54da238fd8f42a9f1d781988 8a4cee43f544e78e87deb59e65ed1b02 914d69e8f062776d1632b0ec55c50a65",
    ),
    (
        "default",
        15,
        5,
        "5562a2679e8d34806a045975a1a7357c 0630eddf4f7de7b393140579f584165c 44b2f14f466ed80cabf96b6abe301629",
    ),
    (
        "notebook",
        20,
        1,
        "1c67f45fbd89915f4614675856131ed9 74085be6147c239a3d111452491edc64 9373b2989107e55889e798887d2ac219",
    ),
    (
        "customers",
        4,
        0,
        "c3b6b0b53dab1173c24e3845914bcaba 650c99d02fc4b70fa543152684947623 4cf6a01f0b9dc458e42cec512af2a972",
    ),
    (
        "invoices",
        8,
        0,
        "1559372e63eb0280006ce060a2f3471c b1150e30aeec334ff65affe0d953b802 0e7a55143661bb8ff647477f66bf186d",
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
