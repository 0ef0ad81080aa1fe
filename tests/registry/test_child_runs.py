"""Child runs are written once, whatever a kill left of them."""

from pathlib import Path

import pytest
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from retail_clusters.registry import tracking
from retail_clusters.registry.child_runs import ChildRun, ChildRuns


def trial(number: int) -> ChildRun:
    return ChildRun(
        name=f"trial {number}",
        params={"k": str(number)},
        metrics={"silhouette": number / 10},
        tags={"trial": str(number)},
        description="usable",
    )


@pytest.fixture
def parent(workplace: Path) -> str:
    with tracking.run("sweep") as run_id:
        pass
    return run_id


def write(parent: str, *numbers: int) -> list[str]:
    return ChildRuns(parent, kind="trial", key="trial").write([trial(number) for number in numbers])


def half_written(parent: str, number: int, *, logged: bool = False) -> str:
    """Leave what a kill leaves of a child: a run, and perhaps what was logged on it."""
    tags = {"mlflow.parentRunId": parent, "trial": str(number)}
    run_id = str(MlflowClient().create_run("0", tags=tags).info.run_id)
    if logged:
        metrics, params = [Metric("silhouette", number / 10, 1, 0)], [Param("k", str(number))]
        MlflowClient().log_batch(run_id, metrics=metrics, params=params)
    return run_id


def test_child_runs_are_written_once_and_finished(parent: str):
    first, again = write(parent, 0, 1), write(parent, 1, 2)

    assert again[0] == first[1]
    assert {
        (run.info.run_name, run.info.status, run.data.tags["kind"]) for run in tracking.children(parent)
    } == {(f"trial {number}", "FINISHED", "trial") for number in range(3)}


@pytest.mark.parametrize("logged", [False, True])
def test_half_written_child_is_completed(parent: str, logged: bool):
    begun = half_written(parent, 4, logged=logged)

    assert write(parent, 4) == [begun]

    (child,) = tracking.children(parent)
    assert (child.info.status, child.data.params) == ("FINISHED", {"k": "4"})
    assert child.data.metrics == {"silhouette": 0.4}


def test_child_that_a_server_has_made_twice_is_there_once(parent: str):
    half_written(parent, 4)
    half_written(parent, 4)

    (written,) = write(parent, 4)

    assert [run.info.run_id for run in tracking.children(parent)] == [written]
