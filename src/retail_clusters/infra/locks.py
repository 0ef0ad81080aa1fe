"""A lock at a location: one holder at a time, on one machine or across machines.

On this machine's disks the system keeps the lock, and takes it back from a process that dies. Elsewhere it
is a file that only one process can create. Its holder writes it anew three times in a lease; one that has
grown older than its lease, by the store's own clock, or whose process is known to be gone, is taken over.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from retail_clusters.errors import InputError, LockLostError, RetailClustersError, StorageError
from retail_clusters.infra import storage
from retail_clusters.infra.holders import LockOwner
from retail_clusters.infra.locations import for_display, is_local, local_path, parent

_POLL: Final = 0.1


@dataclass(frozen=True)
class Lock:
    """A lock that is held."""

    location: str
    holder: LockOwner
    lost: threading.Event = field(default_factory=threading.Event)
    #: Held while the file is written anew: who reads it meanwhile may find nothing.
    renewing: threading.Lock = field(default_factory=threading.Lock)

    def confirm(self) -> None:
        """Refuse to go on after another process has taken the lock over, as the store says now.

        It is to be asked before what two processes must not both do: one that stood still has not noticed.

        Raises:
            LockLostError: the lease had run out, because this process or its store stood still.
            StorageError: the store does not answer.
        """
        if is_local(self.location):
            return
        with self.renewing:
            found = storage.find_text(self.location)
        if self.lost.is_set() or found != self.holder.text:
            raise LockLostError(
                f"a lock must be held to the end, but {for_display(self.location)} was taken over: start again"
            )


@contextmanager
def lock(location: str, *, purpose: str, wait: float = 0.0, lease: float = 60.0) -> Iterator[Lock]:
    """Hold the lock at a location; its file stays there on a disk, and goes with the lock elsewhere.

    `purpose` says what the lock is for in the message of a refusal ("one scorer at a time uses OUTPUT").
    `wait` and `lease` are in seconds.

    Raises:
        InputError: another process still holds it after `wait`; its message names it.
    """
    storage.make_folder(parent(location))
    held = Lock(location, LockOwner.here())
    with _on_disk(held, purpose, wait) if is_local(location) else _on_store(held, purpose, wait, lease):
        yield held


@contextmanager
def _on_disk(held: Lock, purpose: str, wait: float) -> Iterator[None]:
    path = Path(local_path(held.location))
    descriptor = _open(path)
    try:
        ends = time.monotonic() + wait
        while not _flock(descriptor):
            if time.monotonic() >= ends:
                raise _refusal(held.location, purpose, LockOwner.parse(_read(path)))
            time.sleep(_POLL)
        with suppress(OSError):  # a lock file of another user may be one that only that user writes
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, held.holder.text.encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    """Open a lock file, never through a link, so that every user of the machine can lock it."""
    always = os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | always, 0o666)
            os.fchmod(descriptor, 0o666)
            return descriptor
        try:
            return os.open(path, os.O_RDWR | always)
        except PermissionError:
            return os.open(path, os.O_RDONLY | always)
    except OSError as unusable:
        raise InputError(
            f"a lock must be a plain file, but {for_display(str(path))} gave: {unusable.strerror}; remove it"
        ) from unusable


def _flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8")
    return ""


@contextmanager
def _on_store(held: Lock, purpose: str, wait: float, lease: float) -> Iterator[None]:
    ends = time.monotonic() + wait
    known = None
    while not _create(held):
        other = LockOwner.parse(_text(held.location))
        known = other or known  # it cannot be read at the moment of renewing
        if _is_stale(held, other, lease):
            _take_away(held, other)
        elif time.monotonic() >= ends:
            raise _refusal(held.location, purpose, known)
        else:
            time.sleep(_POLL)
    done = threading.Event()
    renewal = threading.Thread(target=_renew, args=(held, lease, done), daemon=True)
    renewal.start()
    try:
        yield
    finally:
        done.set()
        renewal.join()
        if _is_ours(held):
            storage.remove(held.location)


def _create(held: Lock) -> bool:
    """Create the lock file, and read it again: of two who did so on a lax store, the later one has it."""
    return storage.create_exclusive(held.location, held.holder.text) and _is_ours(held)


def _is_ours(held: Lock) -> bool:
    return _text(held.location) == held.holder.text


def _text(location: str) -> str:
    """Return what stands in a lock file; nothing where it is gone, or half written."""
    with suppress(StorageError):
        return storage.find_text(location) or ""
    return ""


def _is_stale(held: Lock, other: LockOwner | None, lease: float) -> bool:
    """Compare the lock's age with that of a file written now: one clock, the store's, for both."""
    if other and other.is_dead:
        return True
    probe = f"{held.location}.{held.holder.token}"
    storage.write_text(probe, "")
    now, then = storage.status(probe), storage.status(held.location)
    storage.remove(probe)
    return now is not None and then is not None and now.modified_ms - then.modified_ms > lease * 1000


def _take_away(held: Lock, other: LockOwner | None) -> None:
    """Move a stale lock aside, which one of several succeeds at; put back one that is not the stale one."""
    aside = f"{held.location}.{held.holder.token}"
    with suppress(RetailClustersError):
        storage.rename(held.location, aside)
        if LockOwner.parse(_text(aside)) != other:
            storage.rename(aside, held.location)
    storage.remove(aside)


def _renew(held: Lock, lease: float, done: threading.Event) -> None:
    """Write the lock file anew until it is given back; a store may fail for less than a lease.

    In its place: where a store replaces a file in two steps, another would find none between them.
    """
    last = time.monotonic()
    while not done.wait(lease / 3):
        try:
            if storage.find_text(held.location) != held.holder.text:
                held.lost.set()
                return
            with held.renewing:
                storage.rewrite_text(held.location, held.holder.text)
            last = time.monotonic()
        except RetailClustersError:
            if time.monotonic() - last > lease:
                held.lost.set()
                return


def _refusal(location: str, purpose: str, other: LockOwner | None) -> InputError:
    by = other or "another process"
    return InputError(f"{purpose}, but {for_display(location)} is held by {by}: wait for it, or end it")
