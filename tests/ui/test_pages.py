"""The MLflow UI in a real browser: each kind of page says what a data scientist looks for."""

import json
import os
import shutil
import signal
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run
from pyspark.sql import SparkSession

from retail_clusters.experiment_file import load_experiment
from retail_clusters.pipeline import main
from retail_clusters.registry import tracking
from retail_clusters.search.train import train
from tests import processes
from tests.conftest import PROJECT, SAMPLE
from tests.scorers import wait_until
from tests.ui.browser import Browser, chromium, mlflow_server

pytestmark = pytest.mark.soak

SMALL = ("sweep.k_min=36", "sweep.k_max=42", "sweep.seeds=2", "sweep.min_seeds=1", "stability.draws=4")
VERSION = "/models/retail-clusters/versions/1"


@dataclass(frozen=True)
class Shop:
    """A store in which two experiments have run, and a browser that looks at it."""

    browser: Browser
    place: Path
    store: str

    def run(self, kind: str, experiment: str = "default", *, status: str = "FINISHED") -> Run:
        """Return the latest run of a kind in an experiment."""
        found = mlflow.search_runs(
            experiment_names=[experiment],
            filter_string=f"tags.kind = '{kind}' and attributes.status = '{status}'",
            output_format="list",
        )
        return found[0]

    def page(self, kind: str, tab: str = "") -> str:
        """Return the route of the page of a run, or of a tab of it."""
        info = self.run(kind).info
        return f"/experiments/{info.experiment_id}/runs/{info.run_id}{tab}"

    def runs(self, view: str) -> str:
        """Return the route of a view of the runs."""
        return f"/experiments/{self.run('main').info.experiment_id}/runs?viewStateShareKey={view}"


@pytest.fixture(scope="module")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Run `main` in one experiment and `train` in another, and serve what they left."""
    program, place = chromium(), tmp_path_factory.mktemp("ui")
    store = f"sqlite:///{place / 'mlflow.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for name in ("RUN_ID", "EXPERIMENT_ID", "EXPERIMENT_NAME", "ENABLE_SYSTEM_METRICS_LOGGING"):
            patch.delenv(f"MLFLOW_{name}", raising=False)
        patch.setenv("MLFLOW_TRACKING_URI", store)
        patch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "1")
        mlflow.set_tracking_uri(store)
        default, notebook = (
            load_experiment(PROJECT / "experiments" / f"{name}.yaml", assignments=settings)
            for name, settings in (("default", SMALL), ("notebook", ["stability.draws=4"]))
        )
        tracking.connect(experiment="default")
        main(spark, data=str(SAMPLE), experiment=default, study=None, storage_url=None)
        tracking.connect(experiment="notebook")
        train(spark, data=str(SAMPLE), experiment=notebook)
        with mlflow_server(store, folder=place) as server:
            yield Shop(Browser(program, server, place / "profile"), place, store)


def test_list_of_runs_shows_main_with_its_metrics(shop):
    shown = [">main<", "validation_silhouette", "test_silhouette", "model_version"]
    assert not shop.browser.missing(shop.runs("pipelines"), ["Invoice lines clustered by price", *shown])


def test_view_of_trials_shows_the_usable_ones(shop):
    assert not shop.browser.missing(shop.runs("trials"), ["K=40 seed 0"])


@pytest.mark.parametrize(
    ("kind", "tab", "shown"),
    [
        (
            *("main", ""),
            ["prepare", "sweep K 36–42", "register K=", "promote", "score", "train", "by-day", f"#{VERSION}"],
        ),
        ("main", "/artifacts/report.html", ["<iframe"]),
        (
            *("sweep", ""),
            ["What each objective would choose", "What the seed does", "The winner, registered"],
        ),
        ("trial", "", ["silhouette"]),
        ("register", "", ["Clusters of the training lines", "are stable"]),
        ("register", "/artifacts/charts/price_quantity.png", ["price_quantity.png", "<img"]),
    ],
)
def test_page_of_a_run_tells_what_was_done_and_leads_on(shop, kind, tab, shown):
    assert not shop.browser.missing(shop.page(kind, tab), shown)


def test_two_experiments_are_compared_side_by_side(shop):
    runs = [shop.run("register").info, shop.run("train", "notebook").info]
    ids, experiments = (
        urllib.parse.quote(json.dumps(each))
        for each in ([run.run_id for run in runs], [run.experiment_id for run in runs])
    )
    route = f"/compare-runs?runs={ids}&experiments={experiments}"
    assert not shop.browser.missing(route, ["Comparing 2 Runs", "largest_cluster_share"])


def test_registered_version_shows_its_alias_and_card(shop):
    assert not shop.browser.missing(VERSION, ["champion", "How to score"])


def test_page_of_the_logged_model_says_of_which_lines_each_metric_is(shop):
    run = shop.run("register")
    (made,) = run.outputs.model_outputs
    digests = {each.dataset.digest for each in run.inputs.dataset_inputs}
    assert len(digests) == 3
    route = f"/experiments/{run.info.experiment_id}/models/{made.model_id}"
    assert not shop.browser.missing(route, ["test_silhouette", *digests])


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
        run = _scoring(shop, batches=15)
        page = f"/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
        for tab, shown in (
            ("", "rows_scored"),
            ("/model-metrics", "drift_psi"),
            ("/system-metrics", "cpu_utilization"),
        ):
            assert not shop.browser.missing(f"{page}{tab}", [shown])
        assert mlflow.get_run(run.info.run_id).info.status == "RUNNING"
    finally:
        os.killpg(scorer.pid, signal.SIGINT)
        scorer.communicate(timeout=120)
    assert scorer.returncode == 0


def _scoring(shop: Shop, *, batches: int) -> Run | None:
    """Return the run of the scorer once it shows so many batches."""
    runs = mlflow.search_runs(
        experiment_names=["default"],
        filter_string="tags.kind = 'score' and attributes.status = 'RUNNING'",
        output_format="list",
    )
    client = mlflow.MlflowClient(shop.store)
    return next(
        (
            run
            for run in runs
            if "system/cpu_utilization_percentage" in run.data.metrics
            and len(client.get_metric_history(run.info.run_id, "rows_in")) >= batches
        ),
        None,
    )
