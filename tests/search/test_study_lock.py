import multiprocessing
import socket
import time
from pathlib import Path

import optuna
import pytest

from retail_clusters.errors import InputError, LockLostError
from retail_clusters.search import study_lock
from retail_clusters.search.study import open_study
from retail_clusters.search.study_lock import only_worker
from tests.scorers import wait_until


def _hold(journal: str, held: "multiprocessing.synchronize.Event") -> None:
    with only_worker(open_study(name="s", storage=journal, identity={}), storage=journal):
        held.set()
        time.sleep(60)


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    return open_study(name="s", storage=str(tmp_path / "journal"), identity={})


def test_a_second_process_is_told_and_a_killed_one_lets_go(study, tmp_path):
    journal = str(tmp_path / "journal")
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    process = context.Process(target=_hold, args=(journal, held), daemon=True)
    process.start()
    assert held.wait(60)
    with (
        pytest.raises(InputError, match="one process at a time works on study s"),
        only_worker(study, storage=journal),
    ):
        pass
    process.kill()
    process.join(30)
    with only_worker(study, storage=journal):
        assert study.user_attrs["worker"]["host"] == socket.gethostname()


def test_a_worker_of_another_machine_counts_until_it_falls_silent(study, tmp_path):
    elsewhere = {"host": "elsewhere", "pid": 7, "seen": time.time()}
    study.set_user_attr("worker", elsewhere)
    with (
        pytest.raises(InputError, match="process 7 on elsewhere"),
        only_worker(study, storage=str(tmp_path / "journal")),
    ):
        pass
    study.set_user_attr("worker", elsewhere | {"seen": time.time() - 1_000})
    with only_worker(study, storage=str(tmp_path / "journal")):
        pass


def test_a_worker_is_heard_of_while_a_batch_of_any_length_runs(study, tmp_path, monkeypatch):
    monkeypatch.setattr(study_lock, "_LEASE", 0.2)
    with only_worker(study, storage=str(tmp_path / "journal")):
        first = study.user_attrs["worker"]["seen"]
        wait_until(lambda: study.user_attrs["worker"]["seen"] > first)


def test_a_worker_that_stood_still_while_another_took_over_stops_and_leaves_the_study_to_it(study, tmp_path):
    other = {"host": "elsewhere", "pid": 7, "token": "other", "seen": time.time()}
    with only_worker(study, storage=str(tmp_path / "journal")) as confirm:
        confirm()
        study.set_user_attr("worker", other)
        with pytest.raises(LockLostError, match="another has taken over 's'"):
            confirm()
    assert study.user_attrs["worker"] == other
