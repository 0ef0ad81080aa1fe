"""Whose run is it, and does that process live: what a kill -9 leaves RUNNING is ended by the next command."""

from typing import Final

import mlflow
from mlflow.tracking import MlflowClient

from retail_clusters.infra.holders import LockOwner

#: The UI hides tags that begin like this: nobody reads a process number there.
PROCESS: Final = "mlflow.retail_clusters.process"


def process_tag() -> dict[str, str]:
    """Return the tag by which a run says what process works on it."""
    return {PROCESS: LockOwner.here().text}


def end_abandoned_runs() -> list[str]:
    """End as KILLED the runs whose process ran here and is gone, and only those; return their names.

    A run of another user that this one may not change stays as it is.
    """
    client = MlflowClient()
    experiments = [str(each.experiment_id) for each in client.search_experiments()]
    running = client.search_runs(
        experiments, f"attributes.status = 'RUNNING' and tags.`{PROCESS}` LIKE '%'", max_results=1000
    )
    ended = []
    for run in running:
        holder = LockOwner.parse(run.data.tags[PROCESS])
        if holder and holder.is_dead and _end(client, run.info.run_id):
            ended.append(str(run.info.run_name))
    return ended


def _end(client: MlflowClient, run_id: str) -> bool:
    try:
        client.set_terminated(run_id, "KILLED")
    except mlflow.MlflowException as refused:
        if refused.error_code == "PERMISSION_DENIED":
            return False
        raise
    return True
