"""Commands that make models: main, prepare, train, sweep, verify."""

from pathlib import Path

import click

from retail_clusters.cli.common import (
    cli,
    data_option,
    experiment_name_option,
    experiment_option,
    open_session,
    optional,
    storage_option,
    study_option,
    trials_option,
)
from retail_clusters.settings import load_experiment


@cli.command("main")
@data_option
@experiment_option
@experiment_name_option
@trials_option
def main_command(data: str, experiment: Path, experiment_name: str | None, trials: int | None) -> None:
    """Prepare, sweep, register, promote, score."""
    from retail_clusters.data.prepare import check_data
    from retail_clusters.pipeline import check_folder
    from retail_clusters.pipeline import main as run_all

    settings = load_experiment(experiment, {"sweep.trials": trials})
    check_data(data)
    check_folder(data)
    with open_session("main", experiment, experiment_name) as spark:
        run_all(spark, data=data, experiment=settings)


@cli.command("prepare")
@data_option
@experiment_option
@experiment_name_option
def prepare_command(data: str, experiment: Path, experiment_name: str | None) -> None:
    """CSV files to checked, split, weighted rows."""
    from retail_clusters.data.prepare import check_data, prepare

    settings = load_experiment(experiment)
    check_data(data)
    with open_session("prepare", experiment, experiment_name) as spark:
        prepare(spark, data=data, experiment=settings)


@cli.command("train")
@data_option
@experiment_option
@experiment_name_option
@optional("--k", click.INT, "clusters")
@optional("--seed", click.INT, "seed")
def train_command(
    data: str, experiment: Path, experiment_name: str | None, k: int | None, seed: int | None
) -> None:
    """One KMeans at a given K and seed, logged and registered."""
    from retail_clusters.data.prepare import check_data
    from retail_clusters.training.train import train

    settings = load_experiment(experiment, {"k": k, "seed": seed})
    check_data(data)
    with open_session("train", experiment, experiment_name) as spark:
        train(spark, data=data, experiment=settings)


@cli.command("sweep")
@data_option
@experiment_option
@experiment_name_option
@trials_option
@optional("--k-min", click.INT, "smallest K")
@optional("--k-max", click.INT, "largest K")
@study_option
@storage_option
def sweep_command(
    data: str,
    experiment: Path,
    experiment_name: str | None,
    trials: int | None,
    k_min: int | None,
    k_max: int | None,
    study: str | None,
    storage: str | None,
) -> None:
    """Search K and seed; the best is logged and registered."""
    from retail_clusters.data.prepare import check_data
    from retail_clusters.training.sweep import sweep

    overrides = {"sweep.trials": trials, "sweep.k_min": k_min, "sweep.k_max": k_max}
    settings = load_experiment(experiment, overrides)
    check_data(data)
    with open_session("sweep", experiment, experiment_name) as spark:
        sweep(spark, data=data, experiment=settings, study=study, storage=storage)


@cli.command("verify")
@click.option("--run-id", required=True, help="a train, sweep or register run")
def verify_command(run_id: str) -> None:
    """Retrain a run and compare, bit for bit."""
    from retail_clusters.training.verify import verify

    with open_session("verify", Path("verify"), None) as spark:
        verify(spark, run_id=run_id)
