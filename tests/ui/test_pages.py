"""The MLflow UI in a real browser: each kind of page says what a data scientist looks for."""

import os
import shutil
import signal
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
from tests import processes
from tests.conftest import PROJECT, SAMPLE
from tests.scorers import wait_until
from tests.ui.browser import Browser, chromium, mlflow_server

pytestmark = pytest.mark.soak

EXPERIMENT = PROJECT / "experiments" / "default.yaml"
SMALL = ("sweep.k_min=36", "sweep.k_max=42", "sweep.seeds=2", "sweep.min_seeds=1", "stability.draws=4")
VERSION = "/models/retail-clusters/versions/1"


@dataclass(frozen=True)
class Shop:
    """A store in which `main` has run, and a browser that looks at it."""

    browser: Browser
    place: Path
    store: str

    def runs(self, kind: str, *, status: str = "FINISHED") -> list[Run]:
        """Return the runs of a kind, the latest first."""
        which = f"tags.kind = '{kind}' and attributes.status = '{status}'"
        found: list[Run] = mlflow.search_runs(
            experiment_names=["default"], filter_string=which, output_format="list"
        )
        return found


@pytest.fixture(scope="module")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    program, place = chromium(), tmp_path_factory.mktemp("ui")
    store = f"sqlite:///{place / 'mlflow.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for name in ("RUN_ID", "EXPERIMENT_ID", "EXPERIMENT_NAME"):
            patch.delenv(f"MLFLOW_{name}", raising=False)
        patch.setenv("MLFLOW_TRACKING_URI", store)
        mlflow.set_tracking_uri(store)
        tracking.connect(experiment="default")
        experiment = load_experiment(EXPERIMENT, assignments=SMALL)
        main(spark, data=str(SAMPLE), experiment=experiment, study=None, storage_url=None)
        with mlflow_server(store, folder=place) as server:
            yield Shop(Browser(program, server, place / "profile"), place, store)


def test_link_of_an_experiment_shows_its_pipelines(shop):
    experiment = shop.runs("main")[0].info.experiment_id
    shown = ["Clusterings of retail data", ">main<", "test_silhouette"]
    assert not shop.browser.missing(
        f"/experiments/{experiment}/runs?searchFilter=tags.kind+%3D+%27main%27", shown
    )


@pytest.mark.parametrize(
    ("kind", "tab", "shown"),
    [
        (
            "main",
            "",
            ["by-day", "lines are scored", f"#{VERSION}"],
        ),
        ("main", "/artifacts/report.html", ["<iframe"]),
        ("sweep", "", ["is chosen", "their clusterings agree"]),
        ("trial", "", ["silhouette"]),
        ("register", "", ["are stable"]),
        ("register", "/artifacts/charts/pairs.png", ["pairs.png", "<img"]),
    ],
)
def test_page_of_a_run_tells_what_was_done_and_leads_on(shop, kind, tab, shown):
    run = shop.runs(kind)[0].info
    assert not shop.browser.missing(f"/experiments/{run.experiment_id}/runs/{run.run_id}{tab}", shown)


def test_registered_version_shows_its_alias_and_card(shop):
    assert not shop.browser.missing(VERSION, ["champion", "How to score"])


def test_scorer_shows_its_batches_while_it_runs(shop):
    source = shop.place / "arriving"
    source.mkdir()
    for file in sorted(SAMPLE.iterdir())[:20]:
        shutil.copy(file, source)
    scorer = processes.start(
        *("score", "--experiment", EXPERIMENT, "--once", "false", "--max-files-per-trigger", "1"),
        *("--source", source, "--output", shop.place / "scored"),
        MLFLOW_TRACKING_URI=shop.store,
    )
    try:
        wait_until(lambda: _shows(shop, batches=15), scorer, seconds=300)
        (run,) = shop.runs("score", status="RUNNING")
        tabs = {"": "rows_scored", "/model-metrics": "drift_psi"}
        for tab, shown in tabs.items():
            page = f"/experiments/{run.info.experiment_id}/runs/{run.info.run_id}{tab}"
            assert not shop.browser.missing(page, [shown])
        assert shop.runs("score", status="RUNNING")
        os.killpg(scorer.pid, signal.SIGINT)
        scorer.communicate(timeout=120)
        assert scorer.returncode == 0
    finally:
        scorer.kill()


def _shows(shop: Shop, *, batches: int) -> bool:
    """Tell whether the run of the scorer shows so many batches."""
    client = mlflow.MlflowClient(shop.store)
    return any(
        len(client.get_metric_history(run.info.run_id, "rows_in")) >= batches
        for run in shop.runs("score", status="RUNNING")
    )
