"""The model that scores now: it follows an alias, and goes on until the next one has been tried."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from retail_clusters.errors import RegistryError

Model = TypeVar("Model")

#: Seconds between two looks at the alias.
INTERVAL: Final = 1.0
_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 30.0


@dataclass
class Backoff:
    """Waits a second after a failure, then twice as long each time, up to half a minute."""

    clock: Callable[[], float] = time.monotonic
    wait: float = 0.0
    until: float = 0.0

    @property
    def over(self) -> bool:
        """Tell whether it is time to try again."""
        return self.remaining <= 0

    @property
    def remaining(self) -> float:
        """Return the seconds until it is time to try again."""
        return max(0.0, self.until - self.clock())

    def failed(self) -> None:
        """Wait longer than last time."""
        self.wait = min(_LONGEST_WAIT, self.wait * 2 or _FIRST_WAIT)
        self.until = self.clock() + self.wait

    def succeeded(self) -> None:
        """Forget the failures."""
        self.wait = self.until = 0.0


@dataclass
class Follower(Generic[Model]):
    """A model that follows an alias.

    `look_up` returns the version that the alias names, None when it names none; `load` returns a model that
    has been tried; both raise RegistryError. `look` does both and may take seconds: it is for a thread beside
    the one that scores, which only takes what is ready.
    """

    alias: str
    look_up: Callable[[str], str | None]
    load: Callable[[str], Model]
    warn: Callable[[str], None]
    note: Callable[[str], None]
    version: str | None = None
    model: Model | None = None
    asking: Backoff = field(default_factory=Backoff)
    loading: Backoff = field(default_factory=Backoff)
    _ready: tuple[str, Model] | None = None
    _refused: str | None = None
    _away: bool = False
    _named: bool = True

    @property
    def current(self) -> Model:
        """Return the model.

        Raises:
            RegistryError: there is none yet.
        """
        if self.model is None:
            raise RegistryError(f"a model must be loaded first, but there is none for {self.alias!r}")
        return self.model

    def require(self) -> None:
        """Load the version that the alias names.

        Raises:
            RegistryError: the registry does not answer, the alias names no version, or it does not work.
        """
        named = self.look_up(self.alias)
        if named is None:
            raise RegistryError(
                f"alias must name a version to score with, but {self.alias!r} names none: "
                "promote one first (entry point promote), or name another alias"
            )
        self.version, self.model = named, self.load(named)

    def take(self) -> bool:
        """Go over to a version that is ready; tell whether there was one."""
        ready, self._ready = self._ready, None
        if ready is None or ready[0] == self.version:
            return False
        self.version, self.model = ready
        return True

    def look(self) -> None:
        """Load the version that the alias names, if it is another.

        One that does not work is tried again, later each time; another version is tried at once.
        """
        named = self._ask()
        if named is None or named == (self._ready[0] if self._ready else self.version):
            return
        if named == self.version:
            self._ready = None
            return
        if named != self._refused:
            self.loading.succeeded()
        if self.loading.over:
            self._prepare(named)

    def _ask(self) -> str | None:
        if not self.asking.over:
            return None
        try:
            named = self.look_up(self.alias)
        except RegistryError as problem:
            self.asking.failed()
            if not self._away:
                self.warn(f"{problem}; {self._goes_on}")
            self._away = True
            return None
        self.asking.succeeded()
        self._tell_of_return(named)
        return named

    def _tell_of_return(self, named: str | None) -> None:
        if self._away:
            self.note("the registry answers again")
        self._away = False
        if named is None and self._named and self.version:
            self.warn(f"alias {self.alias!r} names no version any more; {self._goes_on}")
        elif named and not self._named:
            self.note(f"alias {self.alias!r} names version {named} again")
        elif named == self.version and self._refused:
            self.note(f"alias {self.alias!r} is back at version {named}")
            self._refused = None
        self._named = named is not None

    def _prepare(self, named: str) -> None:
        try:
            model = self.load(named)
        except RegistryError as problem:
            if named != self._refused:
                self.warn(f"{problem}; {self._goes_on}")
            self._refused = named
            self.loading.failed()
            return
        self._ready, self._refused = (named, model), None
        self.loading.succeeded()
        self.note(f"version {named} is ready for the next batch")

    @property
    def _goes_on(self) -> str:
        return f"version {self.version} goes on" if self.version else f"no {self.alias} for now"


class AliasPoller:
    """A thread that lets followers look at their aliases again and again."""

    def __init__(self, *followers: Follower[Model], every: float = INTERVAL) -> None:
        """Start the thread."""
        self._followers = followers
        self._every = every
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aliases", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """End the thread."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(self._every):
            for follower in self._followers:
                follower.look()
