import pytest

from retail_clusters.infra.secrets import holds_secret, masked


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql+psycopg://ann:open-sesame@host/studies", "postgresql+psycopg://ann:***@host/studies"),
        ("postgresql://ann:p@ss/word@host/studies", "postgresql://ann:***@host/studies"),
        ("https://:token@tracking:5000", "https://:***@tracking:5000"),
        (
            "postgresql://host/studies?user=ann&password=open-sesame",
            "postgresql://host/studies?user=ann&password=***",
        ),
        ("cannot open 'mysql://a:b@h/d': gone", "cannot open 'mysql://a:***@h/d': gone"),
    ],
)
def test_password_of_an_address_is_masked(address, shown):
    assert masked(address) == shown
    assert holds_secret(address)


@pytest.mark.parametrize(
    "address",
    ["sqlite:///optuna.db", "http://h:5000/a", "postgresql://ann@host:5432/studies", "s3a://b/10:30@x"],
)
def test_address_without_a_password_stays_as_it_is(address):
    assert masked(address) == address
    assert not holds_secret(address)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLFLOW_TRACKING_PASSWORD", "open-sesame"),
        ("RETAIL_CLUSTERS_STORAGE", "postgresql://ann:open-sesame@host/studies"),
        ("RETAIL_CLUSTERS_STORAGE", "postgresql://ann:open%2Dsesame@host/studies"),
    ],
)
def test_secret_of_the_environment_is_masked_wherever_it_stands(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert masked("the server did not like open-sesame at all") == "the server did not like *** at all"
