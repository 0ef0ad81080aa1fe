import mlflow
import pytest

from retail_clusters.errors import DifferenceFoundError, InputError
from retail_clusters.infra import tracking
from retail_clusters.settings import Experiment, Features
from retail_clusters.training.train import train
from retail_clusters.training.verify import verify
from tests.conftest import SAMPLE


@pytest.fixture
def trained(spark, workplace) -> str:
    tracking.connect(experiment="train")
    train(spark, data=str(SAMPLE), experiment=Experiment(features=Features(scaling="log")))
    return mlflow.search_runs(
        search_all_experiments=True, output_format="list", filter_string="attributes.run_name = 'train'"
    )[0].info.run_id


def test_run_repeats_and_an_altered_one_is_told(spark, trained, capsys):
    verify(spark, run_id=trained)
    assert "repeats to the last bit" in capsys.readouterr().out

    client = mlflow.MlflowClient()
    client.set_tag(trained, "model_digest", "0" * 32)
    client.log_metric(trained, "test_silhouette", 0.5)
    with pytest.raises(DifferenceFoundError) as different:
        verify(spark, run_id=trained)
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
