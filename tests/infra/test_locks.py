"""One process of a machine holds a lock; a killed one holds it no longer."""

import subprocess
import sys
import tempfile
import textwrap
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from retail_clusters.errors import InputError
from retail_clusters.infra.locks import LockOwner, lock

PURPOSE = "one scorer at a time uses the output"

HOLDING = textwrap.dedent("""
    import sys
    from retail_clusters.infra.locks import LockOwner, lock
    with lock(sys.argv[1], purpose="mine"):
        print(LockOwner.here().text, flush=True)
        sys.stdin.read()
""")


@pytest.fixture(params=["local", "remote"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where a lock is: beside what it is for, or in the temporary folder for what is on no disk of this machine."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # it is found anew
    return str(tmp_path / "new" / "lock") if request.param == "local" else "s3a://bucket/output/lock"


def hold(place: str) -> "tuple[subprocess.Popen[str], LockOwner]":
    """Start a process that holds a lock until its input ends."""
    command = [sys.executable, "-c", HOLDING, place]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    owner = LockOwner.parse(process.stdout.readline())
    assert owner
    return process, owner


def refused(place: str) -> str:
    with pytest.raises(InputError) as refusal, lock(place, purpose=PURPOSE):
        pass
    assert len(str(refusal.value).splitlines()) == 1
    return str(refusal.value)


def test_another_process_is_refused_until_the_owner_is_killed(place: str):
    process, owner = hold(place)
    assert refused(place) == f"{PURPOSE}, but another process holds {place}: wait for it, or end it"
    assert owner.pid == process.pid
    assert not owner.is_dead
    process.kill()
    process.wait()
    assert owner.is_dead
    with lock(place, purpose=PURPOSE):
        refused(place)


def test_who_waits_has_the_lock_once_its_owner_ends(place: str):
    process, _ = hold(place)
    assert process.stdin
    threading.Timer(0.3, process.stdin.close).start()
    with lock(place, purpose=PURPOSE, wait=60):
        assert process.wait(60) == 0


def test_a_lock_is_free_after_a_block_that_fails(place: str):
    with pytest.raises(ZeroDivisionError), lock(place, purpose=PURPOSE):
        _ = 1 / 0
    with lock(place, purpose=PURPOSE):
        pass


def test_locks_of_two_places_are_two(tmp_path: Path):
    with lock("s3a://bucket/a", purpose=PURPOSE), lock("s3a://bucket/b", purpose=PURPOSE):
        refused("s3a://bucket/a")
        with lock(str(tmp_path / "a"), purpose=PURPOSE):
            pass


def test_a_link_and_a_folder_are_refused_and_left_alone(tmp_path: Path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    (tmp_path / "folder").mkdir()
    for name in ("link", "folder"):
        assert "a lock must be a plain file" in refused(str(tmp_path / name))
    assert (tmp_path / "victim").read_text() == "precious"


def test_an_owner_is_read_as_it_was_written_and_nothing_else_is():
    here = LockOwner.here()
    assert LockOwner.parse(here.text) == here
    assert LockOwner.parse(here.text.replace("{", '{"token": "of an earlier release", ')) == here
    assert [LockOwner.parse(text) for text in ("", "{}", "null", "[1]", "something else")] == [None] * 5


def test_only_a_process_that_ran_here_is_known_to_be_dead():
    here = LockOwner.here()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    system = here.process.rpartition(" ")[0]
    assert replace(here, pid=ended.pid, process=f"{system} {ended.pid}@1").is_dead
    assert replace(here, process=f"{system} {here.pid}@1").is_dead  # its number has been given anew
    assert not here.is_dead
    assert not replace(here, process="another boot 1 7@1", pid=ended.pid).is_dead
    assert not replace(here, process="", pid=ended.pid).is_dead
