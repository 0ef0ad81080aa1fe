"""The command line: one command an entry point of MLproject."""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from retail_clusters.errors import RetailClustersError
from retail_clusters.settings import load_experiment

DATA: Final = "data/sample/by-day"
EXPERIMENT: Final = "experiments/default.yaml"


class _Optional(click.ParamType[Any, Any]):
    """A parameter that MLproject always passes: an empty text says that it is not given."""

    def __init__(self, of: click.ParamType[Any, Any]) -> None:
        self.of = of
        self.name = of.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return None if value == "" else self.of.convert(value, param, ctx)


def _optional(name: str, of: click.ParamType[Any, Any], text: str) -> Callable[..., Any]:
    return click.option(name, type=_Optional(of), default="", show_default=False, help=text)


_data = click.option("--data", default=DATA, show_default=True, help="folder, file or glob of CSV files")
_experiment = click.option(
    "--experiment",
    type=click.Path(path_type=Path),
    default=EXPERIMENT,
    show_default=True,
    help="settings file",
)
_experiment_name = _optional(
    "--experiment-name", click.STRING, "MLflow experiment [default: the file's name]"
)
_trials = _optional("--trials", click.IntRange(min=1), "trials of the sweep")
_study = _optional("--study", click.STRING, "name of the study, to resume it")
_storage = _optional("--storage", click.STRING, "SQLAlchemy URL of the study [default: sqlite:///optuna.db]")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="show the stack trace of a failure")
def cli(debug: bool) -> None:
    """Cluster retail invoice lines: prepare, train, sweep, promote, score."""


@cli.command("main")
@_data
@_experiment
@_experiment_name
@_trials
def main_command(data: str, experiment: Path, experiment_name: str | None, trials: int | None) -> None:
    """Prepare, sweep, register, promote, score."""
    from retail_clusters.jobs.main import check_folder
    from retail_clusters.jobs.main import main as run_all
    from retail_clusters.jobs.prepare import check_data

    settings = load_experiment(experiment, {"sweep.trials": trials})
    check_data(data)
    check_folder(data)
    with _session("main", experiment, experiment_name) as spark:
        run_all(spark, data=data, experiment=settings)


@cli.command("prepare")
@_data
@_experiment
@_experiment_name
def prepare_command(data: str, experiment: Path, experiment_name: str | None) -> None:
    """CSV files to checked, split, weighted rows."""
    from retail_clusters.jobs.prepare import check_data, prepare

    settings = load_experiment(experiment)
    check_data(data)
    with _session("prepare", experiment, experiment_name) as spark:
        prepare(spark, data=data, experiment=settings)


@cli.command("train")
@_data
@_experiment
@_experiment_name
@_optional("--k", click.INT, "clusters")
@_optional("--seed", click.INT, "seed")
def train_command(
    data: str, experiment: Path, experiment_name: str | None, k: int | None, seed: int | None
) -> None:
    """One KMeans at a given K and seed, logged and registered."""
    from retail_clusters.jobs.prepare import check_data
    from retail_clusters.jobs.train import train

    settings = load_experiment(experiment, {"k": k, "seed": seed})
    check_data(data)
    with _session("train", experiment, experiment_name) as spark:
        train(spark, data=data, experiment=settings)


@cli.command("sweep")
@_data
@_experiment
@_experiment_name
@_trials
@_optional("--k-min", click.INT, "smallest K")
@_optional("--k-max", click.INT, "largest K")
@_study
@_storage
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
    from retail_clusters.jobs.prepare import check_data
    from retail_clusters.jobs.sweep import sweep

    overrides = {"sweep.trials": trials, "sweep.k_min": k_min, "sweep.k_max": k_max}
    settings = load_experiment(experiment, overrides)
    check_data(data)
    with _session("sweep", experiment, experiment_name) as spark:
        sweep(spark, data=data, experiment=settings, study=study, storage=storage)


@cli.command("verify")
@click.option("--run-id", required=True, help="a train, sweep or register run")
def verify_command(run_id: str) -> None:
    """Retrain a run and compare, bit for bit."""
    from retail_clusters.jobs.verify import verify

    with _session("verify", Path("verify"), None) as spark:
        verify(spark, run_id=run_id)


@cli.command("generate")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="new folder for the files")
@click.option("--days", type=int, default=60, show_default=True)
@click.option("--lines-per-day", type=int, default=500, show_default=True, help="mean number of lines")
@click.option("--seed", type=int, default=7, show_default=True)
def generate_command(output: Path, days: int, lines_per_day: int, seed: int) -> None:
    """Make synthetic retail data."""
    from retail_clusters.jobs.generate import generate

    generate(output=output, days=days, lines_per_day=lines_per_day, seed=seed)


@cli.command("fetch")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("data/retail-data/by-day"),
    show_default=True,
    help="new folder for the files",
)
@_optional("--url", click.STRING, "another archive")
@_optional("--sha256", click.STRING, "its checksum")
def fetch_command(output: Path, url: str | None, sha256: str | None) -> None:
    """Download the public data set, checked by its SHA-256."""
    from retail_clusters.jobs.fetch import ARCHIVE_URL, BY_DAY_SHA256, fetch

    fetch(output=output, url=url or ARCHIVE_URL, sha256=sha256 or BY_DAY_SHA256)


def _session(job: str, experiment: Path, experiment_name: str | None) -> Any:
    """Check for Java, choose the tracking store, and open the Spark session."""
    from retail_clusters.io import session, tracking

    session.check_java()
    tracking.connect(experiment=experiment_name or experiment.stem)
    return session.spark_session(job)


def main() -> None:
    """Run a command; a failure that the project foresees is told in one line."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.ClickException as wrong:
        click.secho(f"error: {wrong.format_message()}", fg="red", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.secho("stopped", fg="red", err=True)
        sys.exit(130)
    except Exception as failure:
        _tell(failure)
        sys.exit(failure.exit_code if isinstance(failure, RetailClustersError) else 1)


def _tell(failure: Exception) -> None:
    if "--debug" in sys.argv:
        traceback.print_exception(failure)
    foreseen = isinstance(failure, RetailClustersError)
    message = str(failure) if foreseen else f"{type(failure).__name__}: {str(failure).splitlines()[0:1]}"
    click.secho(f"error: {message}", fg="red", err=True)
    if not foreseen:
        for note in [*getattr(failure, "__notes__", []), "--debug before the command shows the stack trace"]:
            click.echo(f"  {note}", err=True)


if __name__ == "__main__":
    main()
