from collections.abc import Iterator
from pathlib import Path

import pytest

from retail_clusters.serving.output import Output
from retail_clusters.serving.records import CommitLog
from retail_clusters.serving.sender import Sender
from retail_clusters.serving.state import ScorerState, open_state
from tests import scorers
from tests.serving.test_records import record


class Store:
    """A tracking store that is away when told to be."""

    def __init__(self) -> None:
        self.away = False
        self.steps: list[int] = []
        self.told: list[str] = []

    def send(self, _: str, points: list[tuple[str, float, int, int]]) -> str | None:
        if self.away:
            return "it is away"
        self.steps += [step for _, _, _, step in points]
        return None


@pytest.fixture
def state(tmp_path: Path) -> Iterator[ScorerState]:
    with open_state(str(tmp_path / "checkpoint"), output=str(tmp_path / "output"), source="in") as opened:
        opened.remember_run("run", "store")
        yield opened


@pytest.fixture
def book(tmp_path: Path) -> CommitLog:
    (tmp_path / "output" / "commits").mkdir(parents=True)
    return CommitLog.load(Output(str(tmp_path / "output")))


def start(state: ScorerState, book: CommitLog, store: Store) -> Sender:
    told = store.told.append
    return Sender(state, book.output, warn=told, note=told, send=store.send)


def test_points_are_sent_once_in_order_and_what_is_sent_is_remembered(
    state: ScorerState, book: CommitLog
) -> None:
    store = Store()
    sender = start(state, book, store)
    for number in range(120):
        book.append(record(number, stream_batch=number))
        sender.reach(number)
    sender.finish()
    assert store.steps == list(range(120))
    assert state.sent_until == 119
    again = start(state, book, store)
    again.reach(119)
    again.finish()
    assert store.steps == list(range(120))


def test_an_outage_is_told_when_it_starts_and_when_it_ends_and_costs_no_point(
    state: ScorerState, book: CommitLog
) -> None:
    store = Store()
    store.away = True
    sender = start(state, book, store)
    for number in range(3):
        book.append(record(number, stream_batch=number))
        sender.reach(number)
    scorers.wait_until(lambda: store.told)
    store.away = False
    sender.finish()
    assert store.steps == [0, 1, 2]
    assert store.told == [
        "points wait for the tracking store: it is away",
        "the tracking store takes points again, up to batch 2",
    ]


def test_what_a_dead_store_does_not_take_waits_for_the_next_process(
    state: ScorerState, book: CommitLog
) -> None:
    store = Store()
    store.away = True
    sender = start(state, book, store)
    book.append(record(0, stream_batch=0))
    sender.reach(0)
    sender.finish()
    assert not sender.has_sent_all
    store.away = False
    again = start(state, book, store)
    again.reach(0)
    again.finish()
    assert store.steps == [0]
