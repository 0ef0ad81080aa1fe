"""One process works on a study at a time, on this machine or on another."""

import hashlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import optuna
from optuna.exceptions import OptunaError

from retail_clusters.errors import InputError, LockLostError
from retail_clusters.infra.locks import lock

_WORKER: Final = "worker"
#: How long a worker of another machine counts as alive after it was last heard of, in seconds.
_LEASE: Final = 120.0


@contextmanager
def only_worker(study: optuna.Study, *, storage: str) -> Iterator[Callable[[], None]]:
    """Hold a study; yields a check, for before results are used, that no other worker has taken it over.

    A lock file beside the journal, or in the working folder for a database, tells processes of one machine
    apart; an attribute of the study, which a thread renews, tells those of several machines that share a
    database.

    Raises:
        InputError: another process works on it.
        LockLostError: by the check; this process has not been heard of for too long, and another went on.
    """
    with lock(
        _lock_file(study.study_name, storage),
        purpose=f"one process at a time works on study {study.study_name}",
    ):
        _check_elsewhere(study)
        worker = {"host": socket.gethostname(), "pid": os.getpid(), "token": uuid.uuid4().hex}
        _renew(study, worker)
        done = threading.Event()
        renewal = threading.Thread(target=_keep_alive, args=(study, worker, done), daemon=True)
        renewal.start()
        try:
            yield lambda: _confirm(study, worker)
        finally:
            done.set()
            renewal.join()
            if _is_ours(study, worker):
                study.set_user_attr(_WORKER, None)


def _renew(study: optuna.Study, worker: dict[str, Any]) -> None:
    study.set_user_attr(_WORKER, worker | {"seen": time.time()})


def _keep_alive(study: optuna.Study, worker: dict[str, Any], done: threading.Event) -> None:
    """Renew the mark while a batch runs, however long; a database may fail for less than a lease."""
    while not done.wait(_LEASE / 4):
        with suppress(OptunaError, OSError):
            if not _is_ours(study, worker):
                return
            _renew(study, worker)


def _is_ours(study: optuna.Study, worker: dict[str, Any]) -> bool:
    found: dict[str, Any] = study.user_attrs.get(_WORKER) or {}
    return bool(found.get("token") == worker["token"])


def _confirm(study: optuna.Study, worker: dict[str, Any]) -> None:
    if not _is_ours(study, worker):
        raise LockLostError(
            f"one process works on a study at a time, but another has taken over {study.study_name!r}, since "
            "this one was not heard of for two minutes: let it go on, or start this one again after it"
        )


def _check_elsewhere(study: optuna.Study) -> None:
    worker: dict[str, Any] | None = study.user_attrs.get(_WORKER)
    if worker is None or worker["host"] == socket.gethostname():
        return
    if time.time() - worker["seen"] < _LEASE:
        raise InputError(
            f"one process works on a study at a time, but process {worker['pid']} on {worker['host']} works "
            f"on {study.study_name!r}: wait for it, or choose another study name"
        )


def _lock_file(name: str, storage: str) -> str:
    digest = hashlib.sha256(f"{storage}\n{name}".encode()).hexdigest()[:12]
    return f"optuna-{digest}.lock" if "://" in storage else f"{storage}.{digest}.lock"
