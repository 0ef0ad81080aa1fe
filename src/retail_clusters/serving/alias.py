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
_LONGEST_WAIT: Final = 30.0
_AWAY, _UNNAMED = "away", "unnamed"


@dataclass
class Backoff:
    """Waits a second after a failure, then twice as long each time, up to half a minute."""

    clock: Callable[[], float] = time.monotonic
    wait: float = 0.0
    until: float = 0.0

    @property
    def over(self) -> bool:
        """Tell whether it is time to try again."""
        return self.clock() >= self.until

    def failed(self) -> None:
        """Wait longer than last time."""
        self.wait = min(_LONGEST_WAIT, self.wait * 2 or 1.0)
        self.until = self.clock() + self.wait

    def succeeded(self) -> None:
        """Forget the failures."""
        self.wait = self.until = 0.0


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
    backoff: Backoff = field(default_factory=Backoff)
    _ready: tuple[str, Model] | None = None
    #: What keeps it from following the alias, if anything does: "away", "unnamed", or a version that fails.
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
        """Load the version that the alias names, if it is another.

        One that does not work is tried again, later each time; another version is tried at once.
        """
        if self._trouble == _AWAY and not self.backoff.over:
            return
        try:
            named = self.look_up(self.alias)
        except RegistryError as problem:
            self._fail(_AWAY, problem)
            return
        if named is None:
            self._fail(_UNNAMED, f"alias {self.alias!r} names no version any more")
        elif named == self.version:
            self._ready = None
            self._succeed()
        elif self._ready and named == self._ready[0]:
            self._succeed()
        elif named != self._trouble or self.backoff.over:
            self._prepare(named)

    def _prepare(self, named: str) -> None:
        try:
            self._ready = (named, self.load(named))
        except RegistryError as problem:
            self._fail(named, problem)
            return
        self._succeed()
        self.note(f"version {named} is ready for the next batch")

    def _fail(self, trouble: str, text: object) -> None:
        """Say once what keeps it from following the alias."""
        if trouble != self._trouble:
            self.backoff.succeeded()
            if self.version or trouble != _UNNAMED:
                goes_on = f"version {self.version} goes on" if self.version else f"no {self.alias} for now"
                self.warn(f"{text}; {goes_on}")
        self._trouble = trouble
        self.backoff.failed()

    def _succeed(self) -> None:
        """Say once that nothing keeps it from that any more."""
        self.backoff.succeeded()
        if self._trouble and self.version:
            self.note(f"alias {self.alias!r} is followed again")
        self._trouble = None


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
