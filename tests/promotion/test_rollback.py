"""Moves of the champion: back, on record, and whole after a kill -9."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from retail_clusters.errors import NotRegisteredError, PromotionRefusedError, RegistryError
from retail_clusters.promotion.champion import Intent, move_champion
from retail_clusters.promotion.history import history
from retail_clusters.promotion.moves import DONE, UNDER_WAY, WITHDRAWN, Move, champions
from retail_clusters.promotion.rollback import rollback
from retail_clusters.registry.models import ModelRegistry
from tests import shop
from tests.shop import book, registry


def move(before: str | None, after: str) -> Move:
    return move_champion(registry, Intent("promote", before, after, "a test", facts={}, texts={}))


@pytest.fixture
def three(workplace: Path) -> Path:
    """A registry of four versions whose champion went from 1 to 2 to 3."""
    shop.versions(4)
    for before, after in ((None, "1"), ("1", "2"), ("2", "3")):
        move(before, after)
    return workplace


def test_rollback_twice_goes_back_twice_and_each_is_on_the_ledger(three: Path):
    assert shop.aliases()["previous"] == "2"

    rollback(model=registry.name, reason="once")
    assert shop.aliases() == {"champion": "2", "challenger": None, "previous": "1"}
    rollback(model=registry.name, reason="twice")
    assert shop.aliases() == {"champion": "1", "challenger": None, "previous": None}

    entries = book.moves()
    assert [(entry.action, entry.before, entry.after) for entry in entries[-2:]] == [
        ("rollback", "3", "2"),
        ("rollback", "2", "1"),
    ]
    assert [entry.reason for entry in entries[-2:]] == ["once", "twice"]
    assert MlflowClient().get_run(entries[-1].run_id).data.tags["from_model_digest"] == "digest 2"
    with pytest.raises(RegistryError, match="no champion before version 1"):
        rollback(model=registry.name, reason="thrice")


def test_promotion_after_a_rollback_goes_on_from_there(three: Path):
    rollback(model=registry.name, reason="back to 2")
    move("2", "4")
    assert shop.aliases()["previous"] == "2"
    assert rollback(model=registry.name, reason="again").after == "2"
    assert rollback(model=registry.name, reason="and again").after == "1"


def test_rollback_goes_back_from_a_champion_that_was_set_by_hand(
    three: Path, capsys: pytest.CaptureFixture[str]
):
    registry.set_alias(alias="champion", version="4")
    history(model=registry.name)
    assert "set by other means" in capsys.readouterr().out

    assert rollback(model=registry.name, reason="who was that").after == "3"
    assert shop.aliases()["previous"] == "2"


def test_rollback_passes_over_a_deleted_version_when_it_sets_previous(three: Path):
    MlflowClient().delete_model_version(registry.name, "1")

    assert rollback(model=registry.name, reason="back").after == "2"
    assert shop.aliases() == {"champion": "2", "challenger": None, "previous": None}
    assert {move.state for move in book.moves()} == {DONE}


def test_rollback_to_a_deleted_version_is_refused_before_anything_moves(three: Path):
    MlflowClient().delete_model_version(registry.name, "2")

    with pytest.raises(NotRegisteredError, match="version 2 was deleted: nothing was changed"):
        rollback(model=registry.name, reason="back")

    assert shop.aliases()["champion"] == "3"
    assert len(book.moves()) == 3


def test_move_whose_other_aliases_cannot_follow_is_closed_and_says_so(
    three: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    set_alias = ModelRegistry.set_alias

    def only_champion(mine: ModelRegistry, *, alias: str, version: str) -> None:
        if alias != "champion":
            raise RegistryError("the model registry must answer, but it gave: no")
        set_alias(mine, alias=alias, version=version)

    monkeypatch.setattr(ModelRegistry, "set_alias", only_champion)

    done = move("3", "4")

    assert (shop.aliases()["champion"], done.state) == ("4", DONE)
    assert "previous and challenger could not follow" in book.moves()[-1].note
    assert "could not follow" in capsys.readouterr().err


def test_rollback_without_a_champion_says_what_to_do(workplace: Path):
    with pytest.raises(RegistryError, match="there is no champion: promote a version"):
        rollback(model=registry.name, reason="too early")


def test_history_prints_every_move_in_order(three: Path, capsys: pytest.CaptureFixture[str]):
    rollback(model=registry.name, reason="a regret")
    capsys.readouterr()

    entries = history(model=registry.name)

    assert [entry.number for entry in entries] == [1, 2, 3, 4]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("UTC")[1].split()[:4] for line in lines[:4]] == [
        ["promote", "none", "->", "1"],
        ["promote", "1", "->", "2"],
        ["promote", "2", "->", "3"],
        ["rollback", "3", "->", "2"],
    ]
    assert lines[3].endswith("a regret")
    assert lines[4] == f"champion of retail-clusters: version 2 ({mlflow.get_tracking_uri()})"


def test_champion_that_moved_since_the_gates_stays(three: Path):
    with pytest.raises(
        PromotionRefusedError, match=r"must still be version 2, .* but it is version 3 by now"
    ):
        move("2", "4")
    assert shop.aliases()["champion"] == "3"
    assert len(book.moves()) == 3


def test_move_takes_the_challenger_off_what_it_promoted(three: Path):
    registry.set_alias(alias="challenger", version="4")
    move("3", "4")
    assert shop.aliases()["challenger"] is None


#: Kills itself at the n-th change of an alias, or right after it.
KILLED = """
import os, signal, sys
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.promotion.champion import Intent, move_champion
from retail_clusters.promotion.ledger import Ledger
registry = ModelRegistry("retail-clusters")
set_alias, changes = ModelRegistry.set_alias, []

def set_and_die(registry, *, alias, version):
    changes.append(alias)
    if (str(len(changes)), sys.argv[2]) == (sys.argv[1], "before"):
        os.kill(os.getpid(), signal.SIGKILL)
    set_alias(registry, alias=alias, version=version)
    if (str(len(changes)), sys.argv[2]) == (sys.argv[1], "after"):
        os.kill(os.getpid(), signal.SIGKILL)

ModelRegistry.set_alias = set_and_die
with Ledger(registry.name).exclusive():
    move_champion(registry, Intent("promote", "3", "4", "doomed", facts={}, texts={}))
"""


@pytest.mark.parametrize(
    ("change", "moment", "champion", "previous", "state"),
    [
        ("1", "before", "3", "2", WITHDRAWN),
        ("1", "after", "4", "3", DONE),
    ],
)
def test_ledger_and_aliases_agree_after_a_kill_9_at_any_moment(
    three: Path,
    change: str,
    moment: str,
    champion: str,
    previous: str,
    state: str,
    capsys: pytest.CaptureFixture[str],
):
    killed = subprocess.run([sys.executable, "-c", KILLED, change, moment], check=False, env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    assert book.moves()[-1].state == UNDER_WAY

    entries = history(model=registry.name)

    assert (entries[-1].reason, entries[-1].state) == ("doomed", state)
    assert shop.aliases() == {"champion": champion, "challenger": None, "previous": previous}
    assert champions(entries)[-1] == champion
    told = capsys.readouterr()
    assert "the process died" in told.err
    assert "the process died" in told.out
    assert rollback(model=registry.name, reason="after the crash").after == previous
