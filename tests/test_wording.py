import re

import pytest

from retail_clusters.clustering.evaluation import LATER_METRICS, METRICS
from retail_clusters.wording import ROOM, pad_table, percent, pluralize
from tests.conftest import PROJECT


@pytest.mark.parametrize(
    ("value", "written"),
    [(1.0, "100%"), (0.0, "0%"), (0.583, "58.3%"), (0.0004, "0.04%"), (0.9999999, "99.99999%")],
)
def test_share_that_is_not_all_is_not_written_as_all(value, written):
    assert percent(value) == written


def test_one_is_not_written_as_many():
    counts = [pluralize(number, "batch", "batches") for number in (0, 1, 12345)]
    assert counts == ["0 batches", "1 batch", "12,345 batches"]


def test_columns_of_tables_are_padded_once_and_all_else_stays():
    text = "No table | here\n\n| a | b |\n| --- | ---: |\n| 1 | 2 |\n"
    padded = pad_table(text)
    assert pad_table(padded) == padded
    assert padded.split("\n") == [
        *("No table | here", "", f"| a | {ROOM}b |", "| --- | ---: |", f"| 1 | {ROOM}2 |", "")
    ]


def test_every_metric_of_a_model_is_explained():
    page = (PROJECT / "docs" / "metrics.md").read_text(encoding="utf-8")
    names = {*METRICS, *LATER_METRICS, "validation_test_gap", "near_tie_lines"}
    assert names - set(re.findall(r"\w+", page)) == set()
