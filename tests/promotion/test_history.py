"""The way back, and what `history` prints: on a real store, without a model."""

from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from retail_clusters.errors import NotRegisteredError, RegistryError
from retail_clusters.promotion.history import history, rollback
from retail_clusters.registry.champion import DONE, Move
from tests import shop
from tests.shop import moves, promote, registry


def back(reason: str = "a regret") -> Move:
    return rollback(model=registry.name, reason=reason)


@pytest.fixture
def three(workplace: Path) -> Path:
    """A registry of four versions whose champion went from 1 to 2 to 3."""
    shop.versions(4)
    for before, after in ((None, "1"), ("1", "2"), ("2", "3")):
        promote(before, after)
    return workplace


def test_rollback_twice_goes_back_twice_and_each_is_in_the_history(three: Path):
    assert shop.aliases()["previous"] == "2"

    back("once")
    assert shop.aliases() == {"champion": "2", "challenger": None, "previous": "1"}
    back("twice")
    assert shop.aliases() == {"champion": "1", "challenger": None, "previous": None}

    assert [(move.action, move.before, move.after, move.reason) for move in moves()[-2:]] == [
        ("rollback", "3", "2", "once"),
        ("rollback", "2", "1", "twice"),
    ]
    assert MlflowClient().get_run(moves()[-1].run_id).data.tags["kind"] == "rollback"
    with pytest.raises(RegistryError, match="no champion before version 1"):
        back("thrice")


def test_promotion_after_a_rollback_goes_on_from_there(three: Path):
    back()
    promote("2", "4")
    assert shop.aliases()["previous"] == "2"
    assert back().after == "2"
    assert back().after == "1"


def test_rollback_goes_back_from_a_champion_that_was_set_by_hand(
    three: Path, capsys: pytest.CaptureFixture[str]
):
    registry.set_alias(alias="champion", version="4")
    history(model=registry.name)
    assert "set by other means" in capsys.readouterr().out

    assert back().after == "3"
    assert shop.aliases()["previous"] == "2"


def test_rollback_passes_over_a_deleted_version_but_does_not_go_to_one(three: Path):
    MlflowClient().delete_model_version(registry.name, "1")

    assert back().after == "2"
    assert shop.aliases() == {"champion": "2", "challenger": None, "previous": None}
    with pytest.raises(NotRegisteredError, match="version 1 was deleted: nothing was changed"):
        back()

    assert shop.aliases()["champion"] == "2"
    assert len(moves()) == 4


def test_rollback_without_a_champion_says_what_to_do(workplace: Path):
    with pytest.raises(RegistryError, match="there is no champion: promote a version"):
        back()


def test_history_prints_every_move_in_order(three: Path, capsys: pytest.CaptureFixture[str]):
    back()
    capsys.readouterr()

    assert [(move.number, move.state) for move in history(model=registry.name)] == [
        (number, DONE) for number in (1, 2, 3, 4)
    ]

    lines = capsys.readouterr().out.splitlines()
    assert [line.split("UTC")[1].split()[:4] for line in lines[:4]] == [
        ["promote", "none", "->", "1"],
        ["promote", "1", "->", "2"],
        ["promote", "2", "->", "3"],
        ["rollback", "3", "->", "2"],
    ]
    assert lines[3].endswith("a regret")
    assert lines[4] == f"champion of retail-clusters: version 2 ({mlflow.get_tracking_uri()})"
