"""Sweeps killed with -9 at twenty moments end like those that ran through."""

from pathlib import Path

import mlflow
import pandas as pd
import pytest

from retail_clusters.registry import tracking
from tests import examples, processes
from tests.search.test_sweep import finished, parents, settings, swept, table_of

pytestmark = pytest.mark.soak


SPACE = {"k_max": 22, "seeds": 16}
MOMENTS = (0, 1, 4, 8, 16, 32, 48, 64, 100, 127, 128, 129, 140, 160, 200, 250, 256, 257, 280, 310)


def test_sweep_killed_at_many_moments_ends_like_one_that_ran_through(spark, workplace: Path):
    tracking.connect(experiment="sweeps")
    shop = examples.write_files(workplace / "in")
    swept(spark, shop, "one", sweep=SPACE)
    file = settings(workplace, "killed", sweep=SPACE)
    command = ["sweep", "--data", shop, "--experiment", file, "--study", "killed"]
    environment = {"SPARK_MASTER": "local[1]", "MLFLOW_EXPERIMENT_NAME": "sweeps"}
    for moment in MOMENTS:
        started = processes.start(*command, **environment)
        processes.kill_when(started, lambda reached=moment: finished("killed") >= reached)
    swept(spark, shop, "killed", sweep=SPACE)
    (one,), killed = parents("one"), parents("killed")
    pd.testing.assert_frame_equal(table_of(killed[-1]), table_of(one))
    assert killed[-1].data.tags["model_digest"] == one.data.tags["model_digest"]
    assert len(mlflow.MlflowClient().search_model_versions("name = 'retail-clusters'")) == 2
