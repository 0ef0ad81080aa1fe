"""The folder that files arrive in: what is asked of it, what is there, and what becomes of files that are scored.

Nothing here waits for MLflow or a session.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from retail_clusters.data import listing
from retail_clusters.data.listing import Listing
from retail_clusters.errors import InputError
from retail_clusters.infra import storage
from retail_clusters.infra.locations import for_display, is_within, join, parent, to_uri
from retail_clusters.input_settings import Input
from retail_clusters.settings import CHAMPION, Archive, Scoring

#: In the source, so that a move is one step of one store; neither Spark nor the scorer reads it.
ARCHIVE: Final = "_archive"


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file when a batch began: its URI, length in bytes, and modification time in milliseconds."""

    location: str
    length: int
    modified_ms: int


@dataclass(frozen=True)
class ScoreRequest:
    """What to score, where to, and by which alias.

    `checkpoint` is by default a folder of the output. With `rescore`, one file that changed is scored anew,
    and nothing else. `as_of` is the date of the segments that are written (the window's end, exclusive), `every` how
    many days apart those of the past are.
    """

    source: str
    output: str
    checkpoint: str | None = None
    once: bool = True
    model: str = "retail-clusters"
    alias: str = CHAMPION
    rescore: str | None = None
    as_of: date | None = None
    every: int | None = None
    settings: Scoring = field(default_factory=Scoring)
    how: Input = field(default_factory=Input)

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
    if request.as_of and (request.every or not request.once):
        raise InputError(
            "as_of asks for the segments of one date, but got --every or --once false, which write those of several: "
            "leave one out"
        )
    if request.rescore:
        find_in_source(request.rescore, source=request.source)


def check_table(output: str) -> None:
    """Refuse a file of segments that is neither CSV nor Parquet by its name.

    Raises:
        InputError: it is neither, or no file can be there.
    """
    if not output.endswith((".csv", ".parquet")):
        raise InputError(f"output must be a file that ends in .csv or .parquet, but got {output}: rename it")
    storage.check(output)


def find_in_source(file: str, *, source: str) -> InputFile:
    """Find a file that is to be scored anew.

    Raises:
        InputError: it is no CSV file in the source.
    """
    found = storage.status(file)
    is_file = found is not None and not found.is_folder and listing.has_suffix(file)
    if found is None or not is_file or not is_within(file, source):
        raise InputError(
            f"rescore must name a CSV file in source, but got {for_display(file)} (source: {for_display(source)}): "
            "name one that the scorer has told of as changed"
        )
    own = listing.own_name(to_uri(file), source=to_uri(source))
    return InputFile(own, found.length, found.modified_ms)


def files_of(found: Listing) -> list[InputFile]:
    """Return the files of a listing, oldest first."""
    files = [InputFile(file.location, file.length, file.modified_ms) for file in found.files]
    return sorted(files, key=lambda file: (file.modified_ms, file.location))


def clean_source(files: Iterable[InputFile], *, source: str, how: Archive, batch_id: int) -> None:
    """Move or delete files that are recorded, as they were when they were scored; one that changed stays."""
    for file in files if how != "off" else ():
        found = storage.status(file.location)
        if found is None or (found.length, found.modified_ms) != (file.length, file.modified_ms):
            continue
        if how == "delete":
            storage.remove(file.location)
        else:
            _move(file.location, to_uri(source), batch_id)


def _move(file: str, source: str, batch_id: int) -> None:
    place = join(source, ARCHIVE, file.removeprefix(source).lstrip("/"))
    storage.make_folder(parent(place))
    storage.rename(file, place if not storage.exists(place) else f"{place}.{batch_id}")
