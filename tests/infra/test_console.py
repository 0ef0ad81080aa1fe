"""What others raise is one line for a person, that says what a server's answer means and shows no password."""

import mlflow
import pytest
from mlflow.exceptions import RestException

from retail_clusters.errors import InputError, StoreError
from retail_clusters.infra.console import Progress, in_short, must_answer

PAGE = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Who are you?</body></html>"


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("API request to endpoint /api failed with error code 401 != 200.", "who asks (401)"),
        ("API request to endpoint /api failed with error code 403 != 200.", "not allow this (403)"),
        (
            f"API request failed with error code 502 != 200. Response body: '{PAGE}'",
            "a proxy before it, failed",
        ),
        ("API request failed with error code 500 != 200. Response body: ''", "failed: look at its log"),
        (f"API request was successful but not in a valid JSON format: {PAGE}", "a proxy or a login"),
        ("API request to http://h failed with timeout exception Read timed out.", "no answer: is it up"),
        ("HTTPConnectionPool: Max retries exceeded: Connection refused", "no answer: is it up"),
        ("Connection broken: IncompleteRead(0 bytes read, 9 more expected)", "no answer: is it up"),
        ("Max retries exceeded (Caused by ResponseError('too many 503 error responses'))", "failed: look"),
    ],
)
def test_what_a_server_answers_is_told_as_what_it_means(text: str, meaning: str):
    assert meaning in in_short(mlflow.MlflowException(text))


def test_the_code_that_mlflow_gives_is_told_as_what_it_means():
    assert "(403)" in in_short(RestException({"error_code": "PERMISSION_DENIED", "message": "no"}))


def test_what_no_server_said_is_told_in_its_own_words():
    said = "--set scoring.timeout=3: no such key, HTTP 404, connection refused"
    assert in_short(ValueError(said)) == said
    assert in_short(KeyError()) == "KeyError"


def test_a_long_text_is_cut_to_one_line_without_tags_or_password():
    failure = ValueError("bad\n\n  <b>thing</b> at postgresql://ann:s3cret@host/db " + "x" * 500)
    assert in_short(failure).startswith("bad thing at postgresql://ann:***@host/db xxx")
    assert len(in_short(failure)) == 300


def test_a_failure_of_others_names_the_store_without_its_password_and_one_of_ours_passes():
    def uri() -> str:
        return "http://ann:s3cret@host"

    with pytest.raises(StoreError) as told, must_answer("the tracking store", uri, StoreError):
        raise ConnectionError("Connection refused")
    assert str(told.value) == (
        "the tracking store must answer, but http://ann:***@host gave: no answer: is it up, and the address right?"
    )
    with pytest.raises(InputError), must_answer("the tracking store", uri, StoreError):
        raise InputError("a rule, but found something")


def test_progress_is_plain_lines_and_warnings_go_apart(capsys: pytest.CaptureFixture[str]):
    progress = Progress("score")
    progress.note("done")
    progress.warn("a file has changed")
    assert capsys.readouterr() == ("score: done\n", "warning: a file has changed\n")
