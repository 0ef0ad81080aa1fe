"""MLflow's tracking store: which one it is, how runs live, what they are told, what they hold."""

import io
import json
import logging
import os
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, ParamSpec
from urllib.parse import unquote

import click
import mlflow
import pandas as pd
from mlflow.data.spark_dataset_source import SparkDatasetSource
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    Metric,
    Param,
    RunTag,
    SourceType,
)
from mlflow.entities import Run as Run  # noqa: PLC0414 - for those who only name its type
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import (
    MLFLOW_DATASET_CONTEXT,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NOTE,
    MLFLOW_SOURCE_TYPE,
)

from retail_clusters.errors import InputError, StoreError
from retail_clusters.infra import locations
from retail_clusters.infra.console import in_short, must_answer
from retail_clusters.infra.locks import LockOwner
from retail_clusters.infra.secrets import masked
from retail_clusters.wording import pad_table

_DEFAULT_URI: Final = "sqlite:///mlflow.db"

#: A run says by the tag `kind` what it is: people filter runs by it.
Kind = Literal[
    "main",
    "prepare",
    "sweep",
    "trial",
    "train",
    "register",
    "promote",
    "rollback",
    "score",
    "purchases",
]

#: The process that works on a run. The UI hides tags that begin like this.
PROCESS_TAG: Final = "mlflow.retail_clusters.process"
#: How long a promotion may be under way on another machine before it counts as dead, in milliseconds.
_PATIENCE: Final = 3_600_000
_SYSTEM_METRICS: Final = "system/"
_LONGEST_TAG: Final = 8_000
#: Names the run that `mlflow run` makes before the command starts.
_LAUNCHED: Final = "MLFLOW_RUN_ID"
_DEFAULT_EXPERIMENT: Final = "0"
_DESCRIPTION: Final = """Clusterings of retail data: [pipelines]({pipelines}), the latest first.

`main` holds every step: `prepare`, `sweep` (with a run for each trial), `register`, `promote`, `score`. The tag \
`kind` names the kind of a run.

Sort by `validation_silhouette`, and look at `test_silhouette` last. A silhouette belongs to its lines and its \
features: compare only runs of the same `data_digest` and the same features."""
#: A server takes calls at the same time, and each waits for the way there and back; sqlite takes one.
_THREADS: Final = 8
#: That run where nobody named an experiment. MLflow puts it into `Default`, and cannot move it: the command's own
#: run is in the experiment of its file, and this one becomes its child.
_placeholder: list[str] = []
_UNKNOWN: Final = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}

_P = ParamSpec("_P")


# --- the store and its experiments


def connect(*, experiment: str) -> None:
    """Choose the tracking store and the experiment that new runs go to; end the runs of dead processes.

    `MLFLOW_TRACKING_URI` wins over the project's sqlite file, `MLFLOW_REGISTRY_URI` over that. A run that
    `mlflow run` has made in a named experiment is where its runs go; otherwise `MLFLOW_EXPERIMENT_NAME` or
    `MLFLOW_EXPERIMENT_ID` wins over `experiment`.

    Raises:
        InputError: the store is a file in a folder that cannot be written to.
        StoreError: the store does not answer, or refuses.
    """
    _choose_stores()
    _check_folder(sqlite_file(mlflow.get_tracking_uri()))
    with short_timeouts(), answered():
        client = MlflowClient()
        _describe_experiment(client, _choose_experiment(client, experiment))
        _end_abandoned_runs(client)


def connect_to_read() -> None:
    """Choose the stores as `connect` does, to read them only: nothing is made.

    Raises:
        InputError: there is no store yet.
    """
    _choose_stores()
    path = sqlite_file(mlflow.get_tracking_uri())
    if path and not path.exists():
        raise InputError(
            f"there must be a tracking store to read, but found no {path}: go to the project's folder, or "
            "name the store with MLFLOW_TRACKING_URI"
        )


def store_uri() -> str:
    """Name the tracking store in use, without its password."""
    return masked(mlflow.get_tracking_uri())


def sqlite_file(uri: str) -> Path | None:
    """Return the file of an sqlite store; None of any other.

    A space in its name is `%20` where MLflow has made the URI, and both spellings open one store.
    """
    scheme, found, path = uri.partition(":///")
    if not found or not scheme.startswith("sqlite"):
        return None
    return Path(unquote(path.partition("?")[0])).absolute()


@contextmanager
def answered() -> Iterator[None]:
    """Tell a failure of the tracking store inside in one line.

    Raises:
        StoreError: the store does not answer, or refuses.
    """
    with must_answer("the tracking store", mlflow.get_tracking_uri, StoreError):
        yield


def attempt(action: Callable[_P, object], *arguments: _P.args, **options: _P.kwargs) -> str | None:
    """Call a function of this module; say what went wrong where the store fails, None where nothing did."""
    try:
        action(*arguments, **options)
    except StoreError as failure:
        return in_short(failure.__cause__ or failure)
    return None


@contextmanager
def short_timeouts() -> Iterator[None]:
    """Let MLflow's HTTP client give up within seconds, not minutes; what the environment says stays."""
    hurry = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
    ours = {name: value for name, value in hurry.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


def _check_folder(store: Path | None) -> None:
    """Refuse a folder that no store can be written in; MLflow would try for minutes."""
    try:
        if store:
            tempfile.TemporaryFile(dir=store.parent).close()
    except OSError as refused:
        raise InputError(
            f"the tracking store is a file that is written, but {refused.strerror} in the folder "
            f"{store and store.parent}: go to the project's folder, or name another with MLFLOW_TRACKING_URI"
        ) from refused


def _choose_stores() -> None:
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # It prints the address of a server with each run that ends, the password in it too.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    for chatty in ("mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("mlflow.system_metrics").setLevel(logging.CRITICAL)  # it shows addresses whole
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        mlflow.set_tracking_uri(_DEFAULT_URI)
    mlflow.set_registry_uri(os.environ.get("MLFLOW_REGISTRY_URI") or mlflow.get_tracking_uri())


def _choose_experiment(client: MlflowClient, experiment: str) -> str:
    """Let new runs go to an experiment, made if there is none; return its id."""
    _placeholder.clear()
    name, launched = os.environ.get("MLFLOW_EXPERIMENT_NAME"), os.environ.get(_LAUNCHED)
    given = None if name else os.environ.get("MLFLOW_EXPERIMENT_ID")
    if launched:
        given = client.get_run(launched).info.experiment_id
        if given == _DEFAULT_EXPERIMENT and name is None:
            _placeholder.append(launched)
            for noted in (_LAUNCHED, "MLFLOW_EXPERIMENT_ID"):
                os.environ.pop(noted, None)
            given = None
    return _activate(experiment_id=given) if given else _activate(name or experiment)


def _link_placeholder(run_id: str) -> None:
    """Let the placeholder, if there is one, point to the command's own run."""
    client = MlflowClient()
    for placeholder in _placeholder:
        own = client.get_run(run_id).info
        link = f"#/experiments/{own.experiment_id}/runs/{run_id}?workflowType=machine_learning"
        client.set_tag(placeholder, MLFLOW_PARENT_RUN_ID, run_id)
        client.set_tag(
            placeholder, MLFLOW_RUN_NOTE, f"`mlflow run` started this. Its run is [{own.run_name}]({link})."
        )
    _placeholder.clear()


def _activate(name: str | None = None, *, experiment_id: str | None = None) -> str:
    """Make an experiment the active one. MLflow notes it where the next call would take it for a wish."""
    given = os.environ.get("MLFLOW_EXPERIMENT_ID")
    active = mlflow.set_experiment(name, experiment_id=experiment_id)
    if given is None:
        os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
    return str(active.experiment_id)


def _describe_experiment(client: MlflowClient, experiment_id: str) -> None:
    """Let the UI open an experiment as model training, and describe it, unless somebody has done so."""
    kind = "searchFilter=tags.kind+%3D+%27main%27&workflowType=machine_learning"
    tags = {
        "mlflow.experimentKind": "custom_model_development",
        MLFLOW_RUN_NOTE: _DESCRIPTION.format(pipelines=f"#/experiments/{experiment_id}/runs?{kind}"),
    }
    held = client.get_experiment(experiment_id).tags
    for key, value in tags.items():
        if key not in held:
            client.set_experiment_tag(experiment_id, key, value)


def _end_abandoned_runs(client: MlflowClient) -> None:
    """End as KILLED the runs whose process is gone; one that the store does not let this user change stays."""
    experiments = [str(each.experiment_id) for each in client.search_experiments()]
    theirs = f"attributes.status = 'RUNNING' and tags.`{PROCESS_TAG}` LIKE '%'"
    for left in client.search_runs(experiments, theirs, max_results=1000):
        if _is_abandoned(left) and not attempt(end_run, left.info.run_id, status="KILLED"):
            name = left.info.run_name
            click.secho(f"tracking: ended the run {name}, whose process is gone", fg="yellow", err=True)


def _is_abandoned(left: Run) -> bool:
    """Tell whether a run's process is gone: for certain on this machine, after an hour for a promotion elsewhere."""
    owner = LockOwner.parse(left.data.tags[PROCESS_TAG])
    moves_champion = left.data.tags.get("kind") in {"promote", "rollback"}
    old = time.time() * 1000 - left.info.start_time > _PATIENCE
    return owner is not None and (owner.is_dead or (moves_champion and old and owner.is_elsewhere))


# --- the life of a run


@contextmanager
def run(kind: Kind, *, name: str | None = None) -> Iterator[str]:
    """Open a run, nested in the one that is open, and give its id; a failure inside marks it failed.

    Its name is its kind unless one is given. The first run adopts the one that `mlflow run` has made.
    """
    with answered():
        opened = _open(kind, name=name or kind)
    with opened as active:
        yield active.info.run_id


def detached_run(kind: Kind, *, run_id: str | None, params: Mapping[str, str]) -> str:
    """Go on in the run of an earlier process, or open a new one nested in the open run; give its id.

    It is nobody's active run, and stays open until `end_run`.
    """
    detached = run_id if run_id and is_active(run_id) else ""
    if not detached:
        with answered(), _open(kind, name=kind) as opened:
            log_settings(params)
            detached = str(opened.info.run_id)
    with answered():
        _link_placeholder(detached)
        MlflowClient().set_tag(detached, PROCESS_TAG, LockOwner.here().text)
        MlflowClient().update_run(detached, status="RUNNING")
    return detached


@answered()
def end_run(run_id: str, *, status: str) -> None:
    """Mark a detached run FINISHED or FAILED."""
    MlflowClient().set_terminated(run_id, status)


def _open(kind: Kind, *, name: str) -> mlflow.ActiveRun:
    nested = mlflow.active_run() is not None
    tags = {"kind": kind, PROCESS_TAG: LockOwner.here().text}
    opened = mlflow.start_run(run_name=name, nested=nested, tags=tags)
    if opened.info.run_name != name:  # adopted
        mlflow.set_tag("mlflow.runName", name)
    _link_placeholder(opened.info.run_id)
    return opened


# --- what a run is told: the open one, where no `run_id` names another


@answered()
def log_settings(settings: Mapping[str, str]) -> None:
    """Log params on the open run; one that it holds, as `mlflow run` logs what it is given, stays."""
    held = active_run().data.params
    mlflow.log_params({key: masked(value) for key, value in settings.items() if key not in held})


def log_input(
    *,
    data: str,
    digest: str,
    context: str,
    part: str | None = None,
    profile: Mapping[str, float | str] | None = None,
) -> None:
    """Log a data set on the open run, under a digest of its content.

    `profile` says what it holds, such as records. Its name is that of the folder or file, after the `part`.
    """
    dataset = Dataset(
        (f"{part}-" if part else "") + (locations.name(data) or data),
        digest,
        source_type="spark",
        source=SparkDatasetSource(path=masked(locations.to_uri(data))).to_json(),
        profile=json.dumps(dict(profile)) if profile else None,
    )
    logged = DatasetInput(dataset, tags=[InputTag(MLFLOW_DATASET_CONTEXT, context)])
    with answered():
        MlflowClient().log_inputs(_target(), datasets=[logged])


@answered()
def log_metrics(metrics: Mapping[str, float]) -> None:
    """Log metrics on the open run."""
    mlflow.log_metrics(dict(metrics), run_id=_target())


@answered()
def log_points(run_id: str, points: Sequence[tuple[str, float, int, int]]) -> None:
    """Log points (name, value, milliseconds, step) on a run, at once; one that is logged again is one point."""
    MlflowClient().log_batch(run_id, metrics=[Metric(*point) for point in points])


@answered()
def set_tags(tags: Mapping[str, str], *, run_id: str | None = None) -> None:
    """Set tags on a run."""
    MlflowClient().log_batch(_target(run_id), tags=[RunTag(name, value) for name, value in tags.items()])


@answered()
def describe(markdown: str, *, run_id: str | None = None) -> None:
    """Set a run's description, as the MLflow UI shows it."""
    MlflowClient().set_tag(_target(run_id), MLFLOW_RUN_NOTE, pad_table(markdown)[:_LONGEST_TAG])


def log_table(table: pd.DataFrame, name: str) -> None:
    """Log a table on the open run, as CSV."""
    log_text(table.to_csv(index=False), f"{name}.csv")


@answered()
def log_text(text: str, name: str, *, run_id: str | None = None) -> None:
    """Log a text on a run."""
    MlflowClient().log_text(_target(run_id), text, name)


def log_files(files: Mapping[str, bytes], *, run_id: str | None = None) -> None:
    """Log files, such as `charts/sizes.png`, on a run, all at once."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            place = Path(folder, name)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        with answered():
            MlflowClient().log_artifacts(_target(run_id), folder)


def use_model(source: str) -> None:
    """Note that the open run used the logged model that a version was made of, so that its page shows it."""
    scheme, _, model_id = source.partition(":/")
    if scheme == "models":
        with answered():
            MlflowClient().log_inputs(_target(), models=[LoggedModelInput(model_id=model_id)])


def _target(run_id: str | None = None) -> str:
    """Return the run that is named, else the open one."""
    if run_id:
        return run_id
    opened = mlflow.active_run()
    if opened is None:
        raise InputError("a run must be open, but there is none: open one with run")
    return str(opened.info.run_id)


# --- what a run holds


def read_run(run_id: str) -> Run:
    """Look up a run.

    Raises:
        InputError: the tracking store holds no such run, or it was deleted.
        StoreError: it does not answer, or refuses.
    """
    found = find_run(run_id)
    if found is None:
        raise InputError(
            f"run_id must name a run in {store_uri()}, but found no run {run_id!r}: copy it from the MLflow UI"
        )
    return found


def active_run() -> Run:
    """Look up the open run, with what it holds by now."""
    return read_run(_target())


@answered()
def find_run(run_id: str) -> Run | None:
    """Look up a run; None of one that is deleted, or not there."""
    try:
        found = MlflowClient().get_run(run_id) if run_id else None
    except mlflow.MlflowException as unknown:
        if unknown.error_code in _UNKNOWN:
            return None
        raise
    return found if found and found.info.lifecycle_stage == "active" else None


def is_active(run_id: str) -> bool:
    """Tell whether the store holds a run that is not deleted."""
    return find_run(run_id) is not None


@answered()
def latest_run(*, tags: Mapping[str, str], params: Mapping[str, str]) -> Run | None:
    """Find the latest run with some tags and params, in any experiment."""
    wanted = [f"tags.`{name}` = '{value}'" for name, value in tags.items()]
    wanted += [f"params.`{name}` = '{value}'" for name, value in params.items()]
    found: list[Run] = mlflow.search_runs(
        search_all_experiments=True,
        filter_string=" and ".join(wanted),
        order_by=["attributes.start_time DESC"],
        max_results=1,
        output_format="list",
    )
    return found[0] if found else None


def settings_of(run: Run) -> dict[str, str]:
    """Return the params of a run, without the quotes of a shell, in which `mlflow run` logs what has a space."""
    params: dict[str, str] = run.data.params
    if run.data.tags.get(MLFLOW_SOURCE_TYPE) != SourceType.to_string(SourceType.PROJECT):
        return params
    return {name: typed for name, value in params.items() if (typed := _unquoted(value))}


def _unquoted(value: str) -> str:
    """Undo `shlex.quote`, and nothing else.

    >>> _unquoted("'my data'"), _unquoted("''"), _unquoted("it's")
    ('my data', '', "it's")
    """
    try:
        words = shlex.split(value)
    except ValueError:
        return value
    return words[0] if len(words) == 1 and shlex.quote(words[0]) == value else value


def metrics_of(run: Run) -> dict[str, float]:
    """Return the metrics of a run, without those of the machine that it ran on."""
    return {name: value for name, value in run.data.metrics.items() if not name.startswith(_SYSTEM_METRICS)}


def read_table(run_id: str, name: str) -> pd.DataFrame:
    """Read a table that `log_table` has written, its numbers to the last bit.

    Raises:
        InputError: the run has no such table.
        StoreError: the store does not answer, or refuses.
    """
    content = read_files(run_id, [f"{name}.csv"]).get(f"{name}.csv")
    if content is None:
        raise InputError(f"run {run_id} must hold the artifact {name}.csv, but it has none")
    return pd.read_csv(io.BytesIO(content), float_precision="round_trip")


def read_files(run_id: str, names: Sequence[str]) -> dict[str, bytes]:
    """Return those artifacts of a run that are there, by name."""
    with answered(), tempfile.TemporaryDirectory(prefix="retail-clusters-") as place:
        client = MlflowClient()
        folders = {name.rpartition("/")[0] or None for name in names}
        held = {each.path for folder in folders for each in client.list_artifacts(run_id, folder)}
        return {
            name: Path(client.download_artifacts(run_id, name, place)).read_bytes()
            for name in names
            if name in held
        }


def children(parent_id: str) -> list[Run]:
    """List the runs nested in a run, oldest first."""
    with answered():
        found: list[Run] = mlflow.search_runs(
            [MlflowClient().get_run(parent_id).info.experiment_id],
            f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent_id}'",
            order_by=["attributes.start_time ASC"],
            output_format="list",
        )
    return found


# --- many runs at once


@dataclass(frozen=True)
class ChildRun:
    """A finished run, nested in another."""

    name: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


def log_children(children: Sequence[ChildRun]) -> None:
    """Write finished runs, such as a sweep's trials, under the open run."""
    parent, client, now = active_run().info, MlflowClient(), int(time.time() * 1000)

    def write(child: ChildRun) -> None:
        tags = {MLFLOW_PARENT_RUN_ID: parent.run_id, PROCESS_TAG: LockOwner.here().text, **child.tags}
        made = client.create_run(parent.experiment_id, start_time=now, tags=tags, run_name=child.name).info
        metrics = [Metric(key, value, now, 0) for key, value in child.metrics.items()]
        params = [Param(key, value) for key, value in child.params.items()]
        client.log_batch(made.run_id, metrics=metrics, params=params)
        client.set_terminated(made.run_id)

    over_http = mlflow.get_tracking_uri().startswith(("http://", "https://"))
    with answered(), ThreadPoolExecutor(_THREADS if over_http else 1) as pool:
        list(pool.map(write, children))
