"""The MLflow UI in a real browser: each kind of page says what a data scientist looks for."""

import os
import shutil
import signal
from collections.abc import Iterator

import mlflow
import pytest
from pyspark.sql import SparkSession

from tests import processes
from tests.conftest import PROJECT, SAMPLE
from tests.scorers import wait_until
from tests.ui.browser import compare, runs_view
from tests.ui.shop import Shop
from tests.ui.shop import shop as opened

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with opened(spark, tmp_path_factory.mktemp("ui")) as shop:
        yield shop


def experiment_id(shop: Shop, name: str) -> str:
    return str(shop.run(name, "prepare").info.experiment_id)


def test_list_of_runs_shows_main_with_its_figures(shop):
    page = shop.see(
        "run-list",
        runs_view(experiment_id(shop, "default"), "pipelines"),
        until="model_version",
        size=(1700, 700),
    )
    assert "Clusterings of retail data" in page
    for shown in (">main<", "validation_silhouette", "test_silhouette", "model_version"):
        assert shown in page
    assert "does not exist" not in page


def test_view_of_trials_shows_the_usable_ones(shop):
    page = shop.see(
        "trials", runs_view(experiment_id(shop, "default"), "trials"), until="K=40 seed 0", size=(1700, 1000)
    )
    assert "K=40 seed 0" in page


def test_main_tells_what_became_champion_and_leads_to_every_step(shop):
    until = "#/models/retail-clusters/versions/1"
    page = shop.see("main", shop.route("default", "main"), until=until, size=(1400, 1900))
    assert until in page
    for step in ("prepare", "sweep K 36–42", "register K=", "promote", "score"):
        assert step in page
    for data_set in ("train", "by-day"):
        assert data_set in page


def test_sweep_tells_what_each_objective_would_choose_and_how_its_winner_did_later(shop):
    page = shop.see(
        "sweep", shop.route("default", "sweep"), until="The winner, registered", size=(1400, 1900)
    )
    for told in ("What each objective would choose", "What the seed does", "The winner, registered"):
        assert told in page


def test_trial_and_registered_run_tell_what_they_are(shop):
    shop.see("trial", shop.route("default", "trial"), size=(1400, 1100))
    page = shop.see(
        "register",
        shop.route("default", "register"),
        until="Clusters of the training lines",
        size=(1400, 1900),
    )
    assert "Clusters of the training lines" in page


def test_three_experiments_are_compared_side_by_side(shop):
    runs = [
        shop.run("default", "register"),
        shop.run("log_features", "register"),
        shop.run("notebook", "train"),
    ]
    ids = [run.info.experiment_id for run in runs]
    page = shop.see("compare", compare(ids, [run.info.run_id for run in runs]), size=(1700, 2000))
    assert "largest_cluster_share" in page
    assert "Comparing 3 Runs" in page


def test_picture_and_report_are_shown_among_the_artifacts(shop):
    page = shop.see("picture", shop.route("default", "register", "/artifacts/charts/price_quantity.png"))
    assert "price_quantity.png" in page
    report = shop.see("report", shop.route("default", "main", "/artifacts/report.html"), size=(1700, 1400))
    assert "<iframe" in report
    assert (shop.pictures / "picture.png").stat().st_size > 50_000, "an empty page is a small picture"


def test_registered_model_shows_its_alias_and_card(shop):
    shop.see("model", "/models/retail-clusters")
    page = shop.see("version", "/models/retail-clusters/versions/1", until="How to score", size=(1400, 2000))
    assert "champion" in page
    assert "How to score" in page


def test_page_of_the_logged_model_says_of_which_lines_each_figure_is(shop):
    run = shop.run("default", "register")
    (made,) = run.outputs.model_outputs
    page = shop.see(
        "logged-model",
        f"/experiments/{run.info.experiment_id}/models/{made.model_id}",
        until="test_silhouette",
        size=(1400, 1600),
    )
    digests = {each.dataset.digest for each in run.inputs.dataset_inputs}
    assert len(digests) == 3
    assert all(digest in page for digest in digests)


def test_scorer_shows_its_batches_while_it_runs(shop):
    source = shop.place / "arriving"
    source.mkdir()
    for file in sorted(SAMPLE.iterdir())[:20]:
        shutil.copy(file, source)
    scorer = processes.start(
        *("score", "--experiment", PROJECT / "experiments" / "default.yaml", "--once", "false"),
        *("--source", source, "--output", shop.place / "scored", "--max-files-per-trigger", "1"),
        MLFLOW_TRACKING_URI=shop.store,
    )
    try:
        wait_until(lambda: _scoring(shop, batches=15), scorer, seconds=300)
        run_id = _scoring(shop, batches=15)
        tabs = {"": "rows_scored", "/model-metrics": "drift_psi", "/system-metrics": "cpu_utilization"}
        for tab, shown in tabs.items():
            route = f"/experiments/{experiment_id(shop, 'default')}/runs/{run_id}{tab}"
            page = shop.see(f"scorer{tab.replace('/', '-')}", route, until=shown, size=(1400, 1700))
            assert shown in page
        assert mlflow.get_run(run_id).info.status == "RUNNING"
    finally:
        os.killpg(scorer.pid, signal.SIGINT)
        scorer.communicate(timeout=120)
    assert scorer.returncode == 0


def _scoring(shop: Shop, *, batches: int) -> str | None:
    found = mlflow.search_runs(
        experiment_names=["default"],
        filter_string="tags.kind = 'score' and attributes.status = 'RUNNING'",
        output_format="list",
    )
    for run in found:
        points = mlflow.MlflowClient().get_metric_history(run.info.run_id, "rows_in")
        if len(points) >= batches and "system/cpu_utilization_percentage" in run.data.metrics:
            return str(run.info.run_id)
    return None
