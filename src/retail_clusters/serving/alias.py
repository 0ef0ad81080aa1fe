"""The model that scores now: it follows an alias, and goes on until the next one has been tried."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from retail_clusters.errors import RegistryError

Model = TypeVar("Model")

#: Seconds between two polls.
INTERVAL: Final = 1.0
#: Seconds before what failed is tried again.
_PAUSE: Final = 10.0


@dataclass
class Pause:
    """Some seconds after a failure, in which nobody is asked."""

    clock: Callable[[], float] = time.monotonic
    until: float = 0.0

    @property
    def over(self) -> bool:
        """Tell whether it is time to try again."""
        return self.clock() >= self.until

    def begin(self) -> None:
        """Let it be so many seconds."""
        self.until = self.clock() + _PAUSE


@dataclass
class Follower(Generic[Model]):
    """A model that follows an alias.

    `look_up` returns the version that the alias names, None when it names none; `load` returns a model that
    has been tried; both raise RegistryError. `poll` does both and may take seconds: it is for a thread beside
    the one that scores, which only takes what is ready.
    """

    alias: str
    look_up: Callable[[str], str | None]
    load: Callable[[str], Model]
    warn: Callable[[str], None]
    note: Callable[[str], None]
    version: str | None = None
    model: Model | None = None
    pause: Pause = field(default_factory=Pause)
    _ready: tuple[str, Model] | None = None
    #: What keeps it from following the alias, if anything does: the registry, the alias, or a version.
    _trouble: str | None = None

    def require(self) -> Model:
        """Return the model: at first, that of the version that the alias names.

        Raises:
            RegistryError: the registry does not answer, the alias names no version, or it does not work.
        """
        if self.model is None:
            named = self.look_up(self.alias)
            if named is None:
                raise RegistryError(
                    f"alias must name a version to score with, but {self.alias!r} names none: "
                    "promote one first (entry point promote), or name another alias"
                )
            self.version, self.model = named, self.load(named)
        return self.model

    def take(self) -> bool:
        """Go over to a version that is ready; tell whether there was one."""
        ready, self._ready = self._ready, None
        if ready is None or ready[0] == self.version:
            return False
        self.version, self.model = ready
        return True

    def poll(self) -> None:
        """Load the version that the alias names, if it is another; say once what keeps it from that, and its end."""
        if not self.pause.over:
            return
        trouble = "registry"
        try:
            named = self.look_up(self.alias)
            trouble = named or "alias"
            if named is None and self.version:
                raise RegistryError(f"alias {self.alias!r} names no version any more")
            self._prepare(named)
        except RegistryError as problem:
            self.pause.begin()
            if trouble != self._trouble:
                goes_on = f"version {self.version} goes on" if self.version else f"no {self.alias} for now"
                self.warn(f"{problem}; {goes_on}")
            self._trouble = trouble
            return
        if self._trouble and self.version:
            self.note(f"alias {self.alias!r} is followed again")
        self._trouble = None

    def _prepare(self, named: str | None) -> None:
        if named in {None, self.version}:
            self._ready = None
        elif named and (self._ready is None or named != self._ready[0]):
            self._ready = (named, self.load(named))
            self.note(f"version {named} is ready for the next batch")


@contextmanager
def polled(*calls: Callable[[], None], every: float = INTERVAL) -> Iterator[None]:
    """Call functions again and again, in a thread of their own, while the block runs: the alias poller."""
    ending = threading.Event()

    def run() -> None:
        while not ending.wait(every):
            for call in calls:
                call()

    thread = threading.Thread(target=run, name="alias poller", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
