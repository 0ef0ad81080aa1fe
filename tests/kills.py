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

from retail_clusters.serving.output import Output
from retail_clusters.serving.records import read_compacted

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
        assert not ended or process.returncode == 0, output
        more = len(seen) - 1 if ended else self._changes * 3 // 2
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
        _drafts(place / "output" / "scored"),
        _names(place / "output" / "scored"),
        _names(place / "output" / "commits"),
        len(_names(place / "in" / "_archive")),
    )


def scoring(place: Path, *, archives: bool = False) -> str:
    """Say what a killed scorer was doing, by what it has left."""
    output, stream = place / "output", place / "checkpoint" / "stream"
    records = _records(output)
    if _drafts(output / "scored"):
        return "while it wrote a batch"
    if set(_batches(output)) - {record["batch_id"] for record in records}:
        return "between a batch's lines and its record"
    if archives and any(file.exists() for record in records for file in _files(record)):
        return "between a record and its last file archived"
    under_way = _numbers(stream / "offsets") - _numbers(stream / "commits")
    if under_way & {record["stream_batch"] for record in records}:
        return "between a record and Spark's commit"
    return "between a plan and the batch's first file" if under_way else "between two batches"


def rescoring(place: Path, *, batch_id: int) -> str:
    """Say what a killed scorer was doing that had one file to score anew, as a batch of that number."""
    output = place / "output"
    if (output / "commits" / f"{batch_id}.json").exists():
        return "after the record"
    if _drafts(output / "scored"):
        return "while it wrote"
    return "between the lines and the record" if batch_id in _batches(output) else "before it wrote"


def compacting_state(output: Path) -> Hashable:
    """Say how far a compaction is."""
    manifest = output / "commits" / "compacted.json"
    return (
        _drafts(output / "compacted"),
        _names(output / "compacted"),
        manifest.stat().st_mtime_ns if manifest.exists() else 0,
        len(_batches(output)),
    )


def compacting(output: Path) -> str:
    """Say what a killed compaction was doing, by what it has left."""
    place = Output(str(output))
    listed = read_compacted(place)
    if _drafts(output / "compacted"):
        return "while it wrote"
    folders = {name for name in _names(output / "compacted") if not name.startswith(".")}
    if folders - set(listed.folders) and max(map(_until, folders)) > listed.until:
        return "between the folder and the list"
    if folders - set(listed.folders) or any(batch <= listed.until for batch in _batches(output)):
        return "while it removed what is compacted"
    return "before it wrote" if _batches(output) else "after the removal"


def _until(folder: str) -> int:
    return int(folder.partition("=")[2])


def _batches(output: Path) -> list[int]:
    return [_until(name) for name in _names(output / "scored") if name.startswith("batch_id=")]


def _records(output: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in (output / "commits").glob("[0-9]*.json")]


def _files(record: dict[str, Any]) -> list[Path]:
    return [Path(file["location"].removeprefix("file://")) for file in record["files"]]


def _drafts(folder: Path) -> tuple[tuple[str, ...], ...]:
    """Return what is in each draft of a folder."""
    return tuple(_names(folder / name) or (name,) for name in _names(folder) if name.startswith(".writing-"))


def _names(folder: Path) -> tuple[str, ...]:
    try:
        return tuple(sorted(entry.name for entry in os.scandir(folder)))
    except (FileNotFoundError, NotADirectoryError):
        return ()


def _numbers(folder: Path) -> set[int]:
    return {int(name) for name in _names(folder) if name.isdecimal()}
