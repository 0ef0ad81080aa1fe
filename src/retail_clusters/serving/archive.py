"""Input files after their batch is recorded: left, moved aside, or deleted."""

from collections.abc import Iterable
from typing import Final

from retail_clusters.infra import storage
from retail_clusters.infra.locations import join, parent, to_uri
from retail_clusters.serving.known_files import InputFile
from retail_clusters.settings import Archive

#: In the source, so that a move is one step of one store; neither Spark nor the scorer reads it.
FOLDER: Final = "_archive"


def clean_source(files: Iterable[InputFile], *, source: str, how: Archive, batch_id: int) -> None:
    """Move or delete files that are recorded, as they were when they were scored; one that changed stays."""
    if how == "off":
        return
    for file in files:
        found = storage.status(file.location)
        if found is None or (found.length, found.modified_ms) != (file.length, file.modified_ms):
            continue
        if how == "delete":
            storage.remove(file.location)
        else:
            _move(file.location, to_uri(source), batch_id)


def _move(file: str, source: str, batch_id: int) -> None:
    within = file.removeprefix(source).lstrip("/")
    place = join(source, FOLDER, within)
    storage.make_folder(parent(place))
    storage.rename(file, place if not storage.exists(place) else f"{place}.{batch_id}")
