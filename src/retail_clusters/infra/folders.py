"""Folders that are new, and whole or not there at all."""

from collections.abc import Iterator
from contextlib import contextmanager

from retail_clusters.errors import InputError
from retail_clusters.infra import storage
from retail_clusters.infra.locations import for_display
from retail_clusters.infra.staging import staged_folder


@contextmanager
def new_folder(output: str) -> Iterator[str]:
    """Lend a folder to write in, which becomes `output` if the block ends well; refuse one with content."""
    if storage.exists(output) and (
        not storage.is_folder(output) or storage.list_files(output) or storage.list_folders(output)
    ):
        raise InputError(
            f"An output folder must be new or empty, but {for_display(output)} is not; remove it or choose another"
        )
    with staged_folder(output) as folder:
        yield folder
