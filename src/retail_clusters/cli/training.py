"""Commands that make models, and look at them: main, prepare, train, sweep, verify, report."""

import os

import click

from retail_clusters.cli.common import (
    LOCATION,
    PAGE_LOCATION,
    ExperimentOptions,
    command,
    connect_to_read,
    data_option,
    experiment_options,
    model_option,
    open_session,
    optional,
    print_header,
    print_header_reading,
    session_if_remote,
    trials_option,
)
from retail_clusters.cli.results import json_option, reporting
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
            f"{_already_logged()}"
        )
    return value or os.environ.get("RETAIL_CLUSTERS_STORAGE") or None


def _already_logged() -> str:
    run_id = os.environ.get("MLFLOW_RUN_ID")
    return f"; mlflow run has logged it, so delete run {run_id}, do mlflow gc, change it" if run_id else ""


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
@json_option
def main_command(
    data: str,
    output: str,
    experiment: ExperimentOptions,
    model: str | None,
    trials: int | None,
    study: str | None,
    storage: str | None,
    as_json: bool,
) -> None:
    """Prepare, sweep, register, promote, score."""
    with reporting(as_json) as report:
        settings = experiment.load({"model": model, "sweep.trials": trials})
        print_header("main", f"prepare, sweep ({_search(settings)}), register, promote and score {data}")

        def check() -> None:
            _check_data(data, settings)
            _check_places(data, output)

        with experiment.open_session(
            "main", imports="retail_clusters.pipeline", check=check, locations=[data, output]
        ) as spark:
            from retail_clusters.pipeline import main

            kept = {"study": study, "storage_url": storage}
            report(main(spark, data=data, output=output, experiment=settings, **kept))


@command("prepare", example="--data path/to/by-day --set split.train_until=2011-06-01")
@data_option
@experiment_options
@json_option
def prepare_command(data: str, experiment: ExperimentOptions, as_json: bool) -> None:
    """CSV files to checked, split, weighted rows."""
    with reporting(as_json) as report:
        settings = experiment.load()
        split = settings.split
        print_header(
            "prepare",
            f"{data}, train until {split.train_until}, validate until {split.validate_until}, then test",
        )
        with experiment.open_session(
            "prepare",
            imports="retail_clusters.search.prepared",
            check=lambda: _check_data(data, settings),
            locations=[data],
        ) as spark:
            from retail_clusters.search.prepared import prepare

            report(prepare(spark, data=data, experiment=settings))


@command("train", example="--k 20 --seed 1")
@data_option
@experiment_options
@model_option
@optional("--k", click.INT, "clusters")
@optional("--seed", click.INT, "seed")
@json_option
def train_command(
    data: str,
    experiment: ExperimentOptions,
    model: str | None,
    k: int | None,
    seed: int | None,
    as_json: bool,
) -> None:
    """One KMeans at a given K and seed, logged and registered."""
    with reporting(as_json) as report:
        settings = experiment.load({"model": model, "k": k, "seed": seed})
        print_header("train", f"K={settings.k}, seed {settings.seed}, on {data}")
        with experiment.open_session(
            "train",
            imports="retail_clusters.search.train",
            check=lambda: _check_data(data, settings),
            locations=[data],
        ) as spark:
            from retail_clusters.search.train import train

            report(train(spark, data=data, experiment=settings))


@command("sweep", example="--trials 40 --k-max 60 --study by-day")
@data_option
@experiment_options
@model_option
@trials_option
@optional("--k-min", click.INT, "smallest K")
@optional("--k-max", click.INT, "largest K")
@study_option
@storage_option
@json_option
def sweep_command(
    data: str,
    experiment: ExperimentOptions,
    model: str | None,
    trials: int | None,
    k_min: int | None,
    k_max: int | None,
    study: str | None,
    storage: str | None,
    as_json: bool,
) -> None:
    """Search K and seed; the best is logged and registered."""
    with reporting(as_json) as report:
        settings = experiment.load(
            {"model": model, "sweep.trials": trials, "sweep.k_min": k_min, "sweep.k_max": k_max}
        )
        print_header("sweep", f"{_search(settings)}, on {data}")
        with experiment.open_session(
            "sweep",
            imports="retail_clusters.search.sweep",
            check=lambda: _check_data(data, settings),
            locations=[data],
        ) as spark:
            from retail_clusters.search.sweep import sweep

            report(sweep(spark, data=data, experiment=settings, study=study, storage=storage))


def _check_data(data: str, settings: Experiment) -> None:
    from retail_clusters.data.csv_files import check_data

    check_data(data, settings.columns)


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
@json_option
def verify_command(run_id: str | None, version: str | None, model: str, as_json: bool) -> None:
    """Retrain a run and compare, bit for bit."""
    with reporting(as_json) as report:
        print_header_reading(
            "verify", f"{_named('verify', run_id, version, model)}, trained again and compared"
        )
        imports = "retail_clusters.search.train"
        with open_session("verify", imports=imports, connect=connect_to_read) as spark:
            from retail_clusters.search.train import verify

            report(verify(spark, run_id=run_id, version=version, model_name=model))


@command("report", example="--version 3 --output output/version-3.html")
@run_option
@version_option
@model_of_version_option
@click.option(
    "--output",
    type=PAGE_LOCATION,
    default=f"output/{REPORT}",
    show_default=True,
    help="file of the page, or a folder for it",
)
@json_option
def report_command(run_id: str | None, version: str | None, model: str, output: str, as_json: bool) -> None:
    """One HTML page on a sweep or a version."""
    with reporting(as_json) as report:
        print_header_reading("report", f"{_named('report', run_id, version, model)}, to {output}")
        from retail_clusters.report.page import write_report

        with session_if_remote("report", output):
            connect_to_read()
            report(write_report(run_id=run_id, version=version, model=model, output=output))
