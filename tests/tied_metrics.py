"""Metrics tied to data sets, as any tracking store keeps them."""

import mlflow
from mlflow.entities import LoggedModelOutput
from mlflow.tracking import MlflowClient

from retail_clusters.registry import tracking


def assert_figures_keep_their_data_sets() -> None:
    """Log figures of a model in the store in use, and read of which lines each is."""
    client = MlflowClient()
    with tracking.run("train") as run_id:
        parts = {
            part: tracking.log_input(data="in/my data", digest=f"d-{part}", context=part)
            for part in ("validation", "test")
        }
        experiment = client.get_run(run_id).info.experiment_id
        model = client.create_logged_model(experiment, name="model", source_run_id=run_id)
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        figures = {"validation_silhouette": 0.5, "test_silhouette": 0.25, "near_ties": 3.0}
        measured_on = {
            "validation_silhouette": parts["validation"],
            "test_silhouette": parts["test"],
        }
        tracking.log_metrics(figures, measured_on=measured_on)

    assert client.get_run(run_id).data.metrics == figures
    kept = mlflow.get_logged_model(model.model_id).metrics or []
    assert sorted((each.key, each.value, each.dataset_name, each.dataset_digest) for each in kept) == [
        ("near_ties", 3.0, None, None),
        ("test_silhouette", 0.25, "my-data", "d-test"),
        ("validation_silhouette", 0.5, "my-data", "d-validation"),
    ]
    found = client.search_logged_models(
        [experiment],
        filter_string="metrics.validation_silhouette > 0.4",
        datasets=[{"dataset_name": "my-data", "dataset_digest": "d-validation"}],
    )
    assert [each.model_id for each in found] == [model.model_id]
