"""Sweeps killed with -9 at twenty moments, with each sampler, end like those that ran through."""

from collections.abc import Sequence
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from retail_clusters.registry import tracking
from tests import examples, processes
from tests.search.test_sweep import finished, parents, settings, swept, table_of

pytestmark = pytest.mark.soak


TPE = {"sampler": "tpe", "k_max": 10, "seeds": 3}
GRID = {"sampler": "grid", "k_max": 22, "seeds": 4}


@pytest.mark.parametrize(
    ("space", "moments"), [(TPE, range(12)), (GRID, (0, 1, 4, 8, 16, 32, 48, 64))], ids=["tpe", "grid"]
)
def test_sweep_killed_at_many_moments_ends_like_one_that_ran_through(
    spark, workplace: Path, space: dict[str, object], moments: Sequence[int]
):
    tracking.connect(experiment="sweeps")
    shop = examples.write_files(workplace / "in")
    swept(spark, shop, "one", sweep=space)
    file = settings(workplace, "killed", sweep=space)
    command = ["sweep", "--data", shop, "--experiment", file, "--study", "killed"]
    environment = {"SPARK_MASTER": "local[1]", "MLFLOW_EXPERIMENT_NAME": "sweeps"}
    for moment in moments:
        started = processes.start(*command, **environment)
        processes.kill_when(started, lambda reached=moment: finished("killed") >= reached)
    swept(spark, shop, "killed", sweep=space)
    (one,), killed = parents("one"), parents("killed")
    pd.testing.assert_frame_equal(table_of(killed[-1]), table_of(one))
    assert killed[-1].data.tags["model_digest"] == one.data.tags["model_digest"]
    assert len(mlflow.MlflowClient().search_model_versions("name = 'retail-clusters'")) == 2
    left = mlflow.search_runs(search_all_experiments=True, filter_string="attributes.status = 'RUNNING'")
    assert left.empty
