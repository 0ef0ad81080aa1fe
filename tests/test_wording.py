import pytest

from retail_clusters.wording import pad_table, percent, pluralize


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1.0, "100%"),
        (0.0, "0%"),
        (0.583, "58.3%"),
        (0.9996, "99.96%"),
        (0.0004, "0.04%"),
        (0.9999999, "99.99999%"),
    ],
)
def test_share_that_is_not_all_is_not_written_as_all(value, written):
    assert percent(value) == written


def test_one_is_not_written_as_many():
    assert [pluralize(number, "batch", "batches") for number in (0, 1, 2)] == [
        "0 batches",
        "1 batch",
        "2 batches",
    ]
    assert pluralize(12345, "file") == "12,345 files"


def test_tables_get_room_once_and_all_else_stays():
    table = "| a | b |\n| --- | ---: |\n| 1 | 2 |"
    text = f"No table | here\n\n{table}\n"

    roomy_text = pad_table(text)

    assert pad_table(roomy_text) == roomy_text
    assert roomy_text.split("\n")[:2] == ["No table | here", ""]
    assert "| --- | ---: |" in roomy_text
    assert [line.count("\u2003") for line in roomy_text.split("\n")[2:5]] == [1, 0, 1]
