import os
import signal
import threading

import pytest

from retail_clusters.infra.signals import stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_asks_a_job_to_stop_and_is_told_once(number):
    told: list[str] = []
    with stop_on_signals(lambda: told.append("stopping")) as stopping:
        assert not stopping.is_set()
        os.kill(os.getpid(), number)
        assert stopping.wait(5)
    assert told == ["stopping"]


def test_second_signal_acts_as_it_does_elsewhere():
    with stop_on_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_handlers_are_as_before_when_the_job_has_ended():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stop_on_signals():
        os.kill(os.getpid(), signal.SIGINT)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_thread_that_takes_no_signals_may_ask_all_the_same():
    seen: list[bool] = []

    def job() -> None:
        with stop_on_signals() as stopping:
            seen.append(stopping.is_set())

    thread = threading.Thread(target=job)
    thread.start()
    thread.join(5)
    assert seen == [False]
