import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from retail_clusters.errors import PromotionRefusedError, RegistryError
from retail_clusters.promotion import ledger
from retail_clusters.promotion.champion import move_champion
from retail_clusters.promotion.ledger import Ledger, Move
from tests import shop
from tests.shop import book, registry


def announce(before: str | None, after: str, *, action: str = "promote") -> Move:
    return announce_with(book.announce, before, after, action=action)


def announce_with(
    how: Callable[..., Move], before: str | None, after: str, *, action: str = "promote"
) -> Move:
    return how(action=action, before=before, after=after, reason="why", facts={}, texts={})


def done(before: str | None, after: str, *, action: str = "promote") -> Move:
    move = announce(before, after, action=action)
    book.close(run_id=move.run_id, state=ledger.DONE, note="")
    return replace(move, state=ledger.DONE)


def test_announced_move_is_a_run_of_its_own_that_ends_when_it_is_closed(workplace: Path):
    move = book.announce(
        action="promote",
        before=None,
        after="1",
        reason="why",
        facts={"challenger": "1", "model_digest": "abc"},
        texts={"gates.csv": "gate\n"},
    )

    assert (move.number, move.before, move.after, move.challenger) == (1, None, "1", "1")
    assert (move.state, move.here, move.fresh) == (ledger.UNDER_WAY, True, True)
    run = MlflowClient().get_run(move.run_id)
    assert MlflowClient().get_experiment(run.info.experiment_id).name == "retail-clusters-promotions"
    assert run.data.tags["model_digest"] == "abc"
    assert mlflow.artifacts.load_text(f"runs:/{move.run_id}/gates.csv") == "gate\n"

    book.close(run_id=move.run_id, state=ledger.DONE, note="all well")

    assert book.moves() == [replace(move, state=ledger.DONE, note="all well")]


def test_announcing_leaves_the_open_run_and_the_experiment_alone(workplace: Path):
    with mlflow.start_run() as opened:
        announce(None, "1")
        active = mlflow.active_run()
        assert active
        assert active.info.run_id == opened.info.run_id
    assert MlflowClient().get_run(opened.info.run_id).info.experiment_id == "0"


def test_run_that_is_no_move_is_passed_over(workplace: Path):
    move = announce(None, "1")
    experiment = MlflowClient().get_run(move.run_id).info.experiment_id
    MlflowClient().create_run(experiment)

    assert [each.run_id for each in book.moves()] == [move.run_id]


@pytest.mark.parametrize(
    ("moves", "reachable"),
    [
        ([], []),
        ([(None, "1"), ("1", "2")], ["1", "2"]),
        ([(None, "1"), ("1", "2"), ("2", "1", "rollback")], ["1"]),
        ([(None, "1"), ("1", "2"), ("2", "1", "rollback"), ("1", "3")], ["1", "3"]),
        ([("7", "8")], ["7", "8"]),
        ([(None, "1"), ("5", "6")], ["1", "5", "6"]),
        ([(None, "1"), ("5", "1", "rollback")], ["1"]),
    ],
)
def test_reachable_champions_are_a_stack(workplace: Path, moves: list[tuple[str, ...]], reachable: list[str]):
    entries = [done(before, after, action=(*rest, "promote")[0]) for before, after, *rest in moves]

    assert ledger.champions(entries) == reachable
    undone = replace(announce(None, "9"), state=ledger.WITHDRAWN)
    assert ledger.champions([*entries, undone]) == reachable


def test_right_to_move_goes_back_when_its_holder_is_killed(workplace: Path):
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys\nfrom retail_clusters.promotion.ledger import Ledger\n"
            "with Ledger('retail-clusters').exclusive():\n"
            "    print('held', flush=True); sys.stdin.readline()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert holder.stdout
    holder.stdout.readline()

    with pytest.MonkeyPatch.context() as hurry:
        hurry.setattr(ledger, "_PATIENCE", 0.0)
        with pytest.raises(RegistryError, match="another has been at it"), book.exclusive():
            pass
    holder.kill()
    holder.communicate()
    with book.exclusive():
        pass


def elsewhere(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: name)


def test_move_under_way_on_another_machine_is_left_alone_until_it_must_be_dead(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    shop.versions(3)
    registry.set_alias(alias="champion", version="1")
    elsewhere(monkeypatch, "there")
    announce("1", "2")
    elsewhere(monkeypatch, "here")

    with book.exclusive():
        with pytest.raises(PromotionRefusedError, match="on there has been moving it to version 2"):
            move_champion(registry, action="promote", before="1", after="3", reason="", facts={})
        monkeypatch.setattr(ledger, "LEASE", timedelta(0))
        move_champion(registry, action="promote", before="1", after="3", reason="", facts={})

    assert [move.state for move in book.moves()] == [ledger.WITHDRAWN, ledger.DONE]
    assert registry.version_named(alias="champion") == "3"


def test_later_of_two_moves_on_two_machines_withdraws(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    shop.versions(3)
    registry.set_alias(alias="champion", version="1")
    announced = Ledger.announce

    def a_moment_after_another(mine: Ledger, **arguments: Any) -> Move:
        elsewhere(monkeypatch, "there")
        announce_with(partial(announced, mine), "1", "2")
        elsewhere(monkeypatch, "here")
        return announced(mine, **arguments)

    monkeypatch.setattr(Ledger, "announce", a_moment_after_another)
    with book.exclusive(), pytest.raises(PromotionRefusedError, match="on there has been moving it"):
        move_champion(registry, action="promote", before="1", after="3", reason="", facts={})

    assert registry.version_named(alias="champion") == "1"
    assert [move.state for move in book.moves()] == [ledger.UNDER_WAY, ledger.WITHDRAWN]
    assert "on there" in book.moves()[-1].note
