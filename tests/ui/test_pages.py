"""The MLflow UI in a real browser: each kind of page says what a data scientist looks for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import mlflow
import pytest
from pyspark.sql import SparkSession

from retail_clusters.infra import tracking
from retail_clusters.pipeline import main
from retail_clusters.settings import Experiment
from tests.conftest import SAMPLE
from tests.ui.browser import Browser, chromium, compare, mlflow_server, runs_view

pytestmark = pytest.mark.soak

SMALL = Experiment.model_validate(
    {"sweep": {"k_min": 36, "k_max": 40, "seeds": 1, "min_seeds": 1}, "stability": {"draws": 2}}
)


@dataclass(frozen=True)
class Shop:
    """A store in which `main` has run once, in a browser."""

    browser: Browser
    experiment_id: str
    runs: Mapping[str, str]

    def run(self, kind: str, more: str = "") -> str:
        return f"/experiments/{self.experiment_id}/runs/{self.runs[kind]}{more}"


@pytest.fixture(scope="module")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    program = chromium()
    place = tmp_path_factory.mktemp("ui")
    store = f"sqlite:///{place / 'mlflow.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
            patch.delenv(name, raising=False)
        patch.setenv("MLFLOW_TRACKING_URI", store)
        mlflow.set_tracking_uri(store)
        tracking.connect(experiment="shop")
        main(spark, data=str(SAMPLE), experiment=SMALL, study=None, storage_url=None)
        found = mlflow.search_runs(
            search_all_experiments=True, output_format="list", filter_string="tags.kind != 'trial'"
        )
        runs = {run.data.tags["kind"]: run.info.run_id for run in found}
        (experiment_id,) = {run.info.experiment_id for run in found}
        with mlflow_server(store, folder=place) as server:
            yield Shop(Browser(program, server, place / "profile"), experiment_id, runs)


def test_list_of_runs_shows_main_with_its_figures(shop):
    page = shop.browser.text(runs_view(shop.experiment_id, "pipelines"), until="model_version")
    assert "Invoice lines clustered by price" in page
    for shown in (">main<", "validation_silhouette", "test_silhouette", "model_version"):
        assert shown in page
    assert "does not exist" not in page


def test_view_of_trials_shows_the_usable_ones(shop):
    page = shop.browser.text(runs_view(shop.experiment_id, "trials"), until="K=40 seed 0")
    assert "K=40 seed 0" in page


def test_main_tells_what_became_champion_and_leads_to_every_step(shop):
    page = shop.browser.text(shop.run("main"), until="#/models/retail-clusters/versions/1")
    assert "#/models/retail-clusters/versions/1" in page
    for step in ("prepare", "sweep K 36–40", "register K=", "promote", "score"):
        assert step in page
    for data_set in ("train", "by-day"):
        assert data_set in page


def test_sweep_tells_what_each_objective_would_choose_and_how_its_winner_did_later(shop):
    page = shop.browser.text(shop.run("sweep"), until="The winner, registered")
    for told in ("What each objective would choose", "What the seed does", "The winner, registered"):
        assert told in page


def test_runs_are_compared_side_by_side(shop):
    page = shop.browser.text(compare(shop.experiment_id, shop.runs["main"], shop.runs["register"]))
    assert "largest_cluster_share" in page
    assert "Comparing 2 Runs" in page


def test_picture_and_report_are_shown_among_the_artifacts(shop, tmp_path):
    page = shop.browser.text(shop.run("register", "/artifacts/charts/price_quantity.png"))
    assert "price_quantity.png" in page
    report = shop.browser.text(shop.run("main", "/artifacts/report.html"))
    assert "<iframe" in report
    picture = shop.browser.picture(shop.run("register", "/artifacts/charts/sizes.png"), tmp_path / "seen.png")
    assert len(picture) > 50_000, "an empty page is a small picture"


def test_registered_model_shows_its_alias_and_card(shop):
    page = shop.browser.text("/models/retail-clusters/versions/1", until="How to score")
    assert "champion" in page
    assert "How to score" in page
