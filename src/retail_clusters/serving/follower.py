"""The model that scores now: follows an alias, and stays with the old one when the new one does not work."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from retail_clusters.errors import RegistryError

Model = TypeVar("Model")

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
        return self.clock() >= self.until

    def failed(self) -> None:
        """Wait longer than last time."""
        self.wait = min(_LONGEST_WAIT, self.wait * 2 or _FIRST_WAIT)
        self.until = self.clock() + self.wait

    def succeeded(self) -> None:
        """Forget the failures."""
        self.wait = self.until = 0.0


@dataclass
class HotModel(Generic[Model]):
    """A model that follows an alias.

    `look_up` gives the version that the alias names, None when it names none; `load` gives a model that
    is checked; both raise RegistryError.
    """

    alias: str
    look_up: Callable[[str], str | None]
    load: Callable[[str], Model]
    warn: Callable[[str], None]
    version: str | None = None
    model: Model | None = None
    refused: str | None = None
    asking: Backoff = field(default_factory=Backoff)
    loading: Backoff = field(default_factory=Backoff)

    @property
    def current(self) -> Model:
        """Return the model.

        Raises:
            RegistryError: there is none yet.
        """
        if self.model is None:
            raise RegistryError(f"a model must be loaded first, but there is none for {self.alias!r}")
        return self.model

    def refresh(self) -> bool:
        """Take the version that the alias names, if it is another and works; tell whether it was taken.

        When it does not work it is tried again, later each time; another version is tried at once.
        """
        named = self._ask()
        if named is None or named == self.version:
            return False
        if named != self.refused:
            self.loading.succeeded()
        return self.loading.over and self._take(named)

    def required(self) -> None:
        """Take the version that the alias names.

        Raises:
            RegistryError: the registry does not answer, the alias names no version, or it does not work.
        """
        named = self.look_up(self.alias)
        if named is None:
            raise RegistryError(
                f"alias must name a version to score with, but {self.alias!r} names none: "
                "promote one first (entry point promote), or name another alias"
            )
        self.model = self.load(named)
        self.version = named

    def _ask(self) -> str | None:
        if not self.asking.over:
            return None
        try:
            named = self.look_up(self.alias)
        except RegistryError as problem:
            self.asking.failed()
            self.warn(f"{problem}; {self._goes_on}")
            return None
        self.asking.succeeded()
        return named

    def _take(self, named: str) -> bool:
        try:
            model = self.load(named)
        except RegistryError as problem:
            self.refused = named
            self.loading.failed()
            self.warn(f"{problem}; {self._goes_on}")
            return False
        self.model, self.version, self.refused = model, named, None
        self.loading.succeeded()
        return True

    @property
    def _goes_on(self) -> str:
        return f"version {self.version} goes on" if self.version else f"no {self.alias} for now"
