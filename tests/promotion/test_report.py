import pytest

from retail_clusters.promotion.evaluate import Evaluated
from retail_clusters.promotion.gates import Gate, Verdict
from retail_clusters.promotion.report import refusal
from retail_clusters.settings import Experiment

SPACE = Gate("feature_space", "new", "the champion's", passed=False, overrule="--accept-new-space true")
WORSE = Gate("not_worse", "0.1", "at least 0.3", passed=False, overrule="--set promotion.margin=0.25")
PAPERS = Gate("input_signature", "missing", "compatible", passed=False)


@pytest.mark.parametrize(
    ("gates", "model", "command"),
    [
        ([SPACE], "retail-clusters", "promote --version 2 --accept-new-space true"),
        (
            [SPACE, WORSE],
            "other",
            "promote --model other --version 2 --accept-new-space true --set promotion.margin=0.25",
        ),
    ],
)
def test_refusal_ends_with_the_exact_command_that_overrules_it(gates: list[Gate], model: str, command: str):
    held = Evaluated("2", "1", Verdict(tuple(gates)), measured=None)

    told = refusal(held, experiment=Experiment(model=model))

    assert str(told).endswith(f"promote another version, or this one with {command}")


def test_refusal_that_no_setting_overrules_says_so():
    held = Evaluated("2", "1", Verdict((SPACE, PAPERS)), measured=None)

    told = refusal(held, experiment=Experiment())

    assert str(told).endswith("no setting lets it pass; train another version, and promote that")
