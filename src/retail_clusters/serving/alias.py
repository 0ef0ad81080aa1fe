"""The model that scores now: it follows an alias, and goes on until the next one has been tried."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from retail_clusters.errors import RegistryError

Model = TypeVar("Model")

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
    """A model that follows an alias: `poll` between two batches.

    `look_up` returns the version that the alias names, None when it names none; `load` returns a model that
    has been tried; both raise RegistryError.
    """

    alias: str
    look_up: Callable[[str], str | None]
    load: Callable[[str], Model]
    warn: Callable[[str], None]
    note: Callable[[str], None]
    version: str | None = None
    model: Model | None = None
    pause: Pause = field(default_factory=Pause)
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

    def poll(self) -> None:
        """Go over to the version that the alias names, if it is another; say once what keeps it from that."""
        if not self.pause.over:
            return
        trouble = "registry"
        try:
            named = self.look_up(self.alias)
            trouble = named or "alias"
            if named is None and self.version:
                raise RegistryError(f"alias {self.alias!r} names no version any more")
            if named and named != self.version:
                self.model, self.version = self.load(named), named
                self.note(f"version {named} scores from the next batch on")
            self._trouble = None
        except RegistryError as problem:
            self.pause.begin()
            if trouble != self._trouble:
                goes_on = f"version {self.version} goes on" if self.version else f"no {self.alias} for now"
                self.warn(f"{problem}; {goes_on}")
            self._trouble = trouble
