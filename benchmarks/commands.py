"""Whole commands, each in a fresh process, beside those of the first version, in turns."""

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.baseline import checkout, python
from benchmarks.common import PROJECT, REAL, SAMPLE, timed, verdict

_TURNS: Final = 3


def main() -> None:
    """Measure `train` on prepared rows, and `main` on the sample and on the real data."""
    first = checkout()
    print("| command | 565f958 s | this version s | ratio | aim | |\n|---|---:|---:|---:|---:|---|")
    prepared = [("train", "--data", str(SAMPLE), "--k", "20", "--seed", "1")]
    _compare("`train` on prepared rows of the sample", first, prepared * 2, aim=0.5, prepare=True)
    for name, data in (("sample", SAMPLE), ("real data", REAL)):
        if data.is_dir():
            forty = ("main", "--data", str(data), "--trials", "40")
            _compare(f"`main`, 40 trials, {name}", first, [forty] * 2, aim=0.5)
            whole = ("main", "--data", str(data))
            _compare(f"`main`: 40 trials then, the whole space now, {name}", first, [forty, whole], aim=1.0)


def _compare(
    what: str, first: Path, commands: Sequence[Sequence[str]], *, aim: float, prepare: bool = False
) -> None:
    seconds: tuple[list[float], list[float]] = ([], [])
    sides = ((seconds[0], commands[0], first), (seconds[1], commands[-1], PROJECT))
    for _ in range(_TURNS):
        for taken, command, project in sides:
            taken.append(_once(command, project, prepare=prepare))
    before, after = map(statistics.median, seconds)
    ratio = after / before
    print(
        f"| {what} | {before:.1f} | {after:.1f} | {ratio:.2f} | {aim:.2f} | {verdict(ratio, aim)} |",
        flush=True,
    )


def _once(command: Sequence[str], project: Path, *, prepare: bool) -> float:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "experiments").symlink_to(project / "experiments")
        if prepare:
            python("-m", "retail_clusters", "prepare", *command[1:3], folder=place, project=project)
        return timed(lambda: python("-m", "retail_clusters", *command, folder=place, project=project))


if __name__ == "__main__":
    main()
