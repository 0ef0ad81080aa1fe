import pytest

from retail_clusters.infra.console import in_short, share


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
    assert share(value) == written


def test_foreign_error_is_one_short_line_without_its_password():
    failure = OSError("cannot reach\n  postgresql://ann:open-sesame@host/d " + "x" * 400)
    assert in_short(failure, limit=60).startswith("cannot reach postgresql://ann:***@host/d xxx")
    assert len(in_short(failure, limit=60)) == 60
    assert in_short(KeyError()) == "KeyError"
