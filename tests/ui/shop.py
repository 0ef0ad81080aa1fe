"""A store in which three experiments have run, a browser that looks at it, and the pictures that it takes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
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
from retail_clusters.settings import Experiment
from tests.conftest import PROJECT, SAMPLE
from tests.ui.browser import Browser, chromium, mlflow_server

#: Names a folder that keeps the pictures for a person to look at.
PICTURES = "RETAIL_CLUSTERS_UI_PICTURES"
_SMALL = ("sweep.seeds=2", "sweep.min_seeds=1", "stability.draws=4")


@dataclass(frozen=True)
class Shop:
    """A store, its server, and a browser."""

    browser: Browser
    place: Path
    store: str
    pictures: Path

    def see(self, name: str, route: str, *, until: str = "", size: tuple[int, int] = (1400, 1000)) -> str:
        """Return a page as text, and keep a picture of it."""
        page = self.browser.text(route, until=until)
        self.browser.picture(route, self.pictures / f"{name}.png", size=size)
        return page

    def run(self, experiment: str, kind: str) -> Run:
        """Return the run of a kind in an experiment."""
        found = mlflow.search_runs(
            experiment_names=[experiment], filter_string=f"tags.kind = '{kind}'", output_format="list"
        )
        return found[0]

    def route(self, experiment: str, kind: str, tab: str = "") -> str:
        """Return the route of the page of a run, or of a tab of it."""
        info = self.run(experiment, kind).info
        return f"/experiments/{info.experiment_id}/runs/{info.run_id}{tab}"


@contextmanager
def shop(spark: SparkSession, place: Path) -> Iterator[Shop]:
    """Run `main` in two experiments and `train` in a third, and serve what they left."""
    program = chromium()
    store = f"sqlite:///{place / 'mlflow.db'}"
    pictures = Path(os.environ.get(PICTURES) or place / "pictures").absolute()
    pictures.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
            patch.delenv(name, raising=False)
        patch.setenv("MLFLOW_TRACKING_URI", store)
        patch.delenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", raising=False)
        patch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "1")
        mlflow.set_tracking_uri(store)
        _main(spark, "default", "sweep.k_min=36", "sweep.k_max=42", *_SMALL)
        _main(spark, "log_features", "sweep.k_min=8", "sweep.k_max=16", *_SMALL)
        notebook = _experiment("notebook", "stability.draws=4")
        tracking.connect(experiment="notebook")
        train(spark, data=str(SAMPLE), experiment=notebook)
        with mlflow_server(store, folder=place) as server:
            yield Shop(Browser(program, server, place / "profile"), place, store, pictures)


def _main(spark: SparkSession, name: str, *settings: str) -> None:
    tracking.connect(experiment=name)
    main(spark, data=str(SAMPLE), experiment=_experiment(name, *settings), study=None, storage_url=None)


def _experiment(name: str, *settings: str) -> Experiment:
    return load_experiment(PROJECT / "experiments" / f"{name}.yaml", assignments=settings)
