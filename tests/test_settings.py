from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from retail_clusters.experiment_file import load_experiment
from retail_clusters.question import Question
from retail_clusters.settings import Experiment, Split
from tests import examples

PROJECT = Path(__file__).parents[1]


def test_default_file_spells_out_every_default():
    file = PROJECT / "experiments" / "default.yaml"
    assert load_experiment(file) == Experiment()
    written = yaml.safe_load(file.read_text(encoding="utf-8"))
    asked = set(Question.model_fields)
    others = {name: value for name, value in written.items() if name not in asked}
    assert keys(others) == keys(Experiment().model_dump(exclude=asked))


def keys(settings: dict[str, Any], before: str = "") -> set[str]:
    return {
        name
        for key, value in settings.items()
        for name in (keys(value, f"{before}{key}.") if isinstance(value, dict) else {before + key})
    }


def test_notebook_file_has_the_notebook_s_features_k_and_seed():
    notebook = load_experiment(PROJECT / "experiments" / "notebook.yaml")
    assert (notebook.k, notebook.seed) == (20, 1)
    assert notebook.features == examples.lines(unseen="error")
    assert notebook.split == Split(train_until=date(2011, 7, 1), validate_until=date(2011, 10, 1))


def test_default_file_says_what_is_meant_without_one():
    assert load_experiment(PROJECT / "experiments" / "default.yaml") == Experiment()


@pytest.mark.parametrize("file", sorted((PROJECT / "experiments").glob("*.yaml")), ids=lambda file: file.stem)
def test_flat_settings_of_each_file_give_the_experiment_back(file):
    made = load_experiment(file)
    assert Experiment.from_flat(made.flat()) == made


@given(
    k=st.integers(2, 99),
    scale=st.sampled_from([("none",), ("log",), ("log", "standard")]),
    clip=st.none() | st.tuples(st.floats(0, 0.4), st.floats(0.6, 1)),
    fill=st.none() | st.floats(-9, 9),
)
def test_flat_settings_give_the_experiment_back(k, scale, clip, fill):
    price = {"sql": "UnitPrice", "scale": list(scale), "clip": clip and list(clip), "fill": fill}
    made = Experiment.model_validate(
        {"k": k, "features": {"price": price}, "clean": {"free": "UnitPrice = 0"}}
    )
    assert Experiment.from_flat(made.flat()) == made


def test_features_of_an_earlier_release_are_read_as_they_are_declared_by_now():
    earlier = {"k": "20", "features.scaling": "log", "features.unseen_days": "error"}
    assert Experiment.from_flat(earlier).features == examples.lines(scale="log", unseen="error")
