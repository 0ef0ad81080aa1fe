from retail_clusters.infra.console import in_short


def test_foreign_error_is_one_short_line_without_its_password():
    failure = OSError("cannot reach\n  postgresql://ann:open-sesame@host/d " + "x" * 400)
    assert in_short(failure, limit=60).startswith("cannot reach postgresql://ann:***@host/d xxx")
    assert len(in_short(failure, limit=60)) == 60
    assert in_short(KeyError()) == "KeyError"
