from datetime import date
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from retail_clusters.experiment_file import load_experiment
from retail_clusters.settings import Experiment, Features, Split

PROJECT = Path(__file__).parents[1]


def test_default_file_spells_out_every_default():
    file = PROJECT / "experiments" / "default.yaml"
    assert load_experiment(file) == Experiment()
    assert keys(yaml.safe_load(file.read_text(encoding="utf-8"))) == keys(Experiment().model_dump())


def keys(settings: dict[str, Any], before: str = "") -> set[str]:
    return {
        name
        for key, value in settings.items()
        for name in (keys(value, f"{before}{key}.") if isinstance(value, dict) else {before + key})
    }


def test_notebook_file_has_the_notebook_s_features_k_and_seed():
    notebook = load_experiment(PROJECT / "experiments" / "notebook.yaml")
    assert (notebook.k, notebook.seed) == (20, 1)
    assert notebook.features == Features(scaling="none", unseen_days="error")
    assert notebook.split == Split(train_until=date(2011, 7, 1), validate_until=date(2011, 10, 1))


def test_log_file_scales_by_logarithm():
    assert load_experiment(PROJECT / "experiments" / "log_features.yaml").features.scaling == "log"


@given(k=st.integers(2, 99), tolerance=st.floats(0, 1), scaling=st.sampled_from(["none", "standard", "log"]))
def test_flat_settings_give_the_experiment_back(k, tolerance, scaling):
    made = Experiment.model_validate(
        {"k": k, "lloyd": {"tolerance": tolerance}, "features": {"scaling": scaling}}
    )
    assert Experiment.from_flat(made.flat()) == made
    assert made.flat()["features.scaling"] == scaling
