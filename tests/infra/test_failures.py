import pytest

from retail_clusters.errors import InputError, StoreError
from retail_clusters.infra.failures import in_short, must_answer

PAGE = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Who are you?</body></html>"


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (
            "API request to endpoint /api failed with error code 401 != 200.",
            "who asks (401)",
        ),
        ("API request to endpoint /api failed with error code 403 != 200.", "not allow this (403)"),
        (
            f"API request failed with error code 502 != 200. Response body: '{PAGE}'",
            "a proxy before it, failed (502)",
        ),
        ("API request failed with error code 500 != 200. Response body: ''", "failed (500): look at its log"),
        (
            f"API request was successful but not in a valid JSON format: {PAGE}",
            "a proxy or a login",
        ),
        ("API request to http://h failed with timeout exception Read timed out.", "no answer in time"),
        ("HTTPConnectionPool: Max retries exceeded: Connection refused", "no answer: is it up"),
        ("Connection broken: IncompleteRead(0 bytes read, 9 more expected)", "no answer: is it up"),
        ("Max retries exceeded (Caused by ResponseError('too many 503 error responses'))", "failed (503)"),
    ],
)
def test_what_a_server_says_is_read_as_what_it_is(text: str, meaning: str):
    assert meaning in in_short(RuntimeError(text))


def test_anything_else_is_cut_to_one_line_without_tags_or_password():
    short = in_short(ValueError("bad\n\n  <b>thing</b> at postgresql://ann:s3cret@host/db " + "x" * 500))

    assert short.startswith("bad thing at postgresql://ann:***@host/db x")
    assert len(short) == 200
    assert in_short(KeyError()) == "KeyError"


def test_failure_of_others_is_raised_as_one_of_ours_that_names_the_store_without_its_password():
    with (
        pytest.raises(StoreError) as told,
        must_answer("the tracking store", lambda: "http://ann:s3cret@host", StoreError),
    ):
        raise ConnectionError("Connection refused")

    assert str(told.value) == (
        "the tracking store must answer, but http://ann:***@host gave: "
        "no answer: is it up, and the address right?"
    )
    with pytest.raises(InputError), must_answer("a store", str, StoreError):
        raise InputError("a law, but found something")
