"""1, 10 and 100 times the real data's lines: time, and peak memory of the driver and of the workers.

Each command is a process of its own, with a driver of 1 GB and one executor of two cores and 2 GB beside it
(`local-cluster`). Lines are those of `generate`, 305 files whatever their number.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.common import PROJECT
from benchmarks.processes import Used, run
from retail_clusters.report import plots

FILES: Final = 305
LINES_A_DAY: Final = 1_777
CHART: Final = PROJECT / "docs" / "images" / "sizes.png"
_COMMANDS: Final[Mapping[str, Sequence[str]]] = {
    "prepare": ("prepare", "--data", "lines"),
    "sweep": ("sweep", "--data", "lines"),
    "score": ("score", "--source", "lines", "--output", "scored"),
    "purchases": ("purchases", "--data", "lines", "--output", "spend"),
}
SPARK: Final = {
    "spark.driver.memory": "1g",
    "spark.executor.memory": "2g",
    "spark.master": "local-cluster[1,2,2048]",
}
_COLUMNS: Final = ("lines", "command", "s", "against 1x", "driver MB", "workers MB")


def main() -> None:
    """Generate, measure each command once, print a table, draw the chart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10, 100])
    times = parser.parse_args().times
    measured: dict[int, dict[str, Used]] = {}
    print(f"| {' | '.join(_COLUMNS)} |\n|---:|---|---:|---:|---:|---:|")
    for factor in times:
        with tempfile.TemporaryDirectory() as folder:
            measured[factor] = _measure(Path(folder), factor)
        for command, used in measured[factor].items():
            ratio = used.seconds / measured[times[0]][command].seconds
            row = (
                f"{factor}x",
                f"`{command}`",
                f"{used.seconds:.1f}",
                f"{ratio:.1f}",
                f"{used.driver:,.0f}",
                f"{used.workers:,.0f}",
            )
            print(f"| {' | '.join(row)} |", flush=True)
    _draw(measured)
    print(f"\n![time and memory over size](images/{CHART.name})")


def _measure(place: Path, factor: int) -> dict[str, Used]:
    (place / "experiments").symlink_to(PROJECT / "experiments")
    lines = ("--days", str(FILES), "--lines-per-day", str(factor * LINES_A_DAY))
    used = {"generate": _one(place, "generate", "--output", "lines", *lines)}
    for name, command in _COMMANDS.items():
        if name == "score":
            _one(place, "promote", "--reason", "to be followed")
        used[name] = _one(place, *command)
    return used


def _one(place: Path, *command: str) -> Used:
    return run(
        [sys.executable, "-m", "retail_clusters", *command], folder=place, environment=environment(place)
    )


def environment(place: Path) -> dict[str, str]:
    """Return where a command keeps its runs, and on what it works."""
    settings = " ".join(f"--conf {key}={value}" for key, value in SPARK.items())
    return {
        "MLFLOW_TRACKING_URI": f"sqlite:///{place / 'mlflow.db'}",
        "PYSPARK_SUBMIT_ARGS": f"{settings} pyspark-shell",
    }


def _draw(measured: Mapping[int, Mapping[str, Used]]) -> None:
    figure, (time, memory) = plots.figure(
        "Time, and memory of the driver, over the number of lines",
        note="One executor of two cores; each command a process of its own.",
        panels=(1, 1),
    )
    for index, command in enumerate(_COMMANDS):
        style = {"color": plots.SERIES[index], "marker": plots.MARKERS[index], "label": command}
        sizes = [factor * FILES * LINES_A_DAY for factor in measured]
        time.plot(sizes, [used[command].seconds for used in measured.values()], **style)
        memory.plot(sizes, [used[command].driver for used in measured.values()], **style)
    for axes, what in ((time, "seconds"), (memory, "driver, peak MB (Python and JVM)")):
        axes.set_xscale("log")
        axes.set_xlabel("lines")
        axes.set_ylabel(what)
    time.set_yscale("log")
    memory.set_ylim(bottom=0)
    time.legend(frameon=False)
    figure.savefig(CHART, dpi=60)


if __name__ == "__main__":
    main()
