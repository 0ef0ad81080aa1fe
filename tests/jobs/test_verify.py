import mlflow
import pytest

from retail_clusters.errors import DifferenceFoundError, InputError
from retail_clusters.io import tracking
from retail_clusters.jobs.verify import verify
from tests import processes
from tests.conftest import PROJECT, SAMPLE


@pytest.fixture
def trained_elsewhere(workplace) -> str:
    """A run that another process has trained, with one core."""
    experiment = PROJECT / "experiments" / "log_features.yaml"
    done = processes.run("train", "--data", SAMPLE, "--experiment", experiment, SPARK_MASTER="local[1]")
    assert done.returncode == 0, done.stderr
    tracking.connect(experiment="verify")
    return mlflow.search_runs(
        search_all_experiments=True, output_format="list", filter_string="attributes.run_name = 'train'"
    )[0].info.run_id


def test_run_repeats_with_other_cores_and_an_altered_one_is_told(spark, trained_elsewhere, capsys):
    verify(spark, run_id=trained_elsewhere)
    assert "repeats to the last bit" in capsys.readouterr().out

    client = mlflow.MlflowClient()
    client.set_tag(trained_elsewhere, "model_digest", "0" * 32)
    client.log_metric(trained_elsewhere, "test_silhouette", 0.5)
    with pytest.raises(DifferenceFoundError) as different:
        verify(spark, run_id=trained_elsewhere)
    assert "model_digest was 00000000000000000000000000000000, is" in str(different.value)
    assert "test_silhouette was 0.5, is" in str(different.value)
    assert "labels_digest" not in str(different.value)


def test_run_that_is_unknown_or_trained_nothing_is_refused(spark, workplace):
    tracking.connect(experiment="verify")
    with pytest.raises(InputError, match="found no run 'nonsense'"):
        verify(spark, run_id="nonsense")
    with tracking.run("empty") as empty:
        pass
    with pytest.raises(InputError, match="has no params k, seed and data"):
        verify(spark, run_id=empty)
