"""Whole commands, each in a fresh process, beside those of the first version, in turns."""

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.baseline import checkout, python
from benchmarks.common import PROJECT, REAL, SAMPLE, timed, verdict

_TURNS: Final = 3


def main() -> None:
    """Measure `train` on prepared rows, and `main` on the sample and on the real data."""
    first = checkout()
    print("| command | 565f958 s | this version s | ratio | aim | |\n|---|---:|---:|---:|---:|---|")
    prepared = ("train", "--data", str(SAMPLE), "--k", "20", "--seed", "1")
    _compare(first, prepared, {"`train` on prepared rows of the sample": (prepared, 0.5)}, prepare=True)
    for name, data in (("sample", SAMPLE), ("real data", REAL)):
        if data.is_dir():
            forty = ("main", "--data", str(data), "--trials", "40")
            whole = ("main", "--data", str(data))
            ours = {
                f"`main`, 40 trials, {name}": (forty, 0.5),
                f"`main`: 40 trials then, the whole space now, {name}": (whole, 1.0),
            }
            _compare(first, forty, ours)


def _compare(
    first: Path,
    base: Sequence[str],
    ours: Mapping[str, tuple[Sequence[str], float]],
    *,
    prepare: bool = False,
) -> None:
    """Let the first version's command and ours take turns; `ours`: what it is, command and aim."""
    before: list[float] = []
    after: dict[str, list[float]] = {what: [] for what in ours}
    for _ in range(_TURNS):
        before.append(_once(base, first, prepare=prepare))
        for what, (command, _aim) in ours.items():
            after[what].append(_once(command, PROJECT, prepare=prepare))
    then = statistics.median(before)
    for what, (_command, aim) in ours.items():
        now = statistics.median(after[what])
        ratio = now / then
        print(
            f"| {what} | {then:.1f} | {now:.1f} | {ratio:.2f} | {aim:.2f} | {verdict(ratio, aim)} |",
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
