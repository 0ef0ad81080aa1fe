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
        ("features: {scalling: log}", "unknown setting features.scalling"),
        ("purchases: {allowed_lateness_days: 2}", "the appending stream of purchases is gone"),
        ("features: {scaling: cube}", "features.scaling: input should be 'none', 'standard' or 'log'"),
        ("k: 1", "k: input should be greater than or equal to 2, but got 1"),
        ("k: many", "k: input should be a valid integer, but got 'many'"),
        ("split: {train_until: 2011-10-01, validate_until: 2011-07-01}", "train_until must come before"),
        ("sweep: {k_min: 9, k_max: 3}", "k_min must be at most k_max, but got 9 and 3"),
        ("guardrails: {max_cluster_share: 1.5}", "guardrails.max_cluster_share"),
        ("- a list", "an experiment is a YAML mapping"),
        ("k: [", "does not parse"),
        ("sweep: {trials: 3}\nk: 5\nsweep: {seeds: 2}\n", "sweep stands there twice"),
        ("input: {columns: {country: Land, country: Country}}", "country stands there twice"),
        (
            "columns: {unit_price: Price}",
            "setting columns is gone: it is part of input by now: write input.columns",
        ),
        ("seed: 0x10", "seed: input should be a valid integer, but got '0x10'"),
        ("seed: 1_000", "but got '1_000'"),
        ("seed: 1:30", "but got '1:30'"),
        ("scoring: {shadow: yes}", "scoring.shadow: input should be a valid boolean"),
        (
            "input: {date_format: dd/MM/yyyy HH:MM}",
            "input.date_format.0: date_format 'dd/MM/yyyy HH:MM' cannot be meant",
        ),
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


def test_a_word_is_a_word_and_a_number_is_decimal(tmp_path):
    """Defect 83: `seed: 010` was 8; `off` is false in YAML 1.1, and NULL is nothing."""
    text = (
        "seed: 010\nscoring: {archive: off}\ninput: {null_words: [NULL, null, no, 'n/a'], separator: ';'}\n"
    )
    loaded = load_experiment(
        written(tmp_path, text), assignments=["lloyd.tolerance=1e-3", "sweep.trials=null"]
    )
    assert (loaded.seed, loaded.scoring.archive, loaded.lloyd.tolerance, loaded.sweep.trials) == (
        10,
        "off",
        0.001,
        None,
    )
    assert loaded.input.null_words == ("NULL", "null", "no", "n/a")
    assigned = load_experiment(
        written(tmp_path, ""), assignments=["input.separator=;; input.null_words=NULL; k=7"]
    )
    assert (assigned.input.separator, assigned.input.null_words, assigned.k) == (";", ("NULL",), 7)


def test_empty_section_is_one_without_settings(tmp_path):
    file = written(tmp_path, "sweep:\nfeatures:\n")
    assert load_experiment(file) == Experiment()
    assert load_experiment(file, {"sweep.trials": 3}).sweep.trials == 3


@pytest.mark.parametrize(
    ("parameters", "assignments", "told"),
    [
        ({}, ["sweep.trails=3"], "--set sweep.trails=3: unknown setting sweep.trails"),
        ({}, ["k=1"], "--set k=1: k: input should be greater than or equal to 2, but got 1"),
        ({}, ["k"], "--set takes section.name=value, but got 'k'"),
        ({}, ["k=[1"], "--set k=[1: the value is written as in an experiment file, but does not parse"),
        ({}, ["k.of=3"], "--set k.of=3: k.of needs a section k, but in"),
        ({}, ["sweep=3"], "--set sweep=3: sweep: input should be"),
        ({"seed": -1}, [], "--seed -1: seed: input should be greater than or equal to 0"),
        ({"sweep.k_min": 70}, ["sweep.k_max=65"], "--set sweep.k_max=65 --k-min 70: sweep: k_min must be at"),
    ],
)
def test_error_names_what_was_typed_and_not_the_file(tmp_path, parameters, assignments, told):
    with pytest.raises(InputError) as refused:
        load_experiment(written(tmp_path, "k: 5"), parameters, assignments=assignments)
    assert str(refused.value).startswith(told)
    assert "\n" not in str(refused.value)


def test_error_of_the_file_names_the_file_although_something_was_typed(tmp_path):
    file = written(tmp_path, "k: 1")
    with pytest.raises(InputError, match=r"mine\.yaml: k: input"):
        load_experiment(file, assignments=["seed=5"])
