"""Commands that make models, and look at them: main, prepare, train, sweep, verify, report."""

import os
from contextlib import AbstractContextManager
from typing import Any

import click

from retail_clusters.cli.common import (
    LOCATION,
    ExperimentOptions,
    command,
    connect_to_read,
    data_option,
    experiment_options,
    model_option,
    open_session,
    optional,
    print_header,
    session_if_remote,
    setting_option,
    trials_option,
)
from retail_clusters.errors import InputError
from retail_clusters.infra.secrets import holds_secret, masked
from retail_clusters.settings import REPORT, Experiment

study_option = optional("--study", click.STRING, "name of the study, to resume it")


def _storage(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Return the study's database: as typed, else as the environment says."""
    if value and holds_secret(value):
        raise InputError(
            "storage must be typed without a password, which the process list and MLflow would show, but "
            f"got {masked(value)}: put the whole URL into the environment variable RETAIL_CLUSTERS_STORAGE"
        )
    return value or os.environ.get("RETAIL_CLUSTERS_STORAGE") or None


storage_option = click.option(
    "--storage",
    default="",
    callback=_storage,
    help="SQLAlchemy URL of the study [default: RETAIL_CLUSTERS_STORAGE, else optuna.journal]",
)


@command("main", example="--data path/to/by-day --study by-day")
@data_option
@click.option(
    "--output", type=LOCATION, default="output", show_default=True, help="scored lines go to OUTPUT/RUN_ID"
)
@experiment_options
@model_option
@trials_option
@study_option
@storage_option
def main_command(
    data: str, output: str, experiment: ExperimentOptions, study: str | None, storage: str | None
) -> object:
    """Prepare, sweep, register, promote, score."""
    settings = experiment.load()
    print_header("main", f"prepare, sweep ({_search(settings)}), register, promote and score {data}")

    with _session_on(
        data, settings, experiment, "main", imports="retail_clusters.pipeline", output=output
    ) as spark:
        from retail_clusters.pipeline import main

        return main(spark, data=data, output=output, experiment=settings, study=study, storage_url=storage)


@command("prepare", example="--data path/to/by-day --set split.train_until=2011-06-01")
@data_option
@experiment_options
def prepare_command(data: str, experiment: ExperimentOptions) -> object:
    """CSV files to checked, typed lines."""
    settings = experiment.load()
    split = settings.split
    print_header(
        "prepare",
        f"{data}, train until {split.train_until}, validate until {split.validate_until}, then test",
    )
    with _session_on(
        data, settings, experiment, "prepare", imports="retail_clusters.search.prepared"
    ) as spark:
        from retail_clusters.search.prepared import prepare

        return prepare(spark, data=data, experiment=settings)


@command("train", example="--k 20 --seed 1")
@data_option
@experiment_options
@model_option
@setting_option("--k", "k", click.INT, "clusters")
@setting_option("--seed", "seed", click.INT, "seed")
def train_command(data: str, experiment: ExperimentOptions) -> object:
    """One KMeans at a given K and seed, logged and registered."""
    settings = experiment.load()
    print_header("train", f"K={settings.k}, seed {settings.seed}, on {data}")
    with _session_on(data, settings, experiment, "train", imports="retail_clusters.search.train") as spark:
        from retail_clusters.search.train import train

        return train(spark, data=data, experiment=settings)


@command("sweep", example="--trials 40 --k-max 60 --study by-day")
@data_option
@experiment_options
@model_option
@trials_option
@setting_option("--k-min", "sweep.k_min", click.INT, "smallest K")
@setting_option("--k-max", "sweep.k_max", click.INT, "largest K")
@study_option
@storage_option
def sweep_command(data: str, experiment: ExperimentOptions, study: str | None, storage: str | None) -> object:
    """Search K and seed; the best is logged and registered."""
    settings = experiment.load()
    print_header("sweep", f"{_search(settings)}, on {data}")
    with _session_on(data, settings, experiment, "sweep", imports="retail_clusters.search.sweep") as spark:
        from retail_clusters.search.sweep import sweep

        return sweep(spark, data=data, experiment=settings, study=study, storage=storage)


def _session_on(
    data: str,
    settings: Experiment,
    experiment: ExperimentOptions,
    job: str,
    *,
    imports: str,
    output: str = "",
) -> AbstractContextManager[Any]:
    """Open the Spark session for a job on lines that can be read, and a question that can be asked."""

    def check() -> None:
        from retail_clusters.data.csv_files import check_data
        from retail_clusters.features.check import check_question

        check_question(settings.question)
        check_data(data, settings.input)
        if output:
            _check_places(data, output)

    places = [data, output] if output else [data]
    return open_session(job, imports=imports, connect=experiment.connect, check=check, locations=places)


def _check_places(data: str, output: str) -> None:
    """Refuse data that the scorer could not watch, and a place for its lines that lies in it."""
    from retail_clusters.infra import locations, storage

    storage.check(output)
    if not storage.is_folder(data):
        raise InputError(f"main scores what it trains on, so data must be a folder, but got {data}: name one")
    if locations.is_within(output, data):
        places = f"{locations.for_display(output)} is in {locations.for_display(data)}"
        raise InputError(f"output must lie outside of data, but {places}: name another folder")


def _search(settings: Experiment) -> str:
    sweep = settings.sweep
    trials = f"{sweep.trials} trials" if sweep.trials else "every pair"
    return f"{trials} of K {sweep.k_min} to {sweep.k_max} and {sweep.seeds} seeds"


run_option = optional("--run-id", click.STRING, "a train, sweep or register run")
version_option = optional("--version", click.STRING, "a model version, for the run that trained it")
model_of_version_option = click.option(
    "--model", default=Experiment().model, show_default=True, help="registered model of the version"
)


def _named(command: str, run_id: str | None, version: str | None, model: str) -> str:
    """Return what a command is about: a run or a version, and not both."""
    if (run_id is None) == (version is None):
        raise InputError(f"{command} takes a run or a version: give one of --run-id and --version")
    return f"run {run_id}" if run_id else f"version {version} of {model}"


@command("verify", example="--version 3")
@run_option
@version_option
@model_of_version_option
def verify_command(run_id: str | None, version: str | None, model: str) -> object:
    """Retrain a run and compare, bit for bit."""
    print_header(
        "verify", f"{_named('verify', run_id, version, model)}, trained again and compared", only_reads=True
    )
    imports = "retail_clusters.search.train"
    with open_session("verify", imports=imports, connect=connect_to_read) as spark:
        from retail_clusters.search.train import verify

        return verify(spark, run_id=run_id, version=version, model_name=model)


@command("report", example="--version 3 --output output/version-3.html")
@run_option
@version_option
@model_of_version_option
@click.option(
    "--output",
    type=LOCATION,
    default=f"output/{REPORT}",
    show_default=True,
    help="file of the page",
)
def report_command(run_id: str | None, version: str | None, model: str, output: str) -> object:
    """One HTML page on a run or a version."""
    print_header("report", f"{_named('report', run_id, version, model)}, to {output}", only_reads=True)
    from retail_clusters.report.page import write_report

    with session_if_remote("report", output):
        connect_to_read()
        return write_report(run_id=run_id, version=version, model=model, output=output)
