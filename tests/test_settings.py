from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from retail_clusters.experiment_file import load_experiment
from retail_clusters.settings import Columns, Experiment, Features, Split

PROJECT = Path(__file__).parents[1]


def test_default_file_spells_out_the_defaults():
    assert load_experiment(PROJECT / "experiments" / "default.yaml") == Experiment()


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


@pytest.mark.parametrize("form", ["dd/MM/yyyy HH:mm", "M/d/yyyy H:mm", "yyyy-MM-dd'T'HH:mm:ss", "yyyy-MM-dd"])
def test_a_date_format_of_numbers_is_taken(form):
    assert Columns(date_format=form).date_format == form


@pytest.mark.parametrize("form", ["", "HH:mm", "dd MMM yyyy", "yyyy-MM", "yyyy-MM-dd VV", "day"])
def test_a_date_format_without_a_whole_date_in_numbers_is_refused(form):
    with pytest.raises(ValidationError):
        Columns(date_format=form)


@pytest.mark.parametrize("name", ["", " Price", "a,b", 'a"b', "a\nb", "a;b", "InvoiceNo", "Invoice No"])
def test_a_column_name_that_no_header_can_tell_is_refused(name):
    with pytest.raises(ValidationError):
        Columns(unit_price=name)
