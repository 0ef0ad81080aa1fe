"""Where `main` reads and writes, checked before Spark starts: nothing here waits for MLflow or a session."""

from typing import Final

from retail_clusters.errors import InputError
from retail_clusters.infra import locations, storage

#: Where the scored lines go unless told: `OUTPUT/RUN_ID`.
OUTPUT: Final = "output"


def check_places(data: str, output: str) -> None:
    """Refuse data that the scorer could not watch, and a place for its lines that none can be written to.

    Raises:
        InputError: data is no folder, or output cannot be addressed, or lies in it.
    """
    storage.check(output)
    if not storage.is_folder(data):
        raise InputError(f"main scores what it trains on, so data must be a folder, but got {data}: name one")
    if locations.is_within(output, data):
        raise InputError(
            f"output must lie outside of data, but {locations.for_display(output)} is in {locations.for_display(data)}: "
            "name another folder"
        )
