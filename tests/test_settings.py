from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_clusters.errors import InputError
from retail_clusters.settings import Experiment, Features, Split, load_experiment

PROJECT = Path(__file__).parents[1]


def written(folder: Path, text: str) -> Path:
    file = folder / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_default_file_spells_out_the_defaults():
    assert load_experiment(PROJECT / "experiments" / "default.yaml") == Experiment()


def test_notebook_file_has_the_notebook_s_features_k_and_seed():
    notebook = load_experiment(PROJECT / "experiments" / "notebook.yaml")
    assert (notebook.k, notebook.seed) == (20, 1)
    assert notebook.features == Features(scaling="none", unseen_days="error")
    assert notebook.split == Split(train_until=date(2011, 7, 1), validate_until=date(2011, 10, 1))


def test_log_file_scales_by_logarithm():
    assert load_experiment(PROJECT / "experiments" / "log_features.yaml").features.scaling == "log"


def test_override_wins_over_the_file_and_none_does_not(tmp_path):
    file = written(tmp_path, "k: 5\nseed: 3\n")
    loaded = load_experiment(file, {"k": 9, "seed": None, "sweep.trials": 2})
    assert (loaded.k, loaded.seed, loaded.sweep.trials) == (9, 3, 2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kk: 5", "unknown setting kk"),
        ("features: {scalling: log}", "unknown setting features.scalling"),
        ("features: {scaling: cube}", "features.scaling: input should be 'none', 'standard' or 'log'"),
        ("k: 1", "k: input should be greater than or equal to 2, but got 1"),
        ("k: many", "k: input should be a valid integer, but got 'many'"),
        ("split: {train_until: 2011-10-01, validate_until: 2011-07-01}", "train_until must come before"),
        ("sweep: {k_min: 9, k_max: 3}", "k_min must be at most k_max, but got 9 and 3"),
        ("guardrails: {max_cluster_share: 1.5}", "guardrails.max_cluster_share"),
        ("- a list", "an experiment is a YAML mapping"),
        ("k: [", "does not parse"),
    ],
)
def test_bad_setting_is_refused_in_one_line(tmp_path, text, told):
    with pytest.raises(InputError) as refused:
        load_experiment(written(tmp_path, text))
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_missing_file_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(InputError, match=r"experiments/default\.yaml"):
        load_experiment(tmp_path / "none.yaml")


@given(k=st.integers(2, 99), tolerance=st.floats(0, 1), scaling=st.sampled_from(["none", "standard", "log"]))
def test_flat_settings_give_the_experiment_back(k, tolerance, scaling):
    made = Experiment.model_validate(
        {"k": k, "lloyd": {"tolerance": tolerance}, "features": {"scaling": scaling}}
    )
    assert Experiment.from_flat(made.flat()) == made
    assert made.flat()["features.scaling"] == scaling
