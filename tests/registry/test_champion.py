"""Moves of `champion` on a real store: told by their runs, whole after a kill -9, and honest about a race."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from retail_clusters.errors import PromotionRefusedError
from retail_clusters.infra.locks import LockOwner
from retail_clusters.registry import champion, tracking
from retail_clusters.registry.champion import (
    ABANDONED,
    DONE,
    PATIENCE,
    UNDER_WAY,
    WITHDRAWN,
    Move,
    champions,
    close_abandoned,
    lock_file,
    read_moves,
)
from retail_clusters.registry.models import ModelRegistry
from tests import shop
from tests.shop import moves, promote, registry

GONE = replace(LockOwner.here(), pid=2**22 + 1, process=LockOwner.here().process.replace("@", "@9"))
ELSEWHERE = replace(LockOwner.here(), process="another boot 1 7@9", pid=7)


@pytest.fixture
def two(workplace: Path) -> Path:
    """A registry of four versions whose champion went from 1 to 2."""
    shop.versions(4)
    promote(None, "1")
    promote("1", "2")
    return workplace


def left_behind(*, owner: LockOwner, status: str = "RUNNING", age: float = 0.0, **tags: str) -> str:
    """Make the run of a promotion of version 3 that did not come to its end; give its id."""
    started = datetime.now(UTC).timestamp() - age
    told = {"move": "3", "registered_model": registry.name, "action": "promote", "from": "2", "to": "3"}
    told |= {"who": "ann", "host": "there", "reason": "", "process": owner.text}
    run = MlflowClient().create_run("0", start_time=int(started * 1000), tags=told | tags)
    if status != "RUNNING":
        MlflowClient().set_terminated(run.info.run_id, status)
    return str(run.info.run_id)


def test_move_is_told_by_the_run_that_makes_it_whatever_its_experiment(two: Path):
    registry.tag(version="3", tags={"cluster_numbers": "2,0", "data_digest": "abc"})
    registry.set_alias(alias="challenger", version="3")
    mlflow.set_experiment("another experiment")

    done = promote("2", "3")

    assert (done.number, done.before, done.after, done.numbers, done.state) == (3, "2", "3", (2, 0), DONE)
    assert [move.after for move in moves()] == ["1", "2", "3"]
    assert moves()[-1] == done
    assert shop.aliases() == {"champion": "3", "challenger": None, "previous": "2"}
    run = MlflowClient().get_run(done.run_id)
    assert (run.data.tags["kind"], run.data.tags["data_digest"]) == ("promote", "abc")
    assert run.info.status == "FINISHED"
    assert read_moves("another-model") == []


def test_moves_of_an_earlier_release_are_read_and_gone_on_from(workplace: Path):
    shop.versions(3)
    registry.set_alias(alias="champion", version="2")
    client = MlflowClient()
    experiment = client.create_experiment(f"{registry.name}-promotions")
    for number, (before, after, status) in enumerate(
        [("", "1", "FINISHED"), ("1", "2", "RUNNING"), ("1", "3", "KILLED")], start=1
    ):
        told = {"move": str(number), "action": "promote", "from": before, "to": after, "reason": "then"}
        owner = {"who": "ann", "host": "here", "process": GONE.text, "cluster_numbers": "0,7"}
        run = client.create_run(experiment, tags=told | owner)
        if status != "RUNNING":
            client.set_terminated(run.info.run_id, status)
    client.create_run(experiment)

    assert [move.state for move in moves()] == [DONE, ABANDONED, WITHDRAWN]
    done = promote("2", "3")

    assert [move.state for move in moves()] == [DONE, DONE, WITHDRAWN, DONE]
    assert (done.number, champions(moves())) == (4, ["1", "2", "3"])
    assert set(champion.used_numbers(registry, moves())) == {0, 7}


def test_cluster_numbers_of_deleted_champions_stay_used(two: Path):
    registry.tag(version="3", tags={"cluster_numbers": "5,0"})
    promote("2", "3")
    registry.tag(version="2", tags={"cluster_numbers": "0,7"})
    registry.tag(version="4", tags={"cluster_numbers": "9"})
    MlflowClient().delete_model_version(registry.name, "3")

    assert sorted(champion.used_numbers(registry, moves())) == [0, 0, 5, 7]


@pytest.mark.parametrize(
    ("entries", "reachable"),
    [
        ([], []),
        ([(None, "1"), ("1", "2"), ("2", "1", "rollback")], ["1"]),
        ([(None, "1"), ("1", "2"), ("2", "1", "rollback"), ("1", "3")], ["1", "3"]),
        ([("7", "8")], ["7", "8"]),
        ([(None, "1"), ("5", "6")], ["1", "5", "6"]),
        ([(None, "1"), ("5", "1", "rollback")], ["1"]),
    ],
)
def test_reachable_champions_are_a_stack(entries: list[tuple[str, ...]], reachable: list[str]):
    def done(before: str | None, after: str, action: str = "promote") -> Move:
        return Move("", 1, action, before, after, None, (), "ann", "here", datetime.now(UTC), "", DONE, "")

    history = [done(*entry) for entry in entries]

    assert champions(history) == reachable
    assert champions([*history, replace(done(None, "9"), state=WITHDRAWN)]) == reachable


@pytest.mark.parametrize(("alias", "ended"), [("3", DONE), ("2", WITHDRAWN)])
@pytest.mark.parametrize("status", ["RUNNING", "KILLED", "FAILED"])
def test_run_that_a_dead_command_left_is_closed_as_the_alias_says(
    two: Path, capsys: pytest.CaptureFixture[str], alias: str, ended: str, status: str
):
    run_id = left_behind(owner=GONE, status=status)
    registry.set_alias(alias="champion", version=alias)

    assert close_abandoned(registry)[-1].state == moves()[-1].state == ended

    assert MlflowClient().get_run(run_id).info.status == ended
    assert "the command died" in moves()[-1].note
    assert "history: promote to version 3 by ann: the command died" in capsys.readouterr().err
    assert shop.aliases()["previous"] == ("2" if ended == DONE else "1")


def test_run_of_another_machine_is_left_alone_for_an_hour(two: Path):
    left_behind(owner=ELSEWHERE)
    left_behind(owner=ELSEWHERE, age=PATIENCE.total_seconds() + 1, move="4")

    assert [move.state for move in close_abandoned(registry)[2:]] == [UNDER_WAY, WITHDRAWN]
    assert promote("2", "4").state == DONE


def test_champion_that_moved_since_it_was_compared_with_stays(two: Path):
    with pytest.raises(
        PromotionRefusedError, match=r"must still be version 1, .* it is version 2 by now: no"
    ):
        promote("1", "3")

    assert shop.aliases()["champion"] == "2"
    assert len(moves()) == 2


@dataclass(frozen=True)
class Overtaken(ModelRegistry):
    """A registry in which somebody who compared with version 2, too, sets the alias a moment later."""

    def set_alias(self, *, alias: str, version: str) -> None:
        super().set_alias(alias=alias, version=version)
        run_id = left_behind(owner=ELSEWHERE, to="4")
        registry.set_alias(alias="champion", version="4")
        MlflowClient().set_tag(run_id, "outcome", DONE)


def test_of_two_that_promote_in_the_same_moment_both_stand_in_the_history(two: Path):
    with pytest.raises(PromotionRefusedError, match="another command set champion to version 4 just then"):
        promote("2", "3", by=Overtaken(registry.name))

    assert shop.aliases()["champion"] == "4"
    assert {(move.after, move.state) for move in moves()[2:]} == {("3", WITHDRAWN), ("4", DONE)}
    assert champions(moves()) == ["1", "2", "4"]


#: Kills itself right before or after it sets an alias.
KILLED = """
import os, signal, sys
from retail_clusters.registry import tracking
from retail_clusters.registry.champion import move_champion
from retail_clusters.registry.models import ModelRegistry

class Dying(ModelRegistry):
    def set_alias(self, *, alias, version):
        if (alias, "before") == tuple(sys.argv[1:]):
            os.kill(os.getpid(), signal.SIGKILL)
        super().set_alias(alias=alias, version=version)
        if (alias, "after") == tuple(sys.argv[1:]):
            os.kill(os.getpid(), signal.SIGKILL)

with tracking.run("promote"):
    move_champion(Dying("retail-clusters"), action="promote", before="2", after="3", reason="doomed")
"""


@pytest.mark.parametrize(
    ("alias", "moment", "ended", "named"),
    [
        ("champion", "before", WITHDRAWN, {"champion": "2", "challenger": "3", "previous": "1"}),
        ("champion", "after", DONE, {"champion": "3", "challenger": None, "previous": "2"}),
        ("previous", "after", DONE, {"champion": "3", "challenger": None, "previous": "2"}),
    ],
)
def test_history_and_aliases_agree_after_a_kill_9_at_each_step(
    two: Path, alias: str, moment: str, ended: str, named: dict[str, str | None]
):
    registry.set_alias(alias="challenger", version="3")
    killed = subprocess.run([sys.executable, "-c", KILLED, alias, moment], check=False, env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    assert moves()[-1].state == ABANDONED

    tracking.connect(experiment="the next command")  # ends runs of dead processes, whatever they did
    closed = close_abandoned(registry)[-1]

    assert (closed.reason, closed.state) == ("doomed", ended)
    assert MlflowClient().get_run(closed.run_id).info.status == ended
    assert shop.aliases() == named
    assert champions(moves())[-1] == named["champion"]


def test_store_has_one_lock_however_its_address_is_written(tmp_path: Path):
    same = ["http://host:5000", "http://host:5000/"]
    assert len({lock_file(uri, "retail") for uri in same}) == 1
    others = ["http://host:5001", "http://other:5000", "http://host:5000/path"]
    assert len({lock_file(uri, "retail") for uri in [same[0], *others]}) == 4
    assert lock_file(same[0], "retail") != lock_file(same[0], "other")
    (tmp_path / "link.db").symlink_to(tmp_path / "mlflow.db")
    names = ("link.db", "mlflow.db", "mlflow%2Edb")
    assert len({lock_file(f"sqlite:///{tmp_path / name}", "retail") for name in names}) == 1
