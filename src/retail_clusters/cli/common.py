"""What commands share: the group, options, the chosen experiment, and the first line of each."""

import functools
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import click
from pydantic_core import to_jsonable_python

from retail_clusters.errors import RetailClustersError
from retail_clusters.experiment_file import load_experiment
from retail_clusters.infra.secrets import masked
from retail_clusters.settings import Experiment

DATA: Final = "data/sample/by-day"
EXPERIMENT: Final = Path("experiments", "default.yaml")
Command = TypeVar("Command", bound=Callable[..., Any])

PATH: Final = click.Path(path_type=Path)


class _InOrder(click.Group):
    """A group that lists its commands in the order of the work, not of the alphabet."""

    order: Final = (
        *(
            "main",
            "prepare",
            "train",
            "sweep",
            "promote",
            "rollback",
            "history",
            "score",
            "segments",
            "names",
        ),
        *("purchases", "verify", "report", "generate", "fetch"),
    )

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """List the commands for `--help`."""
        return sorted(self.commands, key=self.order.index)


@click.group(
    cls=_InOrder,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        # `mlflow run` hands a parameter that MLproject does not declare over under the name as typed.
        "token_normalize_func": lambda token: token.replace("_", "-"),
    },
)
@click.option("--debug", is_flag=True, help="show the stack trace of a failure")
def cli(debug: bool) -> None:
    """Cluster retail invoice lines, or the customers and invoices behind them."""


def command(name: str, *, example: str) -> Callable[[Callable[..., object]], click.Command]:
    """Add a command to the group. `--json` prints what it returns; its help ends with an example."""

    def add(of: Callable[..., object]) -> click.Command:
        @functools.wraps(of)
        def run(*, as_json: bool, **parameters: object) -> None:
            print_json(lambda: of(**parameters)) if as_json else of(**parameters)

        epilog = f"Example:\n\n\b\n  python -m retail_clusters {name} {example}".rstrip()
        added = cli.command(name, epilog=epilog)(run)
        about = "print the result as JSON, and nothing else"
        added.params.append(click.Option(["--json", "as_json"], is_flag=True, help=about))
        return added

    return add


def print_json(run: Callable[[], object]) -> None:
    """Run a command, and print its result, or how it failed, as JSON."""
    output = sys.stdout
    try:
        with redirect_stdout(sys.stderr):
            result = run()
    except RetailClustersError as failure:
        print(json.dumps({"error": masked(str(failure)), "exit_code": failure.exit_code}), file=output)
        raise
    print(to_json(result), file=output)


def to_json(result: object) -> str:
    """Return a result as JSON: records by their fields; of frames, models and the like nothing."""
    return json.dumps(to_jsonable_python(result, inf_nan_mode="null", fallback=_foreign), indent=2)


def _foreign(value: object) -> Any:
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return to_jsonable_python(value.tolist(), inf_nan_mode="null", fallback=_foreign)
    return None


class _Optional(click.ParamType[Any, Any]):
    """A parameter that a script always passes: an empty text says that it is not given."""

    def __init__(self, of: click.ParamType[Any, Any]) -> None:
        self.of = of
        self.name = of.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return None if value == "" else self.of.convert(value, param, ctx)


def optional(name: str, of: click.ParamType[Any, Any], text: str, **more: Any) -> Callable[..., Any]:
    """Make an option that says "not given" when it is left out or empty."""
    return click.option(name, type=_Optional(of), default="", show_default=False, help=text, **more)


def setting_option(
    name: str, setting: str, of: click.ParamType[Any, Any], text: str
) -> Callable[[Command], Command]:
    """Make an option for one setting of the experiment: given, it wins over `--set` and the file."""

    def keep(ctx: click.Context, _: click.Parameter, value: object) -> None:
        ctx.meta.setdefault(_GIVEN, {})[setting] = value

    return optional(name, of, text, expose_value=False, callback=keep)


class _Location(click.ParamType[str, str]):
    """A path or a URI, as one writes it: no `./` before it, no slash behind it."""

    name = "location"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        return value if "://" in value or not value else os.path.normpath(value)


#: Where Click keeps, for one call, the settings that have options of their own.
_GIVEN: Final = "retail_clusters.settings"

#: A command on fewer bytes of lines is over before Java's second compiler has earned its time back.
_FEW_BYTES: Final = 256 << 20

LOCATION: Final = _Location()

data_option = click.option(
    "--data",
    type=LOCATION,
    default=DATA,
    show_default=True,
    help="folder, file or glob of CSV files",
)
model_option = setting_option(
    "--model", "model", click.STRING, "registered model [default: the experiment's]"
)
trials_option = setting_option("--trials", "sweep.trials", click.IntRange(min=1), "trials of the sweep")


@dataclass(frozen=True)
class ExperimentOptions:
    """The experiment that a command works in: its file, what was set beside it, its name in MLflow.

    `parameters` are the settings that have options of their own.
    """

    file: Path
    assignments: tuple[str, ...] = ()
    name: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)

    def load(self) -> Experiment:
        """Read the settings, checked."""
        return load_experiment(self.file, self.parameters, assignments=self.assignments)

    def connect(self) -> None:
        """Choose the tracking store and the MLflow experiment."""
        from retail_clusters.registry import tracking

        tracking.connect(experiment=self.name or self.file.stem)


def experiment_options(of: Command) -> Command:
    """Add the options of an experiment; the command gets a `ExperimentOptions` as `experiment`."""

    @click.option(
        "--experiment",
        type=PATH,
        default=EXPERIMENT,
        show_default=True,
        help="settings file; its name is the MLflow experiment's",
    )
    @click.option(
        "--set",
        "assignments",
        metavar="SECTION.NAME=VALUE",
        multiple=True,
        help="a setting that wins over the file; may be given again",
    )
    @optional("--experiment-name", click.STRING, "MLflow experiment, if not the file's name")
    @functools.wraps(of)
    def with_choice(
        *, experiment: Path, assignments: tuple[str, ...], experiment_name: str | None, **others: Any
    ) -> Any:
        given = click.get_current_context().meta.get(_GIVEN, {})
        return of(experiment=ExperimentOptions(experiment, assignments, experiment_name, given), **others)

    return cast("Command", with_choice)


@contextmanager
def open_session(
    job: str,
    *,
    imports: str,
    connect: Callable[[], None],
    check: Callable[[], object] = lambda: None,
    locations: Sequence[str] = (),
    lasting: bool = False,
) -> Iterator[Any]:
    """Open the Spark session; while it starts, connect to MLflow and import the module of the job.

    `check` refuses before Spark starts where all locations are on this machine; others are reached through
    the session. At the first of them are the lines that the job reads; without any, it reads none. A job is
    `lasting` if it may run for long on few lines, as a stream does.
    """
    from retail_clusters.infra.locations import is_local
    from retail_clusters.infra.spark import check_java, spark_session, start_session_early

    all_here = all(map(is_local, locations))
    if all_here:
        check()
    check_java()
    start_session_early(job, short_lived=not lasting and reads_little(locations))
    connect()
    import_module(imports)
    with spark_session(job) as spark:
        if not all_here:
            check()
        yield spark


def reads_little(locations: Sequence[str]) -> bool:
    """Tell whether the lines at the first of some locations are few, and on this machine."""
    from retail_clusters.infra import storage
    from retail_clusters.infra.locations import is_local

    return all(is_local(lines) and storage.total_length(lines) < _FEW_BYTES for lines in locations[:1])


@contextmanager
def session_if_remote(job: str, location: str) -> Iterator[None]:
    """Open a session for a command that works without one, where its files are not on this machine."""
    from retail_clusters.infra.locations import is_local

    if is_local(location):
        yield
        return
    with open_session(job, imports="retail_clusters.infra.storage", connect=lambda: None):
        yield


def connect_to_read() -> None:
    """Choose a tracking store that is there, to read it."""
    from retail_clusters.registry import tracking

    tracking.connect_to_read()


def print_header(job: str, what: str, *, only_reads: bool = False) -> None:
    """Print the first line of a command: what it is about to do, and where its results go, if it has any."""
    where = ", in" if only_reads else "; results go to"
    store = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    click.echo(masked(f"{job}: {what}{where} {store}"))
