"""What the backend's configuration may say."""

import pytest
from mlflow.exceptions import ExecutionException

from mlflow_spark_submit.submission import ClusterConfig, read_config

# As `mlflow run` fills it in when no option says otherwise.
OF_MLFLOW = {
    "ENV_MANAGER": None,
    "SYNCHRONOUS": False,
    "DOCKER_ARGS": {},
    "STORAGE_DIR": None,
    "build_image": False,
    "docker_auth": None,
}


def test_nothing_given_leaves_all_to_the_defaults_of_spark():
    assert read_config(OF_MLFLOW) == ClusterConfig()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"mastr": "yarn"}, "mastr: Extra inputs are not permitted; its keys are master, conf,"),
        ({"master": 7}, "master: Input should be a valid string"),
        ({"conf": {"spark.x": [1]}}, "conf.spark.x"),
    ],
)
def test_faulty_config_is_refused_in_one_line(given, told):
    with pytest.raises(ExecutionException) as refusal:
        read_config(OF_MLFLOW | given)
    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_faulty_value_is_not_shown_for_it_may_be_secret():
    with pytest.raises(ExecutionException) as refusal:
        read_config(OF_MLFLOW | {"env": {"AWS_SECRET_ACCESS_KEY": ["hush"]}})
    assert "hush" not in str(refusal.value)


def test_files_at_a_uri_are_left_to_spark():
    config = read_config(OF_MLFLOW | {"archive": "hdfs:///apps/environment.tar.gz"})
    assert config.archive == "hdfs:///apps/environment.tar.gz"


def test_environment_is_that_of_the_archive_or_this_one():
    assert read_config(OF_MLFLOW | {"ENV_MANAGER": "local"}) == ClusterConfig()
    with pytest.raises(ExecutionException, match="but got --env-manager uv: leave it out"):
        read_config(OF_MLFLOW | {"ENV_MANAGER": "uv"})
