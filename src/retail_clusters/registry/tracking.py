"""MLflow's tracking store: which one it is, how runs live, what they are told, what they hold."""

import io
import json
import logging
import os
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, ParamSpec
from urllib.parse import unquote

import click
import mlflow
import pandas as pd
from mlflow.data.spark_dataset_source import SparkDatasetSource
from mlflow.entities import Dataset as Dataset  # noqa: PLC0414 - for those who only name its type
from mlflow.entities import DatasetInput, InputTag, LoggedModelInput, Metric, RunTag, SourceType
from mlflow.entities import Run as Run  # noqa: PLC0414 - for those who only name its type
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, Schema
from mlflow.utils.mlflow_tags import (
    MLFLOW_DATASET_CONTEXT,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NAME,
    MLFLOW_RUN_NOTE,
    MLFLOW_SOURCE_TYPE,
)

from retail_clusters.errors import InputError, StoreError
from retail_clusters.infra import locations
from retail_clusters.infra.console import in_short, must_answer
from retail_clusters.infra.locks import LockOwner
from retail_clusters.infra.secrets import masked
from retail_clusters.registry import experiment_page
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
#: Settings of a run that holds their params empty, as `mlflow run` logs what is given as an empty text.
LATE_PARAM_TAG: Final = "settings."
_SYSTEM_METRICS: Final = "system/"
_LONGEST_TAG: Final = 8_000
#: Names the run that `mlflow run` makes before the command starts.
_LAUNCHED: Final = "MLFLOW_RUN_ID"
_OF_ITS_OWN: Final = {MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE, MLFLOW_PARENT_RUN_ID}
_DEFAULT_EXPERIMENT: Final = "0"
#: That run where nobody named an experiment. MLflow puts it into `Default`, and cannot move it: the command's own
#: run is in the experiment of its file, and this one becomes its child.
_placeholder: list[Run] = []
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
        experiment_page.describe(client, _choose_experiment(client, experiment))
        for name in _end_abandoned_runs(client):
            click.secho(f"tracking: ended the run {name}, whose process is gone", fg="yellow", err=True)


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
    made = _adopted(client)
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME")
    given = made.info.experiment_id if made else None if name else os.environ.get("MLFLOW_EXPERIMENT_ID")
    return _activate(experiment_id=given) if given else _activate(name or experiment)


def _adopted(client: MlflowClient) -> Run | None:
    """Return the run of `mlflow run` in which the command goes on; make one in `Default` a placeholder."""
    _placeholder.clear()
    run_id = os.environ.get(_LAUNCHED)
    made = client.get_run(run_id) if run_id else None
    if (
        made is None
        or made.info.experiment_id != _DEFAULT_EXPERIMENT
        or "MLFLOW_EXPERIMENT_NAME" in os.environ
    ):
        return made
    _placeholder.append(made)
    for name in (_LAUNCHED, "MLFLOW_EXPERIMENT_ID"):
        os.environ.pop(name, None)
    return None


def _inherited_tags() -> dict[str, str]:
    """Return what `mlflow run` has noted on the placeholder: source, commit, user, entry point."""
    noted = _placeholder[0].data.tags if _placeholder else {}
    return {key: noted[key] for key in noted if key.startswith("mlflow.") and key not in _OF_ITS_OWN}


def _link_placeholder(client: MlflowClient, run_id: str) -> None:
    """Let the placeholder, if there is one, point to the command's own run."""
    for placeholder in _placeholder:
        own = client.get_run(run_id).info
        link = f"[{own.run_name}]({experiment_page.run_page(own.experiment_id, run_id)})"
        client.set_tag(placeholder.info.run_id, MLFLOW_PARENT_RUN_ID, run_id)
        client.set_tag(
            placeholder.info.run_id, MLFLOW_RUN_NOTE, f"`mlflow run` started this. Its run is {link}."
        )
    _placeholder.clear()


def _activate(name: str | None = None, *, experiment_id: str | None = None) -> str:
    """Make an experiment the active one. MLflow notes it where the next call would take it for a wish."""
    given = os.environ.get("MLFLOW_EXPERIMENT_ID")
    active = mlflow.set_experiment(name, experiment_id=experiment_id)
    if given is None:
        os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
    return str(active.experiment_id)


def _end_abandoned_runs(client: MlflowClient) -> list[str]:
    """End as KILLED the runs whose process ran here and is gone, and only those; return their names.

    One that the store does not let this user change stays as it is.
    """
    experiments = [str(each.experiment_id) for each in client.search_experiments()]
    running = client.search_runs(
        experiments, f"attributes.status = 'RUNNING' and tags.`{PROCESS_TAG}` LIKE '%'", max_results=1000
    )
    ended = []
    for run in running:
        owner = LockOwner.parse(run.data.tags[PROCESS_TAG])
        if owner and owner.is_dead and not attempt(end_run, run.info.run_id, status="KILLED"):
            ended.append(str(run.info.run_name))
    return ended


# --- the life of a run


@contextmanager
def run(kind: Kind, *, name: str | None = None, resumes: str | None = None) -> Iterator[str]:
    """Open a run, nested in the one that is open, and give its id; a failure inside marks it failed.

    Its name is its kind unless one is given. The first run adopts the one that `mlflow run` has made.
    `resumes` names an earlier run to go on in, whatever experiment it is in; the run that `mlflow run` has
    made for this only points to it. An earlier run that was deleted, or is of another store, is passed over.
    """
    with answered():
        again = resumes if resumes and is_active(resumes) else None
        opened = _resume(kind, again) if again else _open(kind, name=name or kind)
    with opened as active:
        yield active.info.run_id


@contextmanager
def separate_run(kind: Kind) -> Iterator[str]:
    """Open a run beside the one that `mlflow run` has made, and leave that one to be adopted later."""
    made = os.environ.pop(_LAUNCHED, None)
    try:
        with run(kind) as run_id:
            yield run_id
    finally:
        if made:
            os.environ[_LAUNCHED] = made


def detached_run(kind: Kind, *, run_id: str | None, params: Mapping[str, str]) -> str:
    """Go on in the run of an earlier process, or open a new one nested in the open run; give its id.

    It is nobody's active run, and stays open until `end_run`. A run that `mlflow run` or a parent holds
    ready for this step becomes the new one, or only points to the earlier one.
    """
    detached = run_id if run_id and is_active(run_id) else ""
    if not detached or mlflow.active_run() or os.environ.get(_LAUNCHED):
        with answered(), _open(kind, name=kind) as opened:
            set_tags({"resumes": detached}) if detached else log_settings(params)
            detached = detached or str(opened.info.run_id)
    with answered():
        client = MlflowClient()
        _link_placeholder(client, detached)
        for key, value in run_tags(kind).items():
            client.set_tag(detached, key, value)
        client.update_run(detached, status="RUNNING")
    return detached


@answered()
def end_run(run_id: str, *, status: str) -> None:
    """Mark a detached run FINISHED or FAILED."""
    MlflowClient().set_terminated(run_id, status)


def run_tags(kind: Kind) -> dict[str, str]:
    """Return the tags of a run of some kind that this process works on."""
    return {"kind": kind, PROCESS_TAG: LockOwner.here().text}


def _open(kind: Kind, *, name: str) -> mlflow.ActiveRun:
    opened = mlflow.start_run(
        run_name=name,
        nested=mlflow.active_run() is not None,
        tags=_inherited_tags() | run_tags(kind),
    )
    if opened.info.run_name != name:  # adopted
        mlflow.set_tag("mlflow.runName", name)
    _link_placeholder(MlflowClient(), opened.info.run_id)
    return opened


def _resume(kind: Kind, run_id: str) -> mlflow.ActiveRun:
    """Start a run again. Its experiment becomes the active one: MLflow resumes a run in no other."""
    client = MlflowClient()
    made = os.environ.get(_LAUNCHED)
    if made and made != run_id:
        del os.environ[_LAUNCHED]
        client.set_tag(made, "resumes", run_id)
        client.set_terminated(made)
    _activate(experiment_id=client.get_run(run_id).info.experiment_id)
    _link_placeholder(client, run_id)
    return mlflow.start_run(
        run_id=run_id,
        nested=mlflow.active_run() is not None,
        tags=run_tags(kind),
    )


# --- what a run is told: the open one, where no `run_id` names another


def log_settings(settings: Mapping[str, str]) -> None:
    """Log params on the open run; those that it holds with the same value stay.

    An empty value that `mlflow run` has logged is none: what is given later becomes a tag.

    Raises:
        InputError: the run holds another value; a param cannot change.
    """
    held, shown = settings_of(active_run()), {key: masked(value) for key, value in settings.items()}
    for key in _conflicts(held, shown):
        raise InputError(
            f"a run's params cannot change, but {key} is {masked(held[key])!r} in it and {shown[key]!r} now: "
            "give the same value, or start a new run"
        )
    with answered():
        mlflow.log_params({key: value for key, value in shown.items() if key not in held})
        late = {f"{LATE_PARAM_TAG}{key}": value for key, value in shown.items() if held.get(key) == ""}
        mlflow.set_tags(late)


def accepts_settings(run_id: str, settings: Mapping[str, str]) -> bool:
    """Tell whether `log_settings` would find no other value of any of these in a run."""
    shown = {key: masked(value) for key, value in settings.items()}
    return not _conflicts(settings_of(read_run(run_id)), shown)


def _conflicts(held: Mapping[str, str], shown: Mapping[str, str]) -> list[str]:
    """Return the params that a run holds as another text, and as another place, than what is shown."""

    def same(one: str, other: str) -> bool:
        return one == other or ("/" in one + other and locations.to_uri(one) == locations.to_uri(other))

    return [key for key in shown if held.get(key) and not same(masked(held[key]), shown[key])]


def log_input(
    *,
    data: str,
    digest: str,
    context: str,
    part: str | None = None,
    columns: Mapping[str, str] | None = None,
    profile: Mapping[str, float | str] | None = None,
) -> Dataset:
    """Log a data set on the open run, under a digest of its content.

    `columns` (name to MLflow type) and `profile` (what it holds, such as lines by split) are what the UI
    shows of it. Its name is that of the folder or file, after that of the `part`, without white space: at
    that, MLflow's file store takes the metrics of a data set apart.
    """
    schema = Schema([ColSpec(kind, column) for column, kind in columns.items()]) if columns else None
    name = "-".join([*([part] if part else []), *(locations.name(data) or data).split()])
    dataset = Dataset(
        name,
        digest,
        source_type="spark",
        source=SparkDatasetSource(path=masked(locations.to_uri(data))).to_json(),
        schema=json.dumps({"mlflow_colspec": schema.to_dict()}) if schema else None,
        profile=json.dumps(dict(profile)) if profile else None,
    )
    logged = DatasetInput(dataset, tags=[InputTag(MLFLOW_DATASET_CONTEXT, context)])
    with answered():
        MlflowClient().log_inputs(_target(), datasets=[logged])
    return dataset


def log_metrics(
    metrics: Mapping[str, float],
    *,
    run_id: str | None = None,
    measured_on: Mapping[str, Dataset] | None = None,
) -> None:
    """Log metrics on a run, and on the models that were logged on it.

    `measured_on` ties metrics, by their names, to data sets of the run. A database keeps that for models
    alone, so the model comes first, then what was measured of it.
    """
    target, now = _target(run_id), int(time.time() * 1000)
    with answered():
        client = MlflowClient()
        outputs = client.get_run(target).outputs
        models: list[str | None] = [each.model_id for each in outputs.model_outputs] if outputs else []
        points = [
            Metric(
                name,
                value,
                now,
                0,
                model_id=model_id,
                dataset_name=data.name if (data := (measured_on or {}).get(name)) else None,
                dataset_digest=data.digest if data else None,
                run_id=target,
            )
            for name, value in metrics.items()
            for model_id in models or [None]
        ]
        client.log_batch(target, metrics=points)


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


def log_comparable_table(table: pd.DataFrame, name: str) -> None:
    """Log a table on the open run in the form that the UI's evaluation view compares across runs.

    MLflow adds rows to a table that is there already: a run that goes on keeps its own.
    """
    opened = active_run()
    if f"{name}.json" not in opened.data.tags.get("mlflow.loggedArtifacts", ""):
        with answered():
            mlflow.log_table(table, f"{name}.json")


@answered()
def log_text(text: str, name: str, *, run_id: str | None = None) -> None:
    """Log a text on a run."""
    MlflowClient().log_text(_target(run_id), text, name)


@answered()
def log_chart(figure: Any, name: str, *, run_id: str | None = None) -> None:
    """Log a matplotlib or plotly figure on a run."""
    MlflowClient().log_figure(_target(run_id), figure, name)


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
        InputError: the tracking store holds no such run.
        StoreError: it does not answer, or refuses.
    """
    found = _find(run_id)
    if found is None:
        raise InputError(
            f"run_id must name a run in {store_uri()}, but found no run {run_id!r}: copy it from the MLflow UI"
        )
    return found


def active_run() -> Run:
    """Look up the open run, with what it holds by now.

    Raises:
        InputError: no run is open.
    """
    return read_run(_target())


def find_run(run_id: str) -> Run | None:
    """Look up a run; None of one that is deleted, or not there."""
    found = _find(run_id)
    return found if found and found.info.lifecycle_stage == "active" else None


def is_active(run_id: str) -> bool:
    """Tell whether the store holds a run that is not deleted."""
    return find_run(run_id) is not None


def is_finished(run_id: str) -> bool:
    """Tell whether the store holds a run that ended well and is not deleted."""
    found = find_run(run_id)
    return found is not None and found.info.status == "FINISHED"


def can_resume(run_id: str) -> bool:
    """Tell whether the store holds a run that is not deleted and did not end well."""
    return is_active(run_id) and not is_finished(run_id)


def settings_of(run: Run) -> dict[str, str]:
    """Return the params that `log_settings` gave a run, those that `mlflow run` had left empty, too."""
    later = {
        key.removeprefix(LATE_PARAM_TAG): value
        for key, value in run.data.tags.items()
        if key.startswith(LATE_PARAM_TAG)
    }
    return _as_typed(run) | later


def _as_typed(run: Run) -> dict[str, str]:
    """Return a run's params without the quotes of a shell, in which `mlflow run` logs what has a space."""
    params: dict[str, str] = run.data.params
    if run.data.tags.get(MLFLOW_SOURCE_TYPE) != SourceType.to_string(SourceType.PROJECT):
        return params
    return {name: _unquoted(value) for name, value in params.items()}


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


def description_of(run: Run) -> str:
    """Return a run's description."""
    return str(run.data.tags.get(MLFLOW_RUN_NOTE, ""))


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


def children(parent_id: str, *, status: str | None = None) -> list[Run]:
    """List the runs nested in a run, oldest first: all, or those of a status."""
    wanted = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent_id}'"
    if status:
        wanted += f" AND attributes.status = '{status}'"
    with answered():
        found: list[Run] = mlflow.search_runs(
            [MlflowClient().get_run(parent_id).info.experiment_id],
            wanted,
            order_by=["attributes.start_time ASC"],
            output_format="list",
        )
    return found


@answered()
def _find(run_id: str) -> Run | None:
    """Return a run, a deleted one, too; None where the store holds none."""
    try:
        return MlflowClient().get_run(run_id) if run_id else None
    except mlflow.MlflowException as unknown:
        if unknown.error_code in _UNKNOWN:
            return None
        raise
