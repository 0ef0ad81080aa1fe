"""The way back, and what `history` prints: on a real store, without a model."""

from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from retail_clusters.errors import NotRegisteredError, RegistryError
from retail_clusters.promotion.history import history, rollback
from retail_clusters.registry import tracking
from retail_clusters.registry.champion import DONE, Move, move_champion, read_moves
from tests import shop
from tests.shop import registry


def promote(before: str | None, after: str) -> Move:
    with tracking.run("promote"):
        return move_champion(registry, action="promote", before=before, after=after, reason="a test")


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

    entries = read_moves(registry.name)[-2:]
    assert [(entry.action, entry.before, entry.after) for entry in entries] == [
        ("rollback", "3", "2"),
        ("rollback", "2", "1"),
    ]
    assert [entry.reason for entry in entries] == ["once", "twice"]
    assert MlflowClient().get_run(entries[-1].run_id).data.tags["kind"] == "rollback"
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


def test_rollback_passes_over_a_deleted_version_when_it_sets_previous(three: Path):
    MlflowClient().delete_model_version(registry.name, "1")

    assert back().after == "2"
    assert shop.aliases() == {"champion": "2", "challenger": None, "previous": None}
    assert {move.state for move in read_moves(registry.name)} == {DONE}


def test_rollback_to_a_deleted_version_is_refused_before_anything_moves(three: Path):
    MlflowClient().delete_model_version(registry.name, "2")

    with pytest.raises(NotRegisteredError, match="version 2 was deleted: nothing was changed"):
        back()

    assert shop.aliases()["champion"] == "3"
    assert len(read_moves(registry.name)) == 3


def test_rollback_without_a_champion_says_what_to_do(workplace: Path):
    with pytest.raises(RegistryError, match="there is no champion: promote a version"):
        back()


def test_history_prints_every_move_in_order(three: Path, capsys: pytest.CaptureFixture[str]):
    back()
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


def test_history_closes_what_a_failed_command_left(three: Path, capsys: pytest.CaptureFixture[str]):
    client = MlflowClient()
    client.delete_tag(read_moves(registry.name)[-1].run_id, "outcome")

    assert [move.state for move in history(model=registry.name)] == [DONE] * 3

    assert "the command died after the alias had moved" in capsys.readouterr().out
