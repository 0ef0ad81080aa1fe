"""One Spark session for all tests; a tracking store, a registry and a working folder for each."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import hypothesis
import mlflow
import pytest
from pyspark.sql import SparkSession

from retail_clusters.infra import class_archive
from retail_clusters.infra.spark import spark_session

if not hasattr(sys.modules["__main__"], "__file__"):
    # In a worker of pytest-xdist. Without a main file PySpark believes that its doctests run, and exits.
    sys.modules["__main__"].__file__ = pytest.__file__

# Tests run new code a few times, in several small JVMs at once: Java's second compiler, and a collector
# with threads of its own, cost them more than they give.
SMALL = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:MetaspaceSize=256m -Xmn512m -Xlog:disable"
os.environ.setdefault("SPARK_SUBMIT_OPTS", f"{SMALL} {class_archive.options()}".strip())
hypothesis.settings.register_profile("long", deadline=None)
hypothesis.settings.register_profile("short", deadline=None, max_examples=25)
hypothesis.settings.load_profile("short")

PROJECT = Path(__file__).parents[1]
SAMPLE = PROJECT / "data" / "sample" / "by-day"
#: The files whose tests take longest, longest first.
LONGEST = (
    *("serving/test_score.py", "test_readme.py", "promotion/test_promote.py", "serving/test_segments.py"),
    *("search/test_verify.py", "purchases/test_job.py", "promotion/test_trained.py", "test_golden.py"),
    *("search/test_sweep.py", "test_odd_files.py", "search/test_context.py", "infra/test_spark.py"),
    *("mlflow_spark_submit/test_backend.py", "search/test_prepared.py", "data/test_prepare.py"),
    *("search/test_study.py", "features/test_model.py", "data/test_csv_files.py", "registry/test_models.py"),
)
REAL = PROJECT.parent / "shared" / "retail-data" / "by-day"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files that take longest, so that both workers end at about the same time."""
    order = {PROJECT / "tests" / name: at for at, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    os.environ.setdefault("SPARK_MASTER", "local[2]")
    with spark_session("tests") as session:
        yield session


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking store with its tables made: making them takes seconds, copying a moment.

    Its default experiment keeps artifacts beside it, where MLflow is when it makes the store.
    """
    store = tmp_path_factory.mktemp("store") / "mlflow.db"
    with chdir(store.parent):
        mlflow.MlflowClient(tracking_uri=f"sqlite:///{store}").search_experiments()
    return store


@pytest.fixture
def workplace(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder with a tracking store of its own."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    mlflow.set_experiment(experiment_id="0")  # an earlier test's experiment is not in this store
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)
    yield tmp_path
    left_open = []
    while run := mlflow.active_run():
        left_open.append(run.info.run_name)
        mlflow.end_run()
    assert not left_open, f"runs were left open: {left_open}"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The real data set; without it a test is skipped, except in CI, where it fails."""
    if not REAL.is_dir():
        reason = "the real data set is not beside the project (see data/README.md)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return REAL
