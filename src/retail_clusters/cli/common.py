"""What commands share: options, the group, and the way into a session."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

DATA: Final = "data/sample/by-day"
EXPERIMENT: Final = Path("experiments", "default.yaml")
PATH: Final = click.Path(path_type=Path)


class _Optional(click.ParamType[Any, Any]):
    """A parameter that MLproject always passes: an empty text says that it is not given."""

    def __init__(self, of: click.ParamType[Any, Any]) -> None:
        self.of = of
        self.name = of.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return None if value == "" else self.of.convert(value, param, ctx)


def optional(name: str, of: click.ParamType[Any, Any], text: str) -> Callable[..., Any]:
    """Make an option that says "not given" when it is left out or empty."""
    return click.option(name, type=_Optional(of), default="", show_default=False, help=text)


data_option = click.option(
    "--data", default=DATA, show_default=True, help="folder, file or glob of CSV files"
)
experiment_option = click.option(
    "--experiment",
    type=PATH,
    default=EXPERIMENT,
    show_default=True,
    help="settings file",
)
experiment_name_option = optional(
    "--experiment-name", click.STRING, "MLflow experiment [default: the file's name]"
)
model_option = optional("--model", click.STRING, "registered model [default: the experiment's]")
trials_option = optional("--trials", click.IntRange(min=1), "trials of the sweep")
study_option = optional("--study", click.STRING, "name of the study, to resume it")
storage_option = optional(
    "--storage", click.STRING, "SQLAlchemy URL of the study [default: sqlite:///optuna.db]"
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="show the stack trace of a failure")
def cli(debug: bool) -> None:
    """Cluster retail invoice lines: prepare, train, sweep, promote, score."""


def open_session(job: str, experiment: Path, experiment_name: str | None) -> Any:
    """Check for Java, choose the tracking store, and open the Spark session."""
    from retail_clusters.infra import tracking
    from retail_clusters.infra.spark import check_java, spark_session

    check_java()
    tracking.connect(experiment=experiment_name or experiment.stem)
    return spark_session(job)
