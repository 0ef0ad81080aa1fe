"""A run that trained is trained again, and must give the same bits."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
from pyspark.sql import SparkSession

from retail_clusters.clustering import evaluation
from retail_clusters.errors import DifferenceFoundError, InputError
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.report.page import write_report
from retail_clusters.search import sweep
from retail_clusters.search.publish import ALGORITHM_VERSION
from retail_clusters.search.train import train, verify
from retail_clusters.settings import Experiment, Stability, Sweep, Training
from tests import examples

SMALL = Experiment(
    k=4,
    sweep=Sweep(k_min=3, k_max=4, seeds=1),
    stability=Stability(draws=2),
)


@dataclass(frozen=True)
class Trained:
    """A store with a run of `train`, in the folder where its data is prepared."""

    folder: Path
    run: str


@pytest.fixture(scope="module")
def trained(
    spark: SparkSession, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp("trained")
    shutil.copy(empty_store, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        use(folder, patch)
        data = str(examples.write_files(folder / "in"))
        train(spark, data=data, experiment=SMALL)
        yield Trained(folder, ModelRegistry(SMALL.model).training_run(version="1"))


def use(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(folder)
    names = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_REGISTRY_URI")
    for name in names:
        patch.delenv(name, raising=False)
    store = f"sqlite:///{folder / 'mlflow.db'}"
    patch.setenv("MLFLOW_TRACKING_URI", store)
    mlflow.set_tracking_uri(store)
    tracking.connect(experiment="verify")


@pytest.fixture
def run(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> str:
    use(trained.folder, monkeypatch)
    return trained.run


COMPARED = {*("data_digest", "model_digest", "labels_digest", "centres")}


def test_run_repeats_to_the_last_bit(spark: SparkSession, run: str, capsys):
    found = verify(spark, run_id=run)

    assert f"run {run} repeats to the last bit" in capsys.readouterr().out
    assert found.metrics.keys() >= COMPARED | {"holdout_silhouette"}


@pytest.mark.soak
def test_run_of_the_notebooks_solver_repeats_to_the_last_bit(spark: SparkSession, run: str, capsys):
    notebook = SMALL.model_copy(update={"training": Training(solver="spark"), "model": "notebook"})
    version = train(spark, data="in", experiment=notebook).version
    assert verify(spark, version=version, model_name="notebook").metrics.keys() >= COMPARED
    assert "repeats to the last bit" in capsys.readouterr().out


def test_version_is_verified_by_its_run(spark: SparkSession, run: str):
    assert verify(spark, version="1", model_name=SMALL.model).run_id == run


def test_a_metric_that_is_newer_than_the_run_is_left_out(
    spark: SparkSession, run: str, capsys, monkeypatch: pytest.MonkeyPatch
):
    newer = {**evaluation.METRICS, "dunn": ("Dunn", lambda _: 0.5)}
    monkeypatch.setattr(evaluation, "METRICS", newer)
    found = verify(spark, run_id=run)
    assert "dunn" not in found.metrics
    assert found.metrics.keys() >= {"model_digest", "centres", "calinski_harabasz", "test_silhouette"}


@pytest.mark.soak
def test_register_run_of_main_and_a_sweep_repeat(spark: SparkSession, run: str, capsys):
    """Defect 1: the runs of `main` were refused, as they had K and seed alone."""
    context = sweep.training_context(
        sweep.ensure_prepared(spark, data="in", experiment=SMALL), experiment=SMALL
    )
    opened = sweep.open_study(context, name="main")
    with tracking.run("main"):
        with tracking.run("sweep"):
            best, _ = sweep.search(context, opened, entry_point="main")
        with tracking.run("register") as registered:
            sweep.publish_best(context, best)
    verify(spark, run_id=registered)
    swept = sweep.sweep(spark, data="in", experiment=SMALL, study="s", storage=None)
    verify(spark, version=swept.version, model_name=SMALL.model)
    assert f"run {registered} repeats to the last bit" in capsys.readouterr().out


def test_report_makes_the_folder_that_it_is_to_be_in(run: str, tmp_path: Path):
    page = tmp_path / "pages" / "new" / "report.html"
    made = write_report(run_id=run, version=None, model=SMALL.model, output=str(page))
    assert made["run_id"] == run
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_altered_run_is_told_with_what_it_was_and_what_it_is(spark: SparkSession, run: str):
    client, run_id = mlflow.MlflowClient(), run
    kept = client.get_run(run_id).data
    centres = Path(client.get_run(run_id).info.artifact_uri.removeprefix("file://"), "centres.csv")
    text = centres.read_text(encoding="utf-8")
    client.set_tag(run_id, "model_digest", "0" * 32)
    client.log_metric(run_id, "test_silhouette", 0.5)
    head, row, *rest = text.splitlines()
    centres.write_text("\n".join([head, row.replace("1", "2"), *rest]), encoding="utf-8")
    try:
        with pytest.raises(DifferenceFoundError) as different:
            verify(spark, run_id=run_id)
    finally:
        client.set_tag(run_id, "model_digest", kept.tags["model_digest"])
        client.log_metric(run_id, "test_silhouette", kept.metrics["test_silhouette"])
        centres.write_text(text, encoding="utf-8")
    assert different.value.exit_code == 4
    message = str(different.value)
    assert "model_digest was 00000000000000000000000000000000, is" in message
    assert "test_silhouette was 0.5, is" in message
    assert "centres was" in message
    assert "labels_digest" not in message


def test_run_of_an_older_kernel_is_refused_with_the_way_out(spark: SparkSession, run: str):
    client = mlflow.MlflowClient()
    client.delete_tag(run, "kernel")  # the first version had none
    try:
        with pytest.raises(
            InputError, match=r"trained with kernel 1, which gives other bits; verify it with"
        ):
            verify(spark, run_id=run)
    finally:
        client.set_tag(run, "kernel", ALGORITHM_VERSION)


def test_run_that_is_unknown_or_trained_nothing_is_refused(spark: SparkSession, run: str):
    with pytest.raises(InputError, match="found no run 'nonsense'"):
        verify(spark, run_id="nonsense")
    with tracking.run("main", name="empty") as empty:
        pass
    with pytest.raises(InputError, match="has no params k, seed and data"):
        verify(spark, run_id=empty)
