"""What is known of every file that was ever scored: some sixty bytes each, for there may be many."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_FACTS: Final = np.dtype([("check", "u8"), ("length", "i8"), ("modified_ms", "i8"), ("batch_id", "i4")])
#: Of so many files one may be kept as Python objects, ten times as large.
_LATEST: Final = 16

_Facts = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file when a batch began: its URI, length in bytes, and modification time in milliseconds."""

    location: str
    length: int
    modified_ms: int


class KnownFiles:
    """Size and time of each file as it was scored last, and in which batch, by a digest of its location.

    One thread learns; others may look files up meanwhile.
    """

    def __init__(self) -> None:
        """Know none."""
        self._latest: dict[int, _Facts] = {}
        self._kept: tuple[NDArray[np.uint64], NDArray[np.void]] = np.empty(0, "u8"), np.empty(0, _FACTS)

    def learn(self, files: Iterable[InputFile], batch_id: int) -> None:
        """Keep what files were like when a batch scored them."""
        for file in files:
            key, check = _digest(file.location)
            self._latest[key] = (check, file.length, file.modified_ms, batch_id)
        if len(self._latest) > max(_LATEST, len(self._kept[0]) // _LATEST):
            self._merge()

    def find(self, location: str) -> tuple[InputFile, int] | None:
        """Return what a file was like when it was scored last, and by which batch; None when it never was."""
        key, check = _digest(location)
        latest, (keys, kept) = self._latest, self._kept
        facts = latest.get(key)
        if facts is None:
            at = int(np.searchsorted(keys, np.uint64(key)))
            if at == len(keys) or int(keys[at]) != key:
                return None
            facts = kept[at].item()
        found, length, modified_ms, batch_id = facts
        return (InputFile(location, length, modified_ms), batch_id) if found == check else None

    def _merge(self) -> None:
        """Put the latest files among the others; who looks meanwhile finds each in one of the two."""
        keys, kept = self._kept
        new = np.fromiter(self._latest, "u8", len(self._latest))
        known = ~np.isin(keys, new)
        all_keys = np.concatenate([keys[known], new])
        all_kept = np.concatenate([kept[known], np.array(list(self._latest.values()), _FACTS)])
        order = np.argsort(all_keys)
        self._kept = all_keys[order], all_kept[order]
        self._latest = {}


def _digest(location: str) -> tuple[int, int]:
    """Return two numbers that no other location has."""
    digest = hashlib.blake2b(location.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big")
