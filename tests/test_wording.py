import pytest

from retail_clusters.wording import percent


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
