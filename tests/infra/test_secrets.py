import pytest

from retail_clusters.infra.secrets import masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://ann:s3cret@host/db", "postgresql://ann:***@host/db"),
        ("postgresql+psycopg://ann:p@ss/w:rd@host:5432/db", "postgresql+psycopg://ann:***@host:5432/db"),
        ("https://:token@host", "https://:***@host"),
        ("mysql://host/db?user=ann&password=s3cret&x=1", "mysql://host/db?user=ann&password=***&x=1"),
        (
            "could not open http://ann:1@h and http://bob:2@h",
            "could not open http://ann:***@h and http://bob:***@h",
        ),
    ],
)
def test_password_of_each_uri_in_a_text_is_hidden(text: str, shown: str):
    assert masked(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:///mlflow.db",
        "sqlite:////tmp/a:b@c.db",
        "http://host:5000/#/models/retail-clusters@champion",
        "postgresql://postgres@127.0.0.1:5432/db",
        "s3a://bucket/folder",
        "models:/retail-clusters@champion",
    ],
)
def test_text_without_a_password_stays(text: str):
    assert masked(text) == text
