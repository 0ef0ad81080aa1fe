"""One process works on a study at a time, on this machine or on another."""

import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import optuna

from retail_clusters.errors import InputError
from retail_clusters.infra.locks import lock

_WORKER: Final = "worker"
#: How long a worker of another machine counts as alive after it was last heard of, in seconds.
_LEASE: Final = 120.0


@contextmanager
def only_worker(study: optuna.Study, *, storage: str) -> Iterator[Callable[[], None]]:
    """Hold a study; yields what tells others, batch by batch, that the worker is alive.

    A lock file beside the journal, or in the working folder for a database, tells processes of one machine
    apart; an attribute of the study tells those of several machines that share a database.

    Raises:
        InputError: another process works on it.
    """
    with lock(
        _lock_file(study.study_name, storage),
        purpose=f"one process at a time works on study {study.study_name}",
    ):
        _check_elsewhere(study)

        def alive() -> None:
            study.set_user_attr(
                _WORKER, {"host": socket.gethostname(), "pid": os.getpid(), "seen": time.time()}
            )

        alive()
        try:
            yield alive
        finally:
            study.set_user_attr(_WORKER, None)


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
