"""Folders that are whole or not there at all."""

from collections.abc import Iterator
from contextlib import contextmanager

from retail_clusters.errors import LockLostError
from retail_clusters.infra import storage
from retail_clusters.infra.locations import is_object_store, join, name, parent


@contextmanager
def staged_folder(place: str) -> Iterator[str]:
    """Lend a folder to write in, and publish it as `place` if the block ends well.

    In an object store it is `place` itself, emptied: there a folder counts once a record that is written
    after it says so. One that another process has taken over meanwhile (LockLostError) is left to it.
    """
    staged = place if is_object_store(place) else storage.draft_beside(place)
    storage.remove(staged)
    storage.make_folder(staged)
    try:
        yield staged
        if staged != place:
            publish_folder(staged, place)
    except BaseException as failure:
        if staged != place or not isinstance(failure, LockLostError):
            storage.remove(staged)
        raise


def publish_folder(staged: str, place: str) -> None:
    """Put a folder in the place of an earlier one, or where none is; what it replaces is removed.

    On this machine's disks that is one step. Elsewhere, a process that dies in the middle leaves the
    earlier folder aside, and `recover_folder` puts it back.
    """
    storage.sync(staged)
    recover_folder(place)
    if not storage.exists(place):
        storage.rename(staged, place)
    elif storage.exchange(staged, place):
        storage.remove(staged)
    else:
        storage.rename(place, _aside(place))
        storage.rename(staged, place)
        storage.remove(_aside(place))


def recover_folder(place: str) -> None:
    """Put back the folder that a killed `publish_folder` had moved aside, or remove it if it is replaced."""
    if not storage.exists(_aside(place)):
        return
    if storage.exists(place):
        storage.remove(_aside(place))
    else:
        storage.rename(_aside(place), place)


def _aside(place: str) -> str:
    return join(parent(place), f".{name(place)}.replaced")
