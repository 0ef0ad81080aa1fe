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
from retail_clusters.registry import champion
from retail_clusters.registry.champion import (
    DONE,
    UNDER_WAY,
    WITHDRAWN,
    Move,
    champions,
    lock_file,
    read_moves,
)
from retail_clusters.registry.models import ModelRegistry
from tests import shop
from tests.shop import moves, promote, registry


@pytest.fixture
def two(workplace: Path) -> Path:
    """A registry of four versions whose champion went from 1 to 2."""
    shop.versions(4)
    promote(None, "1")
    promote("1", "2")
    return workplace


def left_behind(to: str = "3") -> str:
    """Make the run of a promotion that did not come to its end; give its id."""
    told = {"move": "3", "registered_model": registry.name, "action": "promote", "from": "2", "to": to}
    told |= {"who": "ann", "host": "there", "reason": ""}
    return str(MlflowClient().create_run("0", tags=told).info.run_id)


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


def test_cluster_numbers_of_deleted_champions_stay_used(two: Path):
    registry.tag(version="3", tags={"cluster_numbers": "5,0"})
    registry.tag(version="4", tags={"cluster_numbers": "9"})
    promote("2", "3")
    MlflowClient().delete_model_version(registry.name, "3")

    assert sorted(champion.used_numbers(moves())) == [0, 5]


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


@pytest.mark.parametrize(("alias", "state"), [("3", DONE), ("2", UNDER_WAY)])
def test_of_a_move_that_a_dead_command_left_the_alias_and_the_next_move_tell_whether_it_was_made(
    two: Path, alias: str, state: str
):
    left_behind()
    registry.set_alias(alias="champion", version=alias)
    assert moves()[-1].state == state

    promote(alias, "4")

    assert [move.state for move in moves()[2:]] == [state, DONE]
    assert shop.aliases()["previous"] == alias


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
        run_id = left_behind(to="4")
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
    ("alias", "moment", "state", "reachable"),
    [
        pytest.param("champion", "before", UNDER_WAY, ["1", "2"], marks=pytest.mark.soak),
        ("champion", "after", DONE, ["1", "2", "3"]),
        pytest.param("previous", "after", DONE, ["1", "2", "3"], marks=pytest.mark.soak),
    ],
)
def test_history_and_aliases_agree_after_a_kill_9_at_each_step(
    two: Path, alias: str, moment: str, state: str, reachable: list[str]
):
    killed = subprocess.run([sys.executable, "-c", KILLED, alias, moment], check=False, env=os.environ)
    assert killed.returncode == -signal.SIGKILL

    assert (moves()[-1].reason, moves()[-1].state) == ("doomed", state)
    assert champions(moves()) == reachable

    promote(reachable[-1], "4")
    assert shop.aliases() == {"champion": "4", "challenger": None, "previous": reachable[-1]}


def test_store_has_one_lock_however_its_address_is_written(tmp_path: Path):
    same = ["http://host:5000", "http://host:5000/"]
    assert len({lock_file(uri, "retail") for uri in same}) == 1
    others = ["http://host:5001", "http://other:5000", "http://host:5000/path"]
    assert len({lock_file(uri, "retail") for uri in [same[0], *others]}) == 4
    assert lock_file(same[0], "retail") != lock_file(same[0], "other")
    (tmp_path / "link.db").symlink_to(tmp_path / "mlflow.db")
    names = ("link.db", "mlflow.db", "mlflow%2Edb")
    assert len({lock_file(f"sqlite:///{tmp_path / name}", "retail") for name in names}) == 1
