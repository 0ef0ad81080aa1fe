"""Ctrl-C and SIGTERM, asked of a job instead of done to it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_on_signals(asked: Callable[[], None] = lambda: None) -> Iterator[threading.Event]:
    """Turn SIGTERM and Ctrl-C into an event, and call `asked` once; a second one acts as it does elsewhere.

    Outside of the main thread, where Python takes no signals, the event stays unset.
    """
    stopping = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()
        for each, handler in before.items():
            signal.signal(each, handler)
        asked()

    for number in before:
        signal.signal(number, stop)
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
