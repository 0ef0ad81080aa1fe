"""Sweeps killed with -9 at twenty moments, and stopped, end like those that ran through."""

import os
import signal
import threading
import time
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from retail_clusters.errors import StoppedError
from retail_clusters.registry import tracking
from tests import examples, processes
from tests.search.test_sweep import finished, parents, settings, swept, table_of

pytestmark = pytest.mark.soak


SPACE = {"k_max": 22, "seeds": 16}
MOMENTS = (0, 1, 4, 8, 16, 32, 48, 64, 100, 127, 128, 129, 140, 160, 200, 250, 256, 257, 280, 310)


def interrupt_when(study: str, reached: int) -> threading.Thread:
    """Send SIGTERM to this process once a study has so many trials."""

    def wait() -> None:
        deadline = time.monotonic() + 120
        while finished(study) < reached and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_sweep_killed_at_many_moments_or_stopped_ends_like_one_that_ran_through(spark, workplace: Path):
    tracking.connect(experiment="sweeps")
    shop = examples.write_files(workplace / "in")
    swept(spark, shop, "one", sweep=SPACE)
    file = settings(workplace, "killed", sweep=SPACE)
    command = ["sweep", "--data", shop, "--experiment", file, "--study", "killed"]
    environment = {"SPARK_MASTER": "local[1]", "MLFLOW_EXPERIMENT_NAME": "sweeps"}
    for moment in MOMENTS:
        started = processes.start(*command, **environment)
        processes.kill_when(started, lambda reached=moment: finished("killed") >= reached)
    waiting = interrupt_when("stopped", 1)
    with pytest.raises(StoppedError, match="nothing is registered: sweep --study stopped goes on from there"):
        swept(spark, shop, "stopped", sweep=SPACE)
    waiting.join()
    (one,) = parents("one")
    for study in ("killed", "stopped"):
        swept(spark, shop, study, sweep=SPACE)
        last = parents(study)[-1]
        pd.testing.assert_frame_equal(table_of(last), table_of(one))
        assert last.data.tags["model_digest"] == one.data.tags["model_digest"]
    assert len(mlflow.MlflowClient().search_model_versions("name = 'retail-clusters'")) == 3
