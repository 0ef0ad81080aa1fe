"""Kill -9 at random moments of a process's work, and what it was doing when each kill hit."""

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

#: The longest time between a change on the disk and the kill, in seconds: much happens between two changes.
_LATER = 0.15
ENDED = "after the end"


class Killer:
    """Kills processes after a random number of changes on the disk, of those that an undisturbed one makes.

    How many these are shows as it goes: while all are killed, later moments come within reach; one that ended
    by itself shows how many there are. `at_most` bounds what a process may do of a longer work.
    """

    def __init__(self, seed: int, *, at_most: int = 1_000) -> None:
        self._chance = random.Random(seed)
        self._changes, self._at_most = 3, at_most
        self.hits: Counter[str] = Counter()

    def kill(
        self,
        process: "subprocess.Popen[str]",
        state: Callable[[], Hashable],
        doing: Callable[[], str],
        *,
        within: float = 600,
        may_fail: bool = False,
    ) -> str:
        """Kill a process; say what it was `doing`."""
        goal = self._chance.randint(1, self._changes)
        later = self._chance.choice((0.0, self._chance.uniform(0, _LATER)))
        seen, deadline = {state()}, time.monotonic() + within
        while len(seen) <= goal and not _has_ended(process, within=0.0005):
            assert time.monotonic() < deadline, f"waited {within} seconds for {goal} changes in vain"
            seen.add(state())
        if not _has_ended(process, within=later):
            os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        ended = process.returncode != -signal.SIGKILL
        assert not ended or may_fail or process.returncode == 0, output
        more = (len(seen) - 1) * 3 // 4 if ended else self._changes * 3 // 2
        self._changes = min(max(2, more), self._at_most)
        hit = ENDED if ended else doing()
        self.hits[hit] += 1
        print(f"\nkill {self.hits.total()}, after {len(seen) - 1} changes: {hit}", flush=True)
        return hit


def _has_ended(process: "subprocess.Popen[str]", *, within: float) -> bool:
    try:
        process.wait(timeout=within)
    except subprocess.TimeoutExpired:
        return False
    return True


def scoring_state(place: Path) -> Hashable:
    """Say how far a scorer is: batches planned, files it is writing, batches done, files archived."""
    return (
        _names(place / "checkpoint" / "stream" / "offsets"),
        _written(place / "output"),
        _published(place / "output"),
        _names(place / "output" / "commits"),
        len(_names(place / "in" / "_archive")),
    )


def scoring(place: Path) -> Callable[[], str]:
    """Return what says what a scorer was doing when it was killed, by what it has left since now."""
    before, records = _left_by_scorer(place), len(_records(place / "output"))
    archived = len(_names(place / "in" / "_archive"))

    def doing() -> str:
        now = _left_by_scorer(place)
        for moment in now:
            if now[moment] - before[moment]:
                return moment
        if len(_records(place / "output")) > records:
            return "between two batches"
        more = len(_names(place / "in" / "_archive")) > archived
        return "while it archived what an earlier one left" if more else "before its first batch"

    return doing


def _left_by_scorer(place: Path) -> dict[str, set[Any]]:
    output, stream = place / "output", place / "checkpoint" / "stream"
    records = _records(output)
    named = {name for each in records for names in each["written"].values() for name in names}
    under_way = _numbers(stream / "offsets") - _numbers(stream / "commits")
    return {
        "while it wrote a batch": set(_written(output)),
        "between a batch's lines and its record": set(_published(output)) - named,
        "between a record and its last file archived": {
            each["batch_id"]
            for each in records
            if (place / "in" / "_archive").exists() and any(file.exists() for file in _files(each))
        },
        "between a plan and the batch's first file, or a record and Spark's commit": under_way,
    }


def rescoring(place: Path, *, batch_id: int) -> str:
    """Say what a killed scorer was doing that had one file to score anew, as a batch of that number."""
    output = place / "output"
    if (output / "commits" / f"{batch_id}.json").exists():
        return "after the record"
    if _written(output):
        return "while it wrote"
    lines = output / "scored" / f"batch_id={batch_id}"
    return "between the lines and the record" if lines.exists() else "before it wrote"


def _written(output: Path) -> tuple[str, ...]:
    """Name the files that attempts have written and not published."""
    return tuple(sorted(file.name for file in _found(output, ".attempts/*/*/*.parquet")))


def _published(output: Path) -> tuple[str, ...]:
    """Name the files in the batches' folders."""
    return tuple(sorted(file.name for file in _found(output, "[sq]*/batch_id=*/*.parquet")))


def _found(folder: Path, pattern: str) -> list[Path]:
    try:
        return list(folder.glob(pattern))
    except FileNotFoundError:  # a folder that went while it was looked at
        return []


def _records(output: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in (output / "commits").glob("[0-9]*.json")]


def _files(record: dict[str, Any]) -> list[Path]:
    return [Path(file["location"].removeprefix("file://")) for file in record["files"]]


def _names(folder: Path) -> tuple[str, ...]:
    try:
        return tuple(sorted(entry.name for entry in os.scandir(folder)))
    except (FileNotFoundError, NotADirectoryError):
        return ()


def _numbers(folder: Path) -> set[int]:
    return {int(name) for name in _names(folder) if name.isdecimal()}
