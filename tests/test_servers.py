"""The shared MLflow that docs/shared-mlflow.md describes: a real server, its log-in and its artifacts."""

from pathlib import Path

import mlflow
import mlflow.cli
import pytest
import yaml
from mlflow.exceptions import MlflowException

from retail_clusters.registry import tracking
from tests.databases import postgresql, programs
from tests.servers import mlflow_server
from tests.tied_metrics import assert_figures_keep_their_data_sets

PROJECT = Path(__file__).parents[1]


def test_compose_file_gives_the_server_only_options_that_it_has():
    services = yaml.safe_load((PROJECT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    words = services["mlflow"]["command"].split()
    known = {name for option in mlflow.cli.server.params for name in option.opts}
    assert words[:2] == ["mlflow", "server"]
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.soak
def test_server_keeps_runs_in_postgresql_and_artifacts_behind_its_log_in(workplace: Path, monkeypatch):
    if (binaries := programs()) is None:
        pytest.skip("no PostgreSQL server here")
    with postgresql(binaries) as store, mlflow_server(workplace / "server", store=store) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        client = mlflow.MlflowClient(server.uri)
        experiment = client.create_experiment("shared")
        run = client.create_run(experiment)
        client.log_text(run.info.run_id, "proxied", "note.txt")
        assert run.info.artifact_uri.startswith("mlflow-artifacts:")
        mlflow.set_tracking_uri(server.uri)
        tracking.connect(experiment="tied")
        assert_figures_keep_their_data_sets()
        assert [path.read_text() for path in (workplace / "server" / "artifacts").rglob("note.txt")] == [
            "proxied"
        ]

        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
        with pytest.raises(MlflowException, match="401"):
            client.get_run(run.info.run_id)

        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", server.environment["MLFLOW_TRACKING_PASSWORD"])
        server.stop()
        server.start()
        assert client.get_run(run.info.run_id).info.experiment_id == experiment
