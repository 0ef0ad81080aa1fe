import os
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from retail_clusters.errors import InputError, StorageError
from retail_clusters.infra import storage
from retail_clusters.infra.holders import LockOwner
from retail_clusters.infra.locations import join
from retail_clusters.infra.locks import Lock, lock
from tests.scorers import wait_until
from tests.viewfs import in_session

PURPOSE = "one scorer at a time uses the output"

HOLDING = textwrap.dedent("""
    import sys
    from retail_clusters.infra.locks import lock
    with lock(sys.argv[1], purpose="mine"):
        print("held", flush=True)
        sys.stdin.read()
""")


def hold(location: str | Path) -> "subprocess.Popen[str]":
    """Start a process that holds a local lock until it is told to end."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(location)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def elsewhere(**changes: str) -> LockOwner:
    """Describe a process of another machine."""
    fields = {"host": "far", "user": "ann", "since": "2026-01-01T00:00:00+00:00", "process": "boot 1 7@1"}
    return LockOwner(pid=7, **(fields | changes))


@pytest.fixture(params=["local", "viewfs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for a lock, on this machine's disks and behind a scheme of Spark."""
    if request.param == "local":
        return str(tmp_path / "lock")
    return far_place(request.getfixturevalue("spark"), tmp_path)


@pytest.fixture
def far(spark: SparkSession, tmp_path: Path) -> str:
    """A place for a lock behind a scheme of Spark."""
    return far_place(spark, tmp_path)


def far_place(spark: SparkSession, folder: Path) -> str:
    return f"{in_session(spark, folder)}/lock"


def refused(location: str | Path, **options: float) -> str:
    with pytest.raises(InputError) as refusal, lock(str(location), purpose=PURPOSE, **options):
        pass
    return str(refusal.value)


def test_a_lock_has_one_holder_and_is_free_afterwards(place: str):
    with lock(place, purpose=PURPOSE) as held:
        message = refused(place)
        held.confirm()
    assert message.startswith(f"{PURPOSE}, but {place} is held by process {os.getpid()} of ")
    assert len(message.splitlines()) == 1
    with lock(place, purpose=PURPOSE):
        pass


def test_a_lock_is_free_after_a_block_that_fails(place: str):
    with pytest.raises(ZeroDivisionError), lock(place, purpose=PURPOSE):
        _ = 1 / 0
    with lock(place, purpose=PURPOSE):
        pass


def test_who_waits_has_the_lock_once_it_is_given_back(place: str):
    had: list[Lock] = []

    def take() -> None:
        with lock(place, purpose=PURPOSE, wait=60) as held:
            had.append(held)

    waiting = threading.Thread(target=take)
    with lock(place, purpose=PURPOSE):
        waiting.start()
        assert not had
    waiting.join()
    assert [held.location for held in had] == [place]


def test_of_many_at_once_one_at_a_time_holds_the_lock(tmp_path: Path):
    place = str(tmp_path / "lock")
    inside, most, together = [0], [0], threading.Barrier(4)

    def work() -> None:
        together.wait()
        with lock(place, purpose=PURPOSE, wait=60):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_another_process_is_refused_and_named_until_the_holder_is_killed(tmp_path: Path):
    process = hold(tmp_path / "lock")
    assert f"held by process {process.pid} of " in refused(tmp_path / "lock")
    process.kill()
    process.wait()
    with lock(str(tmp_path / "lock"), purpose=PURPOSE):
        pass


def test_a_lock_behind_a_link_is_refused(tmp_path: Path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "lock").symlink_to(tmp_path / "victim")
    assert "a lock must be a plain file" in refused(tmp_path / "lock")
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_lock_file_can_be_used_by_every_user(tmp_path: Path):
    before = os.umask(0o077)
    try:
        with lock(str(tmp_path / "lock"), purpose=PURPOSE):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o666


def test_a_lock_of_another_machine_holds_while_its_lease_does(far: str, tmp_path: Path):
    storage.create_exclusive(far, elsewhere().text)
    assert "held by process 7 of ann on far" in refused(far)
    os.utime(tmp_path / "lock", (0, 0))
    with lock(far, purpose=PURPOSE):
        assert "on far" not in refused(far)
    assert not storage.exists(far)


def test_a_lock_of_a_process_known_to_be_gone_is_free_at_once(far: str):
    here = LockOwner.here()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    gone = here.process.rpartition(" ")[0] + f" {ended.pid}@1"
    left = LockOwner(here.host, ended.pid, here.user, here.since, gone)
    assert left.is_dead
    assert not here.is_dead
    assert not elsewhere(host=here.host).is_dead
    storage.create_exclusive(far, left.text)
    with lock(far, purpose=PURPOSE):
        pass


def test_a_lock_file_that_is_not_readable_text_of_ours_holds_for_a_lease(far: str):
    storage.create_exclusive(far, "something else")
    assert "held by another process" in refused(far)


def test_a_holder_renews_its_lock_for_longer_than_a_lease(far: str):
    with lock(far, purpose=PURPOSE, lease=0.9):
        assert "held by process" in refused(far, wait=2.5, lease=0.9)


def test_a_holder_that_asks_at_the_moment_of_renewing_is_still_the_holder(far: str):
    with lock(far, purpose=PURPOSE, lease=0.03) as held:
        for _ in range(200):
            held.confirm()


def test_a_store_that_fails_once_costs_no_lock(far: str, monkeypatch: pytest.MonkeyPatch):
    answer, asked = storage.find_text, list[str]()

    def fail_once(location: str) -> str | None:
        asked.append(location)
        if len(asked) == 1:
            raise StorageError("no answer")
        return answer(location)

    with lock(far, purpose=PURPOSE, lease=6) as held:
        monkeypatch.setattr(storage, "find_text", fail_once)
        wait_until(lambda: len(asked) > 1)
        held.confirm()
        assert not held.lost.is_set()


def test_a_holder_that_was_taken_over_is_told_and_leaves_the_lock_alone(far: str):
    with lock(far, purpose=PURPOSE, lease=0.3) as held:
        other = elsewhere().text
        storage.write_text(far, other)
        assert held.lost.wait(30)
        with pytest.raises(StorageError, match="was taken over"):
            held.confirm()
    assert storage.find_text(far) == other


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
def test_a_second_user_of_the_machine_takes_the_lock_of_the_first():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o1777)
        with lock(str(folder / "lock"), purpose=PURPOSE):
            pass
        os.seteuid(65534)
        try:
            with lock(str(folder / "lock"), purpose=PURPOSE) as held:
                assert LockOwner.parse((folder / "lock").read_text()) == held.holder
        finally:
            os.seteuid(0)


def test_a_lock_is_what_it_says(tmp_path: Path):
    with lock(str(tmp_path / "lock"), purpose=PURPOSE) as held:
        assert isinstance(held, Lock)
        assert LockOwner.parse((tmp_path / "lock").read_text()) == held.holder
    assert join(str(tmp_path), "lock") == held.location
