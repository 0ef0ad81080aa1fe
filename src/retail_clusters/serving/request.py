"""What a person asks a scorer for, and whether the places can be; waits for no MLflow and no session."""

from dataclasses import dataclass, field

from retail_clusters.data import csv_files
from retail_clusters.errors import InputError
from retail_clusters.infra import storage
from retail_clusters.infra.locations import for_display, is_within, join, to_uri
from retail_clusters.serving.known_files import InputFile
from retail_clusters.settings import CHAMPION, Columns, Scoring


@dataclass(frozen=True)
class ScoreRequest:
    """What to score, where to, and by which alias.

    `checkpoint` is by default a folder of the output. With `rescore`, one file that changed is scored anew,
    and nothing else.
    """

    source: str
    output: str
    checkpoint: str | None = None
    once: bool = True
    model: str = "retail-clusters"
    alias: str = CHAMPION
    rescore: str | None = None
    settings: Scoring = field(default_factory=Scoring)
    columns: Columns = field(default_factory=Columns)

    @property
    def state(self) -> str:
        """Name the checkpoint that was chosen."""
        return self.checkpoint or join(self.output, "checkpoint")


def check_places(request: ScoreRequest) -> None:
    """Refuse a source, an output or a checkpoint that cannot be.

    Raises:
        InputError: there is no such source folder or file, or folders lie in one another.
    """
    for location in (request.source, request.output, request.state):
        storage.check(location)
    if not storage.is_folder(request.source):
        raise InputError(
            f"source must be a folder that CSV files arrive in, but found no {for_display(request.source)}: "
            "make it or name another"
        )
    for name, folder in (("output", request.output), ("checkpoint", request.state)):
        if is_within(folder, request.source):
            raise InputError(
                f"{name} must lie outside of source, but {for_display(folder)} is in {for_display(request.source)}: "
                "name another folder"
            )
    if request.rescore:
        find_in_source(request.rescore, source=request.source)


def find_in_source(file: str, *, source: str) -> InputFile:
    """Find a file that is to be scored anew.

    Raises:
        InputError: it is no CSV file in the source.
    """
    found = storage.status(file)
    if (
        found is None
        or found.is_folder
        or not is_within(file, source)
        or not file.endswith(csv_files.SUFFIXES)
    ):
        raise InputError(
            f"rescore must name a CSV file in source, but got {for_display(file)} (source: {for_display(source)}): "
            "name one that the scorer has told of as changed"
        )
    return InputFile(to_uri(file), found.length, found.modified_ms)
