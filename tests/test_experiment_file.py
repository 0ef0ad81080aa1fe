import re
from datetime import date
from pathlib import Path

import pytest

from retail_clusters.errors import InputError
from retail_clusters.experiment_file import load_experiment
from retail_clusters.settings import Experiment


def written(folder: Path, text: str) -> Path:
    file = folder / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_parameter_wins_over_the_file_and_none_does_not(tmp_path):
    file = written(tmp_path, "k: 5\nseed: 3\n")
    loaded = load_experiment(file, {"k": 9, "seed": None, "sweep.trials": 2})
    assert (loaded.k, loaded.seed, loaded.sweep.trials) == (9, 3, 2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kk: 5", "unknown setting kk"),
        ("features: {price: {sql: x, scalling: log}}", "unknown setting features.price.scalling"),
        ("columns: {unit_price: Price}", "setting columns is gone: it is part of input by now"),
        (
            "features: {price: {sql: UnitPrice, scale: cube}}",
            "features.price.scale.0: input should be 'none', 'log' or 'standard', but got 'cube'",
        ),
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
    with pytest.raises(InputError, match=r"go to the project.s folder, .* or name another with --experiment"):
        load_experiment(tmp_path / "none.yaml")


def test_parameter_wins_over_an_assignment_and_both_over_the_file(tmp_path):
    file = written(tmp_path, "k: 5\nseed: 3\nsweep: {trials: 4}\n")
    loaded = load_experiment(file, {"k": 9}, assignments=["k=7", "seed=8", "sweep.k_max=30"])
    assert (loaded.k, loaded.seed, loaded.sweep.trials, loaded.sweep.k_max) == (9, 8, 4, 30)


def test_last_of_two_assignments_wins(tmp_path):
    assert load_experiment(written(tmp_path, ""), assignments=["k=7", "k=8"]).k == 8


def test_assignments_may_stand_in_one_text(tmp_path):
    loaded = load_experiment(written(tmp_path, ""), assignments=["k=7; sweep.trials=3;seed=2", ""])
    assert (loaded.k, loaded.sweep.trials, loaded.seed) == (7, 3, 2)


def test_assigned_value_is_written_as_in_the_file(tmp_path):
    loaded = load_experiment(
        written(tmp_path, "lloyd: {tolerance: 1e-3}"),
        assignments=["split.train_until=2011-06-01", "scoring.shadow=true", "promotion.margin=5e-2"],
    )
    assert loaded.split.train_until == date(2011, 6, 1)
    assert loaded.scoring.shadow is True
    assert (loaded.promotion.margin, loaded.lloyd.tolerance) == (0.05, 0.001)


def test_empty_section_is_one_without_settings(tmp_path):
    file = written(tmp_path, "sweep:\nfeatures:\n")
    assert load_experiment(file) == Experiment()
    assert load_experiment(file, {"sweep.trials": 3}).sweep.trials == 3


@pytest.mark.parametrize(
    ("parameters", "assignments", "told"),
    [
        ({}, ["sweep.trails=3"], "unknown setting sweep.trails"),
        ({}, ["k=1"], "k: input should be greater than or equal to 2, but got 1"),
        ({}, ["k"], "--set takes section.name=value, but got 'k'"),
        ({}, ["k=[1"], "--set k=[1: the value is written as in an experiment file, but does not parse"),
        ({}, ["k.of=3"], "k.of needs a section k, but k is 5"),
        ({}, ["sweep=3"], "sweep: input should be"),
        ({"seed": -1}, [], "seed: input should be greater than or equal to 0"),
        ({"sweep.k_min": 70}, ["sweep.k_max=65"], "sweep: k_min must be at"),
    ],
)
def test_error_of_what_was_typed_names_the_setting(tmp_path, parameters, assignments, told):
    with pytest.raises(InputError) as refused:
        load_experiment(written(tmp_path, "k: 5"), parameters, assignments=assignments)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sweep:\n  seeds: 4\nsweep:\n  trials: 3\n", "sweep stands in it twice"),
        ("sweep:\n  seeds: 4\n  seeds: 5\n", "seeds stands in it twice"),
        ("seed: 010\n", "seed is 010, but a number is decimal"),
        ("sweep:\n  seeds: 0x10\n", "seeds is 0x10, but a number is decimal"),
        ("sweep:\n  k_max: 1_0\n", "k_max is 1_0, but a number is decimal"),
        ("sweep:\n  k_max: 1:30\n", "k_max is 1:30, but a number is decimal"),
        ("input:\n  null_words: [NULL]\n", 'write "NULL", between quotes'),
    ],
)
def test_what_yaml_takes_for_something_else_is_refused_with_its_key(tmp_path: Path, text: str, told: str):
    (tmp_path / "e.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(told)):
        load_experiment(tmp_path / "e.yaml")


def test_a_value_on_the_command_line_is_read_as_in_the_file(tmp_path: Path):
    (tmp_path / "e.yaml").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"--set seed=010: .*a number is decimal"):
        load_experiment(tmp_path / "e.yaml", assignments=["seed=010"])
