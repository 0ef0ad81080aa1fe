"""The ledger on a real store, and two processes that believe that they are two machines."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from retail_clusters.errors import PromotionRefusedError
from retail_clusters.infra.locks import LockOwner
from retail_clusters.promotion import champion, ledger, moves
from retail_clusters.promotion.champion import Intent, move_champion
from retail_clusters.promotion.ledger import Ledger, lock_file
from retail_clusters.promotion.moves import DONE, UNDER_WAY, WITHDRAWN, Move, champions
from tests import shop
from tests.shop import book, registry


def print_header(before: str | None, after: str, *, number: int = 1) -> Move:
    return book.print_header(
        number=number, action="promote", before=before, after=after, reason="why", facts={}, texts={}
    )


def intent(before: str | None, after: str) -> Intent:
    return Intent("promote", before, after, "", facts={}, texts={})


def test_announced_move_is_a_run_of_its_own_that_ends_when_it_is_closed(workplace: Path):
    move = book.print_header(
        number=1,
        action="promote",
        before=None,
        after="1",
        reason="why",
        facts={"challenger": "1", "cluster_numbers": "2,0"},
        texts={"gates.csv": "gate\n"},
    )

    assert (move.number, move.before, move.after, move.challenger) == (1, None, "1", "1")
    assert (move.state, move.alive, move.numbers) == (UNDER_WAY, True, (2, 0))
    run = MlflowClient().get_run(move.run_id)
    assert MlflowClient().get_experiment(run.info.experiment_id).name == "retail-clusters-promotions"
    assert mlflow.artifacts.load_text(f"runs:/{move.run_id}/gates.csv") == "gate\n"
    assert book.under_way() == [move]

    book.close(move, state=DONE, note="all well")

    assert book.moves() == [replace(move, state=DONE, note="all well")]
    assert book.under_way() == []


def test_each_registered_model_has_a_ledger_of_its_own(workplace: Path):
    print_header(None, "1")

    assert Ledger("another").moves() == []


def test_reading_a_ledger_makes_no_experiment(workplace: Path):
    before = shop.contents(workplace / "mlflow.db")

    assert book.moves() == []

    assert shop.contents(workplace / "mlflow.db") == before


def test_announcing_leaves_the_open_run_and_the_experiment_alone(workplace: Path):
    with mlflow.start_run() as opened:
        print_header(None, "1")
        active = mlflow.active_run()
        assert active
        assert active.info.run_id == opened.info.run_id
    assert MlflowClient().get_run(opened.info.run_id).info.experiment_id == "0"


def test_run_that_is_no_move_is_passed_over(workplace: Path):
    move = print_header(None, "1")
    MlflowClient().create_run(MlflowClient().get_run(move.run_id).info.experiment_id)

    assert [each.run_id for each in book.moves()] == [move.run_id]


def done(before: str | None, after: str, action: str = "promote") -> Move:
    now = datetime.now(UTC)
    return Move("", 1, action, before, after, None, (), "ann", "here", None, now, "", DONE, "")


@pytest.mark.parametrize(
    ("entries", "reachable"),
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
def test_reachable_champions_are_a_stack(entries: list[tuple[str, ...]], reachable: list[str]):
    ledger = [done(*entry) for entry in entries]

    assert champions(ledger) == reachable
    assert champions([*ledger, replace(done(None, "9"), state=WITHDRAWN)]) == reachable


def test_store_has_one_lock_however_its_address_is_written(tmp_path: Path):
    same = ["http://host:5000", "http://host:5000/", "HTTP://Host:5000", "http://ann:s3cret@host:5000"]
    assert len({lock_file(uri, "retail") for uri in same}) == 1
    others = ["http://host:5001", "https://host:5000", "http://other:5000", "http://host:5000/path"]
    assert len({lock_file(uri, "retail") for uri in [same[0], *others]}) == 5
    assert lock_file(same[0], "retail") != lock_file(same[0], "other")
    (tmp_path / "link.db").symlink_to(tmp_path / "mlflow.db")
    names = ("link.db", "mlflow.db", "mlflow%2Edb")
    assert len({lock_file(f"sqlite:///{tmp_path / name}", "retail") for name in names}) == 1


def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process believe for one announcement that it runs on another machine of the same name."""
    foreign = replace(LockOwner.here(), process="another boot 1 7@9", pid=7)
    monkeypatch.setattr(LockOwner, "here", lambda: foreign)


def test_move_under_way_on_another_machine_of_the_same_name_is_left_alone_until_it_must_be_dead(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    shop.versions(3)
    registry.set_alias(alias="champion", version="1")
    monkeypatch.setattr(champion, "FIRST_WAIT", 0)
    with monkeypatch.context() as there:
        elsewhere(there)
        print_header("1", "2")

    with pytest.raises(PromotionRefusedError, match="has been moving it to version 2"):
        move_champion(registry, intent("1", "3"))
    monkeypatch.setattr(moves, "LEASE", timedelta(0))
    move_champion(registry, intent("1", "3"))

    assert [move.state for move in book.moves()] == [WITHDRAWN, DONE]
    assert registry.version_named(alias="champion") == "3"


def test_move_withdraws_while_it_sees_any_other_and_goes_on_when_that_has_ended(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    shop.versions(3)
    registry.set_alias(alias="champion", version="1")
    monkeypatch.setattr(champion, "FIRST_WAIT", 0)
    announced, rivals = Ledger.announce, []

    def a_moment_before_another(mine: Ledger, **arguments: object) -> Move:
        move = announced(mine, **arguments)  # type: ignore[arg-type]
        if not rivals:
            with monkeypatch.context() as there:
                elsewhere(there)
                rivals.append(announced(mine, **arguments | {"number": 9, "after": "2"}))  # type: ignore[arg-type]
        return move

    waits = iter([lambda: None, lambda: book.close(rivals[0], state=WITHDRAWN, note="")])
    monkeypatch.setattr(Ledger, "announce", a_moment_before_another)
    only_here = SimpleNamespace(sleep=lambda _: next(waits)())  # other threads of this process sleep, too
    monkeypatch.setattr(champion, "time", only_here)

    move_champion(registry, intent("1", "3"))

    assert registry.version_named(alias="champion") == "3"
    assert [(move.after, move.state) for move in book.moves()] == [
        ("3", WITHDRAWN),
        ("3", DONE),
        ("2", WITHDRAWN),
    ]
    assert "has been moving it to version 2" in book.moves()[0].note


#: Each has a lock of its own, as on two machines.
MACHINE = """
import sys
from retail_clusters.errors import PromotionRefusedError
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.promotion import champion, ledger
ledger.lock_file = lambda store, model: f"{sys.argv[1]}.lock"
print("ready", flush=True)
sys.stdin.readline()
intent = champion.Intent("promote", "1", sys.argv[1], "race", {}, {})
try:
    with ledger.Ledger("retail-clusters").exclusive():
        champion.move_champion(ModelRegistry("retail-clusters"), intent)
except PromotionRefusedError as refused:
    sys.exit(refused.exit_code)
"""


def test_of_two_machines_that_move_at_once_exactly_one_does(workplace: Path):
    shop.versions(3)
    registry.set_alias(alias="champion", version="1")
    machines = [
        subprocess.Popen(
            [sys.executable, "-c", MACHINE, after], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for after in ("2", "3")
    ]
    for machine in machines:
        assert machine.stdout
        assert machine.stdout.readline() == "ready\n"
    for machine in machines:
        assert machine.stdin
        machine.stdin.write("go\n")
        machine.stdin.flush()
    for machine in machines:
        machine.communicate()

    assert sorted(machine.returncode for machine in machines) == [0, 3]
    (winner,) = [move for move in book.moves() if move.state == DONE]
    assert shop.aliases()["champion"] == winner.after
    assert {move.state for move in book.moves()} <= {DONE, WITHDRAWN}


def test_second_user_of_the_machine_can_take_the_lock(workplace: Path):
    with book.exclusive():
        file = Path(lock_file(mlflow.get_registry_uri(), registry.name))
        assert file.stat().st_mode & 0o666 == 0o666


def test_ledger_longer_than_a_page_is_read_whole(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ledger, "_PAGE", 2)
    for number in range(1, 6):
        book.close(print_header(None, str(number), number=number), state=DONE, note="")

    assert [move.number for move in book.moves()] == [1, 2, 3, 4, 5]


def test_move_reads_the_whole_ledger_once_and_lists_no_versions(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    """Defect 44: five scans of the ledger a move, and a search over all versions."""
    shop.versions(3)
    move_champion(registry, intent(None, "1"))
    asked: list[str] = []
    search = Ledger._search

    def noted(book: Ledger, condition: str) -> list[Move]:
        asked.append(condition)
        return search(book, condition)

    monkeypatch.setattr(Ledger, "_search", noted)
    monkeypatch.setattr(MlflowClient, "search_model_versions", lambda *_, **__: pytest.fail("listed"))
    move_champion(registry, intent("1", "2"))

    assert asked == ["", "attributes.status = 'RUNNING'"]
